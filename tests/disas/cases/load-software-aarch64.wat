;;! target = aarch64-linux
;;! bounds = software
(module
  (export "run" (func 0)) (memory 1)
  (func (param i32) (result i32) (i32.load offset=8 (local.get 0))))
;; function[0] "run" (i32) -> i32
;;     0  stp x29, x30, [sp, #-0x10]!
;;     4  mov x29, sp
;;     8  mov w15, w1
;;     c  add x2, x15, #0xc
;;    10  ldr x15, [x0, #0x10]
;;    14  ldr x3, [x15, #0x170]
;;    18  cmp x2, x3
;;    1c  b.hi #0x34
;;    20  ldr x0, [x15, #0x178]
;;    24  add x0, x0, w1, uxtw
;;    28  ldr w0, [x0, #8]
;;    2c  ldp x29, x30, [sp], #0x10
;;    30  ret
;;    34  ldr x0, [x0, #0x10]
;;    38  mov w1, #0x29
;;    3c  movk w1, #0x800, lsl #16
;;    40  str w1, [x0, #0xe4]
;;    44  mov w1, #2
;;    48  bl aot_set_exception_with_id
;;    4c  mov w0, #0
;;    50  ldp x29, x30, [sp], #0x10
;;    54  ret
;;    58  .zero 8
