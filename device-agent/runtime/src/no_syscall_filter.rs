//! In place of `syscall_filter` on 32-bit Arm, for whose system calls `seccompiler` has
//! no program. Nothing is loaded there: no code generator makes anything for it.

pub fn install(_: bool) -> Result<(), Box<dyn std::error::Error>> {
    Err("there is no filter of system calls for this architecture".into())
}
