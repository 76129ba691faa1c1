;; What a worker runs on itself before it says hello. Compiled by our own
;; compiler into the files beside this one; `tests/probe_files.rs` makes them.
(module
  ;; A round trip through a host function: the raw convention, with a wide
  ;; integer and a float in one call.
  (import "probe" "echo" (func $echo (param i32 i64 f64) (result f64)))
  (memory 1)

  ;; One page is 65,536 bytes: address 70,000 must trap.
  (func (export "load_at") (param $address i32) (result i32)
    (i32.load (local.get $address)))

  ;; Mixed arguments, so that a wrong calling convention gives a wrong sum.
  (func (export "floats") (param $a f64) (param $b i32) (param $c f32) (param $d i64) (result f64)
    (f64.add
      (f64.div
        (f64.sqrt (f64.mul (local.get $a) (f64.convert_i32_s (local.get $b))))
        (f64.promote_f32 (f32.mul (local.get $c) (f32.const 0.1))))
      (f64.nearest (f64.convert_i64_s (local.get $d)))))

  (func (export "round_trip") (param $a i32) (param $b i64) (param $c f64) (result f64)
    (call $echo (local.get $a) (local.get $b) (local.get $c)))
)
