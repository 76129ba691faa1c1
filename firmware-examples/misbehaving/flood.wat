;; Logs 100 lines and publishes 100 messages on each tick. Returns what the last
;; publish answered.
(module
  (import "farrier" "log" (func $log (param i32 i32 i32)))
  (import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "flood")
  (func (export "tick") (result i32)
    (local $left i32)
    (local $answer i32)
    (local.set $left (i32.const 100))
    (loop $more
      (call $log (i32.const 2) (i32.const 0) (i32.const 5))
      (local.set $answer
        (call $publish (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 5)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (local.get $left)))
    (local.get $answer)))
