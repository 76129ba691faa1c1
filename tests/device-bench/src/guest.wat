;; What the probe calls. One page of memory, of which `tick` touches the beginning. The
;; host function comes from our wrapper or from bare WAMR, by the name in place of HOST.
(module
  (import "HOST" "same" (func $same (param i32) (result i32)))
  (memory 1)
  (func (export "tick") (param i32) (result i32)
    (i32.store (i32.const 0) (local.get 0))
    (i32.load (i32.const 0)))
  ;; As many calls as it is told.
  (func (export "call_host") (param $left i32) (result i32)
    (loop $more
      (local.set $left (i32.sub (call $same (local.get $left)) (i32.const 1)))
      (br_if $more (local.get $left)))
    (local.get $left)))
