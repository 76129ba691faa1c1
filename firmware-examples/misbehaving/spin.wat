;; Returns from its first tick, never from the second.
(module
  (memory (export "memory") 1)
  (global $ticks (mut i32) (i32.const 0))
  (func (export "tick") (result i32)
    (global.set $ticks (i32.add (global.get $ticks) (i32.const 1)))
    (if (i32.gt_u (global.get $ticks) (i32.const 1))
      (then (loop $forever (br $forever))))
    (i32.const 0)))
