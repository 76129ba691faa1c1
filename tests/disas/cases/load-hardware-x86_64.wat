;;! target = x86_64-linux
;;! bounds = hardware
(module
  (export "run" (func 0)) (memory 1)
  (func (param i32) (result i32) (i32.load offset=8 (local.get 0))))
;; function[0] "run" (i32) -> i32
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  mov rdi, qword ptr [rdi + 0x10]
;;     8  mov rdi, qword ptr [rdi + 0x178]
;;     f  mov r8d, esi
;;    12  mov eax, dword ptr [rdi + r8 + 8]
;;    17  mov rsp, rbp
;;    1a  pop rbp
;;    1b  ret
;;    1c  .zero 4
