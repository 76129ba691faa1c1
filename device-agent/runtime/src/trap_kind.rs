//! What kind of trap WAMR's words are.

use module_traps::TrapKind;
use wamr::{Trap, TrapKind as Cause};

/// Why and where, as it is counted and told.
#[derive(Debug, Clone, Copy)]
pub struct Sort {
    pub kind: TrapKind,
    /// As compiled code left it.
    pub place: Option<u32>,
}

impl Sort {
    pub fn of(kind: TrapKind) -> Self {
        Self { kind, place: None }
    }
}

pub fn sort_of(trap: &Trap) -> Sort {
    Sort { kind: kind_of(trap), place: trap.place }
}

/// Words that are not WAMR's come from a host function.
fn kind_of(trap: &Trap) -> TrapKind {
    match trap.kind {
        Cause::OutOfGas => TrapKind::OutOfGas,
        Cause::Interrupted => TrapKind::Interrupted,
        Cause::Guest => kind_of_words(&trap.reason),
    }
}

/// `exception_msgs` in WAMR's common/wasm_runtime_common.c, with what its signal handler
/// and its bulk operations say.
fn kind_of_words(words: &str) -> TrapKind {
    match words {
        "unreachable" => TrapKind::Unreachable,
        "out of bounds memory access" => TrapKind::MemoryOutOfBounds,
        // An index beyond the table's end is out of its bounds too.
        "out of bounds table access" | "undefined element" => TrapKind::TableOutOfBounds,
        "integer divide by zero" => TrapKind::DivideByZero,
        "integer overflow" => TrapKind::IntegerOverflow,
        "invalid conversion to integer" => TrapKind::InvalidConversion,
        "indirect call type mismatch" => TrapKind::IndirectCallType,
        "uninitialized element" => TrapKind::IndirectCallNull,
        "native stack overflow" => TrapKind::StackOverflow,
        "allocate memory failed"
        | "out of memory"
        | "invalid function index"
        | "failed to call unlinked import function"
        | "unaligned atomic"
        | "wasm auxiliary stack overflow"
        | "wasm auxiliary stack underflow"
        | "wasm operand stack overflow"
        | "null function reference"
        | "unknown exception" => TrapKind::Other,
        _ => TrapKind::HostRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_function_says_is_its_refusal_and_what_wamr_says_is_not() {
        let kind = |words: &str| kind_of(&Trap::new(words));
        assert_eq!(kind("integer divide by zero"), TrapKind::DivideByZero);
        assert_eq!(kind("unknown exception"), TrapKind::Other);
        assert_eq!(kind("4 bytes at 70000 are beyond the memory"), TrapKind::HostRefused);
        assert_eq!(kind_of(&Trap::out_of_gas()), TrapKind::OutOfGas);
        assert_eq!(kind_of(&Trap::interrupted()), TrapKind::Interrupted);
    }
}
