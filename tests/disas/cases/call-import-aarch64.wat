;;! target = aarch64-linux
;;! bounds = software
(module
  (import "env" "log" (func $log (param i32 i64) (result i32)))
  (func (param i32) (result i32) (call $log (local.get 0) (i64.const 7))))
;; function[1] (i32) -> i32
;;     0  stp x29, x30, [sp, #-0x10]!
;;     4  mov x29, sp
;;     8  sub sp, sp, #0x10
;;     c  mov x14, sp
;;    10  sub x14, x14, #4, lsl #12
;;    14  ldr x15, [x0, #0x20]
;;    18  cmp x14, x15
;;    1c  b.lo #0x58
;;    20  mov x3, sp
;;    24  stur w1, [sp]
;;    28  mov x1, #7
;;    2c  stur x1, [sp, #4]
;;    30  mov w1, #0
;;    34  mov w2, #3
;;    38  bl aot_invoke_native
;;    3c  tst w0, #0xff
;;    40  b.eq #0x64
;;    44  ldur w0, [sp]
;;    48  add sp, sp, #0x10
;;    4c  ldp x29, x30, [sp], #0x10
;;    50  ret
;;    54  b #0x64
;;    58  ldr x0, [x0, #0x10]
;;    5c  mov w1, #0xb
;;    60  bl aot_set_exception_with_id
;;    64  mov w0, #0
;;    68  add sp, sp, #0x10
;;    6c  ldp x29, x30, [sp], #0x10
;;    70  ret
;;    74  .zero 12
