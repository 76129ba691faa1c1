;;! target = riscv64-linux
;;! bounds = software
(module
  (export "run" (func 0)) (memory 1)
  (func (param i32) (result i32) (i32.load offset=8 (local.get 0))))
;; function[0] "run" (i32) -> i32
;;     0  c.addi16sp sp, -0x10
;;     2  c.sdsp ra, 8(sp)
;;     4  c.sdsp s0, 0(sp)
;;     6  c.mv s0, sp
;;     8  c.slli a1, 0x20
;;     a  c.srli a1, 0x20
;;     c  addi a2, a1, 0xc
;;    10  c.ld a3, 0x10(a0)
;;    12  ld a4, 0x170(a3)
;;    16  bltu a4, a2, 0x14
;;    1a  ld a0, 0x178(a3)
;;    1e  c.add a0, a1
;;    20  c.lw a0, 8(a0)
;;    22  c.ldsp ra, 8(sp)
;;    24  c.ldsp s0, 0(sp)
;;    26  c.addi16sp sp, 0x10
;;    28  c.jr ra
;;    2a  c.ld a0, 0x10(a0)
;;    2c  lui a1, 0x8000
;;    30  addi a1, a1, 0x29
;;    34  sw a1, 0xe4(a0)
;;    38  c.li a1, 2
;;    3a  c.slli a1, 0x20
;;    3c  c.srai a1, 0x20
;;    3e  call aot_set_exception_with_id
;;    46  c.li a0, 0
;;    48  c.ldsp ra, 8(sp)
;;    4a  c.ldsp s0, 0(sp)
;;    4c  c.addi16sp sp, 0x10
;;    4e  c.jr ra
