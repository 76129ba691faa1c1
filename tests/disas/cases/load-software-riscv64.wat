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
;;     8  slli a4, a1, 0x20
;;     c  srli a1, a4, 0x20
;;    10  addi a5, a1, 0xc
;;    14  c.ld a2, 0x10(a0)
;;    16  ld a3, 0x170(a2)
;;    1a  bltu a3, a5, 0x14
;;    1e  ld a0, 0x178(a2)
;;    22  c.add a0, a1
;;    24  c.lw a0, 8(a0)
;;    26  c.ldsp ra, 8(sp)
;;    28  c.ldsp s0, 0(sp)
;;    2a  c.addi16sp sp, 0x10
;;    2c  c.jr ra
;;    2e  c.ld a0, 0x10(a0)
;;    30  c.li a1, 2
;;    32  c.slli a1, 0x20
;;    34  c.srai a1, 0x20
;;    36  call aot_set_exception_with_id
;;    3e  c.li a0, 0
;;    40  c.ldsp ra, 8(sp)
;;    42  c.ldsp s0, 0(sp)
;;    44  c.addi16sp sp, 0x10
;;    46  c.jr ra
;;    48  .zero 8
