;;! target = x86_64-linux
;;! bounds = hardware
(module
  (export "run" (func 0))
  (func $fib (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add
        (call $fib (i32.sub (local.get 0) (i32.const 1)))
        (call $fib (i32.sub (local.get 0) (i32.const 2))))))))
;; function[0] "run" (i32) -> i32
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  sub rsp, 0x30
;;     8  mov qword ptr [rsp], rbx
;;     c  mov qword ptr [rsp + 8], r12
;;    11  mov qword ptr [rsp + 0x10], r13
;;    16  mov qword ptr [rsp + 0x18], r14
;;    1b  mov qword ptr [rsp + 0x20], r15
;;    20  mov r13, rsi
;;    23  mov r14, rdi
;;    26  mov rsi, r13
;;    29  cmp esi, 2
;;    2c  jb 0x155
;;    32  mov rsi, r13
;;    35  mov rax, rsi
;;    38  sub eax, 1
;;    3b  cmp eax, 2
;;    3e  jb 0xbf
;;    44  mov rsi, r13
;;    47  mov r12, rsi
;;    4a  sub r12d, 2
;;    4e  cmp r12d, 2
;;    52  jb 0x81
;;    58  mov rsi, r13
;;    5b  sub esi, 3
;;    5e  mov rdi, r14
;;    61  call function[0] "run"
;;    66  mov rcx, r13
;;    69  mov r12, rax
;;    6c  mov rsi, rcx
;;    6f  sub esi, 4
;;    72  mov rdi, r14
;;    75  call function[0] "run"
;;    7a  mov rcx, r12
;;    7d  lea r12d, [rcx + rax]
;;    81  mov rsi, r13
;;    84  mov rcx, rsi
;;    87  sub ecx, 3
;;    8a  cmp ecx, 2
;;    8d  jb 0xb7
;;    93  mov rsi, r13
;;    96  sub esi, 4
;;    99  mov rdi, r14
;;    9c  call function[0] "run"
;;    a1  mov rsi, r13
;;    a4  mov r15, rax
;;    a7  sub esi, 5
;;    aa  mov rdi, r14
;;    ad  call function[0] "run"
;;    b2  mov rcx, r15
;;    b5  add ecx, eax
;;    b7  add r12d, ecx
;;    ba  jmp 0xc9
;;    bf  mov rsi, r13
;;    c2  mov r12, rsi
;;    c5  sub r12d, 1
;;    c9  mov rsi, r13
;;    cc  mov rcx, rsi
;;    cf  sub ecx, 2
;;    d2  cmp ecx, 2
;;    d5  jb 0x14e
;;    db  mov rsi, r13
;;    de  mov rbx, rsi
;;    e1  sub ebx, 3
;;    e4  cmp ebx, 2
;;    e7  jb 0x112
;;    ed  mov rsi, r13
;;    f0  sub esi, 4
;;    f3  mov rdi, r14
;;    f6  call function[0] "run"
;;    fb  mov rsi, r13
;;    fe  mov r15, rax
;;   101  sub esi, 5
;;   104  mov rdi, r14
;;   107  call function[0] "run"
;;   10c  mov rcx, r15
;;   10f  lea ebx, [rcx + rax]
;;   112  mov rsi, r13
;;   115  mov rcx, rsi
;;   118  sub ecx, 4
;;   11b  cmp ecx, 2
;;   11e  jb 0x14c
;;   124  mov rsi, r13
;;   127  sub esi, 5
;;   12a  mov rdi, r14
;;   12d  call function[0] "run"
;;   132  mov rsi, r13
;;   135  mov r15, rax
;;   138  sub esi, 6
;;   13b  mov rdi, r14
;;   13e  mov r13, rsi
;;   141  call function[0] "run"
;;   146  mov rsi, r15
;;   149  lea ecx, [rsi + rax]
;;   14c  add ecx, ebx
;;   14e  lea esi, [r12 + rcx]
;;   152  mov r13, rsi
;;   155  mov rax, r13
;;   158  mov rbx, qword ptr [rsp]
;;   15c  mov r12, qword ptr [rsp + 8]
;;   161  mov r13, qword ptr [rsp + 0x10]
;;   166  mov r14, qword ptr [rsp + 0x18]
;;   16b  mov r15, qword ptr [rsp + 0x20]
;;   170  add rsp, 0x30
;;   174  mov rsp, rbp
;;   177  pop rbp
;;   178  ret
;;   179  .zero 7
