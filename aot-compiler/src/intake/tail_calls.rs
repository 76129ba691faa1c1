//! Which functions take part in tail calls.
//!
//! A tail call takes the place of its caller, which only a calling convention of our
//! own allows: the C convention leaves the arguments on the stack to the caller. Each
//! function that makes tail calls or may be reached by one has that convention; all
//! others stay as they are, so a module without tail calls pays nothing.

use super::module_info::ModuleInfo;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(crate) struct TailCalls {
    /// Functions that make or are named by a tail call; imports may be among them.
    functions: BTreeSet<u32>,
    /// Canonical types of the tail calls through tables.
    pub indirect_types: BTreeSet<u32>,
    /// For each own function whether it has the convention for tail calls.
    is_member: Vec<bool>,
}

impl TailCalls {
    pub fn note_call(&mut self, caller: u32, callee: u32) {
        self.functions.extend([caller, callee]);
    }

    pub fn note_indirect(&mut self, caller: u32, canonical_type: u32) {
        self.functions.insert(caller);
        self.indirect_types.insert(canonical_type);
    }

    /// A table can hold any own function: a host may pass every reference.
    pub fn close(&mut self, info: &ModuleInfo<'_>) {
        if !self.are_used() {
            return;
        }
        let own = info.imported_function_count()..info.function_types.len() as u32;
        let is_member = |function: u32| {
            self.functions.contains(&function)
                || self.indirect_types.contains(&info.canonical_type_of(function))
        };
        self.is_member = own.map(is_member).collect();
    }

    pub fn are_used(&self) -> bool {
        !self.functions.is_empty()
    }

    /// Whether this own function has the convention for tail calls.
    pub fn contains(&self, own_index: u32) -> bool {
        self.is_member.get(own_index as usize).copied().unwrap_or(false)
    }
}
