//! Leaving a function with an exception.
//!
//! Raising is a call of `aot_set_exception_with_id`, at one place in each function. A
//! word that says why and where (`trap_place`) is left for the host before it.
//! With hardware checks that helper jumps out to the host and never returns: it
//! touches the guard page that `invoke_native_with_hw_bound_check` waits for, and
//! that is the only way into compiled code. So nothing but an invalid instruction
//! follows it. With software checks it returns, the function returns zeros, and each
//! caller looks at the exception after each call and returns in turn
//! (`aot/aot_runtime.c`, `aot_set_exception_with_id`).

use super::control::to_args;
use super::function::Translator;
use crate::abi::{self, Helper, TrapId, exec_env, instance};
use crate::trap_place;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, TrapCode, Value, types};
use std::collections::BTreeMap;
use wasmparser::Operator;

impl Translator<'_, '_> {
    /// Continues only when `condition` is zero.
    pub fn trap_if(&mut self, condition: Value, id: TrapId) {
        self.trap_at(self.place, condition, id);
    }

    /// The same for something that belongs to another place.
    pub fn trap_at(&mut self, place: u32, condition: Value, id: TrapId) {
        let trap = self.trap_block(id, place);
        self.branch_away_if(condition, trap);
    }

    /// The next instruction. A straight line of accesses to memory has one place for all
    /// with software checks, the first one's: each check would else have a block.
    pub fn come_to(&mut self, place: u64, operator: &Operator<'_>) {
        // Beyond 4 GiB there is no module.
        let place = u32::try_from(place).unwrap_or(0);
        // A function that is not in the module has no places either.
        self.place = if self.start_place == 0 { 0 } else { place };
        if ends_line(operator) {
            self.access_place = None;
        }
    }

    pub fn trap_if_zero(&mut self, value: Value, id: TrapId) {
        let is_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, value, 0);
        self.trap_if(is_zero, id);
    }

    pub fn trap_always(&mut self, id: TrapId) {
        let trap = self.trap_block(id, self.place);
        self.builder.ins().jump(trap, &[]);
        self.is_reachable = false;
    }

    /// After a call that may have raised: with software checks, returns if it has.
    pub fn check_exception(&mut self) {
        if !self.env.checks_in_software() {
            return;
        }
        let flags = self.field();
        let offset = instance::CUR_EXCEPTION;
        let text = self.builder.ins().load(types::I8, flags, self.instance, offset);
        let bail = self.bail_block();
        self.branch_away_if(text, bail);
    }

    /// Returns when a helper's bool says that it has raised.
    pub fn bail_unless(&mut self, is_ok: Value) {
        let bail = self.bail_block();
        let has_failed = self.builder.ins().icmp_imm_s(IntCC::Equal, is_ok, 0);
        self.branch_away_if(has_failed, bail);
    }

    fn branch_away_if(&mut self, condition: Value, target: ir::Block) {
        let next = self.builder.create_block();
        self.builder.ins().brif(condition, target, &[], next, &[]);
        self.builder.switch_to_block(next);
        self.builder.seal_block(next);
    }

    fn trap_block(&mut self, id: TrapId, place: u32) -> ir::Block {
        let key = (id, place);
        if let Some(block) = self.trap_blocks.get(&key) {
            return *block;
        }
        let block = self.create_cold_block();
        self.trap_blocks.insert(key, block);
        block
    }

    fn bail_block(&mut self) -> ir::Block {
        match self.bail_block {
            Some(block) => block,
            None => {
                let block = self.create_cold_block();
                *self.bail_block.insert(block)
            }
        }
    }

    fn create_cold_block(&mut self) -> ir::Block {
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        block
    }

    /// Gives the blocks that were branched to their instructions, at the very end.
    pub fn fill_trap_blocks(&mut self) {
        let traps = std::mem::take(&mut self.trap_blocks);
        if !traps.is_empty() {
            self.raise_in_one_place(traps);
        }
        if let Some(block) = self.bail_block.take() {
            self.builder.switch_to_block(block);
            self.return_zeros();
        }
    }

    fn raise_in_one_place(&mut self, traps: BTreeMap<(TrapId, u32), ir::Block>) {
        let raise = self.create_cold_block();
        let word = self.builder.append_block_param(raise, types::I32);
        for ((id, place), block) in traps {
            self.builder.switch_to_block(block);
            let word = i64::from(trap_place::word(id as u32, place));
            let word = self.builder.ins().iconst(types::I32, word);
            self.builder.ins().jump(raise, &to_args(&[word]));
        }
        self.builder.switch_to_block(raise);
        // Loaded again, so that no register holds it all the way for this alone. The
        // flags must differ from those of the load on entry, or the two become one.
        let flags = self.field();
        let offset = exec_env::MODULE_INSTANCE;
        let instance = self.builder.ins().load(types::I64, flags, self.exec_env, offset);
        let id = self.builder.ins().ushr_imm_u(word, i64::from(trap_place::PLACE_BITS));
        let flags = self.field();
        self.builder.ins().store(flags, word, instance, instance::TRAP_WORD);
        self.call_helper(Helper::SetExceptionWithId, &[instance, id]);
        if self.env.checks_in_software() {
            let bail = self.bail_block();
            self.builder.ins().jump(bail, &[]);
        } else {
            self.builder.ins().trap(TrapCode::unwrap_user(1));
        }
    }

    fn return_zeros(&mut self) {
        let first = self.result_types.first().map(|ty| abi::value_type(*ty));
        let zeros: Vec<Value> = first.map(|ty| self.zero(ty)).into_iter().collect();
        self.builder.ins().return_(&zeros);
    }

    /// Returns `results`: the first by value, the others where the caller wants them.
    pub fn return_results(&mut self, results: &[Value]) {
        let results = self.seen_results(results);
        for (pointer, result) in self.result_pointers.iter().zip(results.iter().skip(1)) {
            let flags = MemFlagsData::new().with_notrap();
            self.builder.ins().store(flags, *result, *pointer, 0);
        }
        self.builder.ins().return_(&results[..results.len().min(1)]);
    }
}

/// Whether control may go elsewhere here or come from elsewhere.
fn ends_line(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::Block { .. }
            | O::Loop { .. }
            | O::If { .. }
            | O::Else
            | O::End
            | O::Br { .. }
            | O::BrIf { .. }
            | O::BrTable { .. }
            | O::BrOnNull { .. }
            | O::BrOnNonNull { .. }
            | O::Call { .. }
            | O::CallIndirect { .. }
            | O::CallRef { .. }
    )
}
