;;! target = aarch64-linux
;;! bounds = software
(module
  (export "run" (func 0)) (memory 1)
  (func (param i32) (result i32) (i32.load offset=8 (local.get 0))))
;; function[0] "run" (i32) -> i32
;;     0  stp x29, x30, [sp, #-0x10]!
;;     4  mov x29, sp
;;     8  mov w13, w1
;;     c  add x14, x13, #0xc
;;    10  ldr x13, [x0, #0x10]
;;    14  ldr x15, [x13, #0x170]
;;    18  cmp x14, x15
;;    1c  b.hi #0x34
;;    20  ldr x15, [x13, #0x178]
;;    24  add x15, x15, w1, uxtw
;;    28  ldr w0, [x15, #8]
;;    2c  ldp x29, x30, [sp], #0x10
;;    30  ret
;;    34  ldr x0, [x0, #0x10]
;;    38  mov w1, #2
;;    3c  bl aot_set_exception_with_id
;;    40  mov w0, #0
;;    44  ldp x29, x30, [sp], #0x10
;;    48  ret
;;    4c  .zero 4
