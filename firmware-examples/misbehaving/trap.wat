;; Traps on every third tick, counted from its instantiation. Logs "init" at the
;; start, so that a fresh instance shows.
(module
  (import "farrier" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "init")
  (global $ticks (mut i32) (i32.const 0))
  (func (export "init") (result i32)
    (call $log (i32.const 2) (i32.const 0) (i32.const 4))
    (i32.const 0))
  (func (export "tick") (result i32)
    (global.set $ticks (i32.add (global.get $ticks) (i32.const 1)))
    (if (i32.eq (i32.rem_u (global.get $ticks) (i32.const 3)) (i32.const 0))
      (then (unreachable)))
    (i32.const 0)))
