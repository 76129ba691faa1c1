;;! target = x86_64-linux
;;! bounds = hardware
;;! nan = canonical
;; A sum in a loop: nothing is done inside, and one comparison where it is stored.
;; What is only moved is not compared.
(module
  (memory 1)
  (func (export "sum") (param i32) (local f64)
    (loop
      (local.set 1 (f64.add (local.get 1) (f64.load (local.get 0))))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 8)))))
    (f64.store (i32.const 0) (local.get 1)))
  (func (export "move") (param i32)
    (f64.store (i32.const 8) (f64.load (local.get 0)))))
;; function[0] "sum" (i32) -> ()
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  xorpd xmm6, xmm6
;;     8  mov rax, qword ptr [rdi + 0x10]
;;     c  mov rax, qword ptr [rax + 0x178]
;;    13  mov ecx, esi
;;    15  movsd xmm0, qword ptr [rax + rcx]
;;    1a  sub esi, 8
;;    1d  addsd xmm6, xmm0
;;    21  test esi, esi
;;    23  jne 0x13
;;    29  movabs rcx, 0x7ff8000000000000
;;    33  movq xmm0, rcx
;;    38  ucomisd xmm6, xmm6
;;    3c  jnp 0x45
;;    42  movaps xmm6, xmm0
;;    45  movsd qword ptr [rax], xmm6
;;    49  mov rsp, rbp
;;    4c  pop rbp
;;    4d  ret
;;    4e  .zero 2
;; function[1] "move" (i32) -> ()
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  mov rdi, qword ptr [rdi + 0x10]
;;     8  mov rdi, qword ptr [rdi + 0x178]
;;     f  mov r8d, esi
;;    12  movsd xmm7, qword ptr [rdi + r8]
;;    18  movsd qword ptr [rdi + 8], xmm7
;;    1d  mov rsp, rbp
;;    20  pop rbp
;;    21  ret
;;    22  .zero 14
