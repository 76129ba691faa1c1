;;! target = x86_64-linux
;;! bounds = software
(module
  (export "run" (func 0)) (memory 1)
  (func (param i32) (result i32) (i32.load offset=8 (local.get 0))))
;; function[0] "run" (i32) -> i32
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  mov eax, esi
;;     6  lea rdx, [rax + 0xc]
;;     a  mov rcx, qword ptr [rdi + 0x10]
;;     e  mov rsi, qword ptr [rcx + 0x170]
;;    15  cmp rdx, rsi
;;    18  ja 0x2e
;;    1e  mov rcx, qword ptr [rcx + 0x178]
;;    25  mov eax, dword ptr [rcx + rax + 8]
;;    29  mov rsp, rbp
;;    2c  pop rbp
;;    2d  ret
;;    2e  mov rdi, qword ptr [rdi + 0x10]
;;    32  mov dword ptr [rdi + 0xe4], 0x8000029
;;    3c  mov eax, 2
;;    41  mov esi, eax
;;    43  call aot_set_exception_with_id
;;    48  xor eax, eax
;;    4a  mov rsp, rbp
;;    4d  pop rbp
;;    4e  ret
;;    4f  .zero 1
