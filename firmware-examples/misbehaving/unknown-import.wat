;; Imports a function that no runtime offers, and one that it offers otherwise.
(module
  (import "env" "launch" (func $launch (param i32) (result i64)))
  (import "farrier" "log" (func $log (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "tick") (result i32)
    (drop (call $launch (i32.const 1)))
    (i32.const 0)))
