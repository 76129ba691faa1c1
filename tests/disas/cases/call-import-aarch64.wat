;;! target = aarch64-linux
;;! bounds = software
(module
  (export "run" (func 0))
  (import "env" "log" (func $log (param i32 i64) (result i32)))
  (func (param i32) (result i32) (call $log (local.get 0) (i64.const 7))))
;; function[1] (i32) -> i32
;;     0  udf #0
;;     4  .zero 12
