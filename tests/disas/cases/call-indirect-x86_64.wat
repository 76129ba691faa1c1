;;! target = x86_64-linux
;;! bounds = software
;;! function = 1
(module
  (export "run" (func 1))
  (type $unary (func (param i32) (result i32)))
  (table 4 8 funcref)
  (elem (i32.const 0) $f)
  (func $f (type $unary) (local.get 0))
  (func (param i32 i32) (result i32)
    (drop (table.grow 0 (ref.null func) (i32.const 1)))
    (call_indirect (type $unary) (local.get 0) (local.get 1))))
;; function[1] "run" (i32, i32) -> i32
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  sub rsp, 0x20
;;     8  mov qword ptr [rsp], rbx
;;     c  mov qword ptr [rsp + 8], r12
;;    11  mov qword ptr [rsp + 0x10], r13
;;    16  mov qword ptr [rsp + 0x18], r14
;;    1b  mov r13, rsi
;;    1e  mov r14, rdx
;;    21  mov rax, rsp
;;    24  add rax, -0x4000
;;    2b  mov rcx, qword ptr [rdi + 0x20]
;;    2f  cmp rax, rcx
;;    32  jb 0xf3
;;    38  mov rbx, qword ptr [rdi + 0x10]
;;    3c  mov r12, rdi
;;    3f  xor eax, eax
;;    41  mov ecx, 1
;;    46  mov edi, 0xffffffff
;;    4b  mov esi, eax
;;    4d  mov edx, ecx
;;    4f  mov rcx, rdi
;;    52  mov rdi, rbx
;;    55  call aot_table_grow
;;    5a  mov eax, dword ptr [rbx + 0x1e0]
;;    60  mov rdx, r14
;;    63  cmp edx, eax
;;    65  jae 0xe6
;;    6b  mov eax, edx
;;    6d  mov eax, dword ptr [rbx + rax*8 + 0x1e8]
;;    74  cmp eax, -1
;;    77  je 0xd9
;;    7d  mov rdx, qword ptr [rbx + 0x30]
;;    81  mov ecx, eax
;;    83  mov eax, dword ptr [rdx + rcx*4]
;;    86  test eax, eax
;;    88  jne 0xcc
;;    8e  mov rax, qword ptr [rbx + 0x28]
;;    92  mov rax, qword ptr [rax + rcx*8]
;;    96  mov rsi, r13
;;    99  mov rdi, r12
;;    9c  call rax
;;    9e  movzx rcx, byte ptr [rbx + 0x68]
;;    a3  test cl, cl
;;    a5  jne 0x10c
;;    ab  mov rbx, qword ptr [rsp]
;;    af  mov r12, qword ptr [rsp + 8]
;;    b4  mov r13, qword ptr [rsp + 0x10]
;;    b9  mov r14, qword ptr [rsp + 0x18]
;;    be  add rsp, 0x20
;;    c2  mov rsp, rbp
;;    c5  pop rbp
;;    c6  ret
;;    c7  jmp 0x10c
;;    cc  mov rdi, r12
;;    cf  mov eax, 0x1800004a
;;    d4  jmp 0xf8
;;    d9  mov rdi, r12
;;    dc  mov eax, 0x2400004a
;;    e1  jmp 0xf8
;;    e6  mov rdi, r12
;;    e9  mov eax, 0x2000004a
;;    ee  jmp 0xf8
;;    f3  mov eax, 0x2c00003d
;;    f8  mov rdi, qword ptr [rdi + 0x10]
;;    fc  mov dword ptr [rdi + 0xe4], eax
;;   102  shr eax, 0x1a
;;   105  mov esi, eax
;;   107  call aot_set_exception_with_id
;;   10c  xor eax, eax
;;   10e  mov rbx, qword ptr [rsp]
;;   112  mov r12, qword ptr [rsp + 8]
;;   117  mov r13, qword ptr [rsp + 0x10]
;;   11c  mov r14, qword ptr [rsp + 0x18]
;;   121  add rsp, 0x20
;;   125  mov rsp, rbp
;;   128  pop rbp
;;   129  ret
;;   12a  .zero 6
