;;! target = x86_64-linux
;;! bounds = hardware
;;! function = 1
(module
  (export "run" (func 1))
  (func $square (param i32) (result i32) (i32.mul (local.get 0) (local.get 0)))
  (func (param i32 i32) (result i32)
    (i32.add (call $square (local.get 0)) (call $square (local.get 1)))))
;; function[1] "run" (i32, i32) -> i32
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  imul esi, esi
;;     7  imul edx, edx
;;     a  lea eax, [rsi + rdx]
;;     d  mov rsp, rbp
;;    10  pop rbp
;;    11  ret
;;    12  .zero 14
