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
;;     c  beqz a3, 0x60
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
;;    62  lui a1, 0xc000
;;    66  addi a1, a1, 0x27
;;    6a  c.j 0xa
;;    6c  lui a1, 0x10000
;;    70  addi a1, a1, 0x27
;;    74  c.ld a0, 0x10(a0)
;;    76  sw a1, 0xe4(a0)
;;    7a  srliw a1, a1, 0x1a
;;    7e  c.slli a1, 0x20
;;    80  c.srai a1, 0x20
;;    82  call aot_set_exception_with_id
;;    8a  c.li a0, 0
;;    8c  c.ldsp ra, 8(sp)
;;    8e  c.ldsp s0, 0(sp)
;;    90  c.addi16sp sp, 0x10
;;    92  c.jr ra
;;    94  .zero 12
