;;! target = x86_64-linux
;;! bounds = software
(module
  (export "run" (func 0)) (memory 1 9)
  (func (param i32) (result i32)
    (drop (memory.grow (local.get 0)))
    (i32.load (local.get 0))))
;; function[0] "run" (i32) -> i32
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  sub rsp, 0x20
;;     8  mov qword ptr [rsp], rbx
;;     c  mov qword ptr [rsp + 8], r12
;;    11  mov qword ptr [rsp + 0x10], r13
;;    16  mov r13, rsi
;;    19  mov rax, rsp
;;    1c  add rax, -0x4000
;;    23  mov rcx, qword ptr [rdi + 0x20]
;;    27  cmp rax, rcx
;;    2a  jb 0x91
;;    30  mov rbx, qword ptr [rdi + 0x10]
;;    34  mov r12, rdi
;;    37  mov ecx, dword ptr [rbx + 0x168]
;;    3d  mov rcx, r13
;;    40  mov esi, ecx
;;    42  mov rdi, rbx
;;    45  call aot_enlarge_memory
;;    4a  mov rdx, qword ptr [rbx + 0x170]
;;    51  mov rsi, r13
;;    54  mov ecx, esi
;;    56  lea rax, [rcx + 4]
;;    5a  cmp rax, rdx
;;    5d  ja 0x84
;;    63  mov rax, qword ptr [rbx + 0x178]
;;    6a  mov eax, dword ptr [rax + rcx]
;;    6d  mov rbx, qword ptr [rsp]
;;    71  mov r12, qword ptr [rsp + 8]
;;    76  mov r13, qword ptr [rsp + 0x10]
;;    7b  add rsp, 0x20
;;    7f  mov rsp, rbp
;;    82  pop rbp
;;    83  ret
;;    84  mov eax, 0x800002f
;;    89  mov rdi, r12
;;    8c  jmp 0x99
;;    91  mov r12, rdi
;;    94  mov eax, 0x2c000027
;;    99  mov rdi, qword ptr [rdi + 0x10]
;;    9d  mov dword ptr [rdi + 0xe4], eax
;;    a3  shr eax, 0x1a
;;    a6  mov esi, eax
;;    a8  call aot_set_exception_with_id
;;    ad  xor eax, eax
;;    af  mov rbx, qword ptr [rsp]
;;    b3  mov r12, qword ptr [rsp + 8]
;;    b8  mov r13, qword ptr [rsp + 0x10]
;;    bd  add rsp, 0x20
;;    c1  mov rsp, rbp
;;    c4  pop rbp
;;    c5  ret
;;    c6  .zero 10
