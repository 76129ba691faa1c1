;;! target = x86_64-linux
;;! bounds = hardware
(module
  (export "run" (func 0)) (memory 1)
  (func (param $at i32) (param $end i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br_if $again (i32.lt_u (local.get $at) (local.get $end))))
    (local.get $sum)))
;; function[0] "run" (i32, i32) -> i32
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  xor eax, eax
;;     6  mov rcx, qword ptr [rdi + 0x10]
;;     a  mov rcx, qword ptr [rcx + 0x178]
;;    11  mov edi, esi
;;    13  mov edi, dword ptr [rcx + rdi]
;;    16  add esi, 4
;;    1c  add eax, edi
;;    1e  cmp esi, edx
;;    20  jb 0x11
;;    26  mov rsp, rbp
;;    29  pop rbp
;;    2a  ret
;;    2b  .zero 5
