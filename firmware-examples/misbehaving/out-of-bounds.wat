;; Passes a host function a string that ends one byte beyond the memory.
(module
  (import "farrier" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "tick") (result i32)
    (call $log (i32.const 2) (i32.const 65530) (i32.const 7))
    (i32.const 0)))
