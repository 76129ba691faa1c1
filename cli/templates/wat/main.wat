;; Publishes by how much the temperature has changed.
(module
  (import "farrier" "sensor_open" (func $sensor_open (param i32 i32) (result i32)))
  (import "farrier" "sensor_read" (func $sensor_read (param i32 i32) (result i32)))
  (import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))

  (memory (export "memory") 1)
  (data (i32.const 0) "temperature")
  (data (i32.const 16) "change")
  ;; 32: the sample, 40: the change, both f64

  (global $sensor (mut i32) (i32.const -1))
  (global $before (mut f64) (f64.const nan))

  ;; Called once. What it returns is 0 for good, or your own number for what went wrong.
  (func (export "init") (result i32)
    (global.set $sensor (call $sensor_open (i32.const 0) (i32.const 11)))
    (i32.lt_s (global.get $sensor) (i32.const 0)))

  ;; Called at the interval of the deployment.
  (func (export "tick") (result i32)
    (local $change f64)
    (if (call $sensor_read (global.get $sensor) (i32.const 32)) (then (return (i32.const 2))))
    (local.set $change (f64.sub (f64.load (i32.const 32)) (global.get $before)))
    (global.set $before (f64.load (i32.const 32)))
    ;; Neither 0 nor, at first, not a number.
    (if (f64.gt (f64.abs (local.get $change)) (f64.const 0))
      (then
        (f64.store (i32.const 40) (local.get $change))
        (return
          (i32.lt_s
            (call $publish (i32.const 16) (i32.const 6) (i32.const 40) (i32.const 8))
            (i32.const 0)))))
    (i32.const 0)))
