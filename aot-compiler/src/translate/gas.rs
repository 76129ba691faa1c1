//! Charges of a metered module: "add, store, compare" in the caller's place.
//!
//! The counter lives in a variable, so in a register, from one charge to the next; a
//! naive translation would wait for the last store of it at each charge. It is stored
//! at each charge, because almost anything can trap and a trap must find it exact; a
//! store whose value nothing waits for costs next to nothing. It is read anew after
//! calls, whose charges are in the global.
//!
//! The limit is read from memory at each charge, for another thread may lower it to
//! stop the code. No optimiser removes that read: counter and limit share an alias
//! region, and the counter has been stored since the last one. So a loop needs no
//! further check to be stopped.

use super::function::Translator;
use crate::abi::{InstanceLayout, TrapId};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AliasRegion, InstBuilder, MemFlagsData, Value, types};
use target_spec::metering::MeteringNote;

/// A metered module's counter, as all functions see it.
pub(crate) struct GasMeter {
    pub charge_function: u32,
    used_global: u32,
    limit_global: u32,
    used_offset: i32,
    limit_offset: i32,
}

impl GasMeter {
    /// The note is one that `recognise` has found true.
    pub fn new(note: &MeteringNote, layout: &InstanceLayout) -> Self {
        Self {
            charge_function: note.charge_function,
            used_global: note.used_global,
            limit_global: note.limit_global,
            used_offset: layout.global(note.used_global),
            limit_offset: layout.global(note.limit_global),
        }
    }
}

impl Translator<'_, '_> {
    /// Reads the counter on entry. The charging function itself is plain code.
    pub fn enter_gas(&mut self) {
        let is_charging = |meter: &GasMeter| meter.charge_function != self.function;
        if self.env.meter.as_ref().is_some_and(is_charging) {
            self.gas_used = Some(self.builder.declare_var(types::I64));
            self.reload_gas();
        }
    }

    /// After anything that may have charged, or be the host's.
    pub fn reload_gas(&mut self) {
        if let (Some(meter), Some(variable)) = (&self.env.meter, self.gas_used) {
            let used = self.load_gas(meter.used_offset);
            self.builder.def_var(variable, used);
        }
    }

    /// Whether a call of `function` is a charge that `charge` translates.
    pub fn is_charge(&self, function: u32) -> bool {
        let is_it = |meter: &GasMeter| meter.charge_function == function;
        self.gas_used.is_some() && self.env.meter.as_ref().is_some_and(is_it)
    }

    /// Takes the charge from the operand stack.
    pub fn charge(&mut self) {
        let (Some(meter), Some(variable)) = (&self.env.meter, self.gas_used) else { return };
        let gas = self.pop();
        let used = self.builder.use_var(variable);
        let used = self.builder.ins().iadd(used, gas);
        self.builder.def_var(variable, used);
        let flags = self.gas_flags();
        self.builder.ins().store(flags, used, self.instance, meter.used_offset);
        let limit = self.load_gas(meter.limit_offset);
        let is_spent = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, used, limit);
        // One place for all charges: which block was too much says little, and there
        // are as many as blocks.
        self.trap_at(self.start_place, is_spent, TrapId::Unreachable);
    }

    /// The alias region of a global: the counter and the limit have one of their own.
    pub fn region_of_global(&self, global: u32) -> AliasRegion {
        let is_gas = |meter: &GasMeter| [meter.used_global, meter.limit_global].contains(&global);
        match self.env.meter.as_ref().is_some_and(is_gas) {
            true => self.regions.gas,
            false => self.regions.globals,
        }
    }

    /// After a `global.set`, which in a module of another making may be the counter's.
    pub fn note_global_set(&mut self, global: u32) {
        if self.env.meter.as_ref().is_some_and(|meter| meter.used_global == global) {
            self.reload_gas();
        }
    }

    fn load_gas(&mut self, offset: i32) -> Value {
        let flags = self.gas_flags();
        self.builder.ins().load(types::I64, flags, self.instance, offset)
    }

    /// Not called aligned: the metering pass aligns both, but others may not.
    fn gas_flags(&self) -> MemFlagsData {
        MemFlagsData::new().with_notrap().with_alias_region(Some(self.regions.gas))
    }
}
