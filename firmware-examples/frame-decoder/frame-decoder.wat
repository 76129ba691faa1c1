;; Frames out of a stream of bytes: 0x7e, the payload's length from 1 to 32, the payload,
;; and a checksum that makes the sum of length, payload and checksum 0 modulo 256.
;;
;; Reads one byte a tick from the sensor `uart`, publishes each whole payload on `frame`
;; and logs a checksum that is wrong. After what it cannot read it waits for the next
;; 0x7e. There is no escaping: a 0x7e in a payload belongs to it.
(module
  (import "farrier" "log" (func $log (param i32 i32 i32)))
  (import "farrier" "sensor_open" (func $sensor_open (param i32 i32) (result i32)))
  (import "farrier" "sensor_read" (func $sensor_read (param i32 i32) (result i32)))
  (import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))

  (memory (export "memory") 1)
  (data (i32.const 0) "uart")
  (data (i32.const 8) "frame")
  (data (i32.const 16) "wrong checksum")
  ;; 32: the sample as f64; 64: the payload so far

  (global $uart (mut i32) (i32.const -1))
  ;; 0 waits for 0x7e, 1 for the length, 2 for the payload, 3 for the checksum
  (global $state (mut i32) (i32.const 0))
  (global $length (mut i32) (i32.const 0))
  (global $filled (mut i32) (i32.const 0))
  (global $sum (mut i32) (i32.const 0))

  (func (export "init") (result i32)
    (global.set $uart (call $sensor_open (i32.const 0) (i32.const 4)))
    (i32.lt_s (global.get $uart) (i32.const 0)))

  (func (export "tick") (result i32)
    (if (call $sensor_read (global.get $uart) (i32.const 32)) (then (return (i32.const 2))))
    (call $take (i32.and (i32.trunc_sat_f64_u (f64.load (i32.const 32))) (i32.const 0xff))))

  (func $take (param $byte i32) (result i32)
    (block $checksum
      (block $payload
        (block $length
          (block $start
            (br_table $start $length $payload $checksum (global.get $state)))
          (global.set $state (i32.eq (local.get $byte) (i32.const 0x7e)))
          (return (i32.const 0)))
        (global.set $length (local.get $byte))
        (global.set $sum (local.get $byte))
        (global.set $filled (i32.const 0))
        ;; 1 to 32, or a frame that this is not
        (global.set $state
          (i32.shl (i32.lt_u (i32.sub (local.get $byte) (i32.const 1)) (i32.const 32))
                   (i32.const 1)))
        (return (i32.const 0)))
      (i32.store8 (i32.add (i32.const 64) (global.get $filled)) (local.get $byte))
      (global.set $filled (i32.add (global.get $filled) (i32.const 1)))
      (global.set $sum (i32.add (global.get $sum) (local.get $byte)))
      (global.set $state
        (i32.add (i32.const 2) (i32.eq (global.get $filled) (global.get $length))))
      (return (i32.const 0)))
    (global.set $state (i32.const 0))
    (if (i32.and (i32.add (global.get $sum) (local.get $byte)) (i32.const 0xff))
      (then
        (call $log (i32.const 1) (i32.const 16) (i32.const 14))
        (return (i32.const 0))))
    (i32.lt_s
      (call $publish (i32.const 8) (i32.const 5) (i32.const 64) (global.get $length))
      (i32.const 0))))
