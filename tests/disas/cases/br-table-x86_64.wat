;;! target = x86_64-linux
;;! bounds = hardware
(module
  (export "run" (func 0))
  (func (param i32) (result i32)
    (block $a (block $b (block $c (block $d
      (br_table $a $b $c $d (local.get 0)))
      (return (i32.const 13)))
      (return (i32.const 12)))
      (return (i32.const 11)))
    (i32.const 10)))
;; function[0] "run" (i32) -> i32
;;     0  push rbp
;;     1  mov rbp, rsp
;;     4  mov r10d, 3
;;     a  mov r11d, esi
;;     d  cmp r11d, r10d
;;    10  cmovb r10d, r11d
;;    14  lea rcx, [rip + 9]
;;    1b  movsxd rax, dword ptr [rcx + r10*4]
;;    1f  add rcx, rax
;;    22  jmp rcx
;;    24  and al, 0
;;    26  add byte ptr [rax], al
;;    28  sbb al, byte ptr [rax]
;;    2a  add byte ptr [rax], al
;;    2c  adc byte ptr [rax], al
;;    2e  add byte ptr [rax], al
;;    30  add byte ptr cs:[rax], al
;;    33  add byte ptr [rax + 0xc], bh
;;    39  jmp 0x57
;;    3e  mov eax, 0xb
;;    43  jmp 0x57
;;    48  mov eax, 0xa
;;    4d  jmp 0x57
;;    52  mov eax, 0xd
;;    57  mov rsp, rbp
;;    5a  pop rbp
;;    5b  ret
;;    5c  .zero 4
