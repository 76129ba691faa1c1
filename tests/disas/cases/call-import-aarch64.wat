;;! target = aarch64-linux
;;! bounds = software
(module
  (export "run" (func 0))
  (import "env" "log" (func $log (param i32 i64) (result i32)))
  (func (param i32) (result i32) (call $log (local.get 0) (i64.const 7))))
;; function[1] (i32) -> i32
;;     0  udf #0
;;     4  .zero 12
;; function[2] "run" (i32, i64) -> i32
;;     0  stp x29, x30, [sp, #-0x10]!
;;     4  mov x29, sp
;;     8  sub sp, sp, #0x10
;;     c  mov x15, sp
;;    10  sub x15, x15, #4, lsl #12
;;    14  ldr x3, [x0, #0x20]
;;    18  cmp x15, x3
;;    1c  b.lo #0x54
;;    20  mov x3, sp
;;    24  stur w1, [sp]
;;    28  stur x2, [sp, #4]
;;    2c  mov w1, #0
;;    30  mov w2, #3
;;    34  bl aot_invoke_native
;;    38  tst w0, #0xff
;;    3c  b.eq #0x68
;;    40  ldur w0, [sp]
;;    44  add sp, sp, #0x10
;;    48  ldp x29, x30, [sp], #0x10
;;    4c  ret
;;    50  b #0x68
;;    54  ldr x0, [x0, #0x10]
;;    58  mov w1, #0x2c000000
;;    5c  str w1, [x0, #0xe4]
;;    60  mov w1, #0xb
;;    64  bl aot_set_exception_with_id
;;    68  mov w0, #0
;;    6c  add sp, sp, #0x10
;;    70  ldp x29, x30, [sp], #0x10
;;    74  ret
;;    78  .zero 8
