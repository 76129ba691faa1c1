;; Asks for one more page on each tick and returns 1 once it is refused.
(module
  (memory (export "memory") 1)
  (func (export "tick") (result i32)
    (i32.eq (memory.grow (i32.const 1)) (i32.const -1))))
