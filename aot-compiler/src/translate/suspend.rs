//! The look at a word that another thread may set to stop the code.
//!
//! Once in each turn of a loop and on each entry of a function, so that no code runs
//! long without it. A metered module needs none: it compares with its limit in just
//! these places, and a limit of 0 stops it.

use super::function::Translator;
use crate::abi::{TrapId, exec_env};
use cranelift_codegen::ir::{InstBuilder, types};

impl Translator<'_, '_> {
    /// Ends as `unreachable`; the host knows what it asked for.
    pub fn check_suspend(&mut self) {
        if !self.env.suspend_checks || self.gas_used.is_some() {
            return;
        }
        // A plain load would be taken out of the loop or left out. The sequence point
        // forbids that and is no instruction itself; an atomic load would be a fence
        // on riscv64. Nobody waits for this word to order others.
        self.builder.ins().sequence_point();
        let flags = self.field();
        let offset = exec_env::SUSPEND_FLAGS;
        let flags = self.builder.ins().load(types::I32, flags, self.exec_env, offset);
        self.trap_at(self.start_place, flags, TrapId::Unreachable);
    }
}
