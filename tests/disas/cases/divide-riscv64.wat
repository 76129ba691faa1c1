;;! target = riscv64-linux
;;! bounds = software
(module
  (export "run" (func 0))
  (func (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))
;; function[0] "run" (i32, i32) -> i32
;;     0  c.addi16sp sp, -0x10
;;     2  c.sdsp ra, 8(sp)
;;     4  c.sdsp s0, 0(sp)
;;     6  c.mv s0, sp
;;     8  sext.w a3, a2
;;     c  beqz a3, 0x5a
;;    10  lui a3, 0x80000
;;    14  sext.w a4, a1
;;    18  c.addiw a3, 0
;;    1a  c.xor a3, a4
;;    1c  seqz a3, a3
;;    20  sext.w a4, a2
;;    24  not a4, a4
;;    28  seqz a4, a4
;;    2c  c.and a3, a4
;;    2e  andi a3, a3, 0xff
;;    32  bnez a3, 0x30
;;    36  sext.w a0, a1
;;    3a  sext.w a1, a2
;;    3e  bnez a1, 6
;;    42  c.unimp
;;    44  lui a2, 0x80000
;;    48  c.xor a2, a0
;;    4a  not a3, a1
;;    4e  c.or a2, a3
;;    50  bnez a2, 6
;;    54  c.unimp
;;    56  divw a0, a0, a1
;;    5a  c.ldsp ra, 8(sp)
;;    5c  c.ldsp s0, 0(sp)
;;    5e  c.addi16sp sp, 0x10
;;    60  c.jr ra
;;    62  c.li a1, 3
;;    64  c.j 4
;;    66  c.li a1, 4
;;    68  c.ld a0, 0x10(a0)
;;    6a  c.slli a1, 0x20
;;    6c  c.srai a1, 0x20
;;    6e  call aot_set_exception_with_id
;;    76  c.li a0, 0
;;    78  c.ldsp ra, 8(sp)
;;    7a  c.ldsp s0, 0(sp)
;;    7c  c.addi16sp sp, 0x10
;;    7e  c.jr ra
