//! Why modules trap: a closed set of kinds, and how often each came.
//!
//! One table for all who speak of it: the worker counts (`worker-protocol`), the report
//! tells (`device-protocol`), the API shows (`gateway-api`). The numbers are on the wire
//! and only ever added; `docs/reports.md` says for people what each is.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum TrapKind {
    #[n(0)]
    Unreachable,
    #[n(1)]
    MemoryOutOfBounds,
    #[n(2)]
    TableOutOfBounds,
    #[n(3)]
    DivideByZero,
    /// A quotient or a converted number that is too large.
    #[n(4)]
    IntegerOverflow,
    /// Not a number, where an integer was to be made of it.
    #[n(5)]
    InvalidConversion,
    /// A function of another type in the table.
    #[n(6)]
    IndirectCallType,
    /// An empty entry of the table.
    #[n(7)]
    IndirectCallNull,
    #[n(8)]
    StackOverflow,
    #[n(9)]
    OutOfGas,
    /// The call ran longer than its limit and was interrupted.
    #[n(10)]
    Interrupted,
    /// A host function did not do what it was asked, such as reading beyond the memory.
    #[n(11)]
    HostRefused,
    #[n(12)]
    Other,
}

use TrapKind::{
    DivideByZero, HostRefused, IndirectCallNull, IndirectCallType, IntegerOverflow, Interrupted,
    InvalidConversion, MemoryOutOfBounds, Other, OutOfGas, StackOverflow, TableOutOfBounds,
    Unreachable,
};

impl TrapKind {
    pub const ALL: [TrapKind; 13] = [
        Unreachable,
        MemoryOutOfBounds,
        TableOutOfBounds,
        DivideByZero,
        IntegerOverflow,
        InvalidConversion,
        IndirectCallType,
        IndirectCallNull,
        StackOverflow,
        OutOfGas,
        Interrupted,
        HostRefused,
        Other,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Unreachable => "unreachable",
            MemoryOutOfBounds => "memory-out-of-bounds",
            TableOutOfBounds => "table-out-of-bounds",
            DivideByZero => "divide-by-zero",
            IntegerOverflow => "integer-overflow",
            InvalidConversion => "invalid-conversion",
            IndirectCallType => "indirect-call-type",
            IndirectCallNull => "indirect-call-null",
            StackOverflow => "stack-overflow",
            OutOfGas => "out-of-gas",
            Interrupted => "interrupted",
            HostRefused => "host-refused",
            Other => "other",
        }
    }
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How often each kind came; the kinds that never did are left out, also on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct TrapCounts(Vec<TrapCount>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(array)]
pub struct TrapCount {
    #[n(0)]
    pub kind: TrapKind,
    #[n(1)]
    pub count: u64,
}

impl TrapCounts {
    pub fn note(&mut self, kind: TrapKind) {
        self.add_one(TrapCount { kind, count: 1 });
    }

    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|count| self.add_one(*count));
    }

    pub fn of(&self, kind: TrapKind) -> u64 {
        self.0.iter().filter(|of| of.kind == kind).fold(0, |sum, of| sum.saturating_add(of.count))
    }

    pub fn iter(&self) -> impl Iterator<Item = TrapCount> + '_ {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each kind once, whatever a stranger wrote.
    pub fn bound(&mut self) {
        let said = std::mem::take(&mut self.0);
        said.into_iter().filter(|of| of.count > 0).for_each(|of| self.add_one(of));
    }

    fn add_one(&mut self, more: TrapCount) {
        match self.0.iter_mut().find(|known| known.kind == more.kind) {
            Some(known) => known.count = known.count.saturating_add(more.count),
            None => self.0.push(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_what_they_have_been() {
        let mut counts = TrapCounts::default();
        assert_eq!(minicbor::to_vec(&counts).unwrap(), [0x80]);
        counts.note(TrapKind::DivideByZero);
        counts.note(TrapKind::Other);
        counts.note(TrapKind::DivideByZero);
        let bytes = minicbor::to_vec(&counts).unwrap();
        assert_eq!(bytes, [0x82, 0x82, 0x03, 0x02, 0x82, 0x0c, 0x01]);
        assert_eq!(minicbor::decode::<TrapCounts>(&bytes).unwrap(), counts);
        for (number, kind) in TrapKind::ALL.into_iter().enumerate() {
            assert_eq!(minicbor::to_vec(kind).unwrap(), [number as u8]);
        }
    }

    #[test]
    fn what_a_stranger_says_is_added_up_within_bounds() {
        let many = (0..1_000)
            .map(|n| TrapCount { kind: TrapKind::ALL[n % TrapKind::ALL.len()], count: u64::MAX });
        let mut counts = TrapCounts(many.collect());
        counts.bound();
        assert_eq!(counts.iter().count(), TrapKind::ALL.len());
        assert_eq!(counts.of(TrapKind::Unreachable), u64::MAX);
        let mut none = TrapCounts(vec![TrapCount { kind: TrapKind::Other, count: 0 }]);
        none.bound();
        assert!(none.is_empty());
    }

    #[test]
    fn the_names_are_those_of_json() {
        for kind in TrapKind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
        }
    }
}
