;;! target = x86_64-linux
;;! bounds = hardware
(module
  (export "run" (func 0))
  (func (param f32 f32) (result f32) (f32.min (local.get 0) (local.get 1))))
;; function[0] "run" (f32, f32) -> f32
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  movdqa xmm6, xmm0
;;     8  movdqa xmm0, xmm1
;;     c  ucomiss xmm0, xmm6
;;     f  jne 0x2d
;;    15  jp 0x23
;;    1b  orps xmm0, xmm6
;;    1e  jmp 0x31
;;    23  addss xmm0, xmm6
;;    27  jp 0x31
;;    2d  minss xmm0, xmm6
;;    31  mov rsp, rbp
;;    34  pop rbp
;;    35  ret
;;    36  .zero 10
