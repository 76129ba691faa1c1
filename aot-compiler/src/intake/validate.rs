//! Complete validation, and the name of the proposal that a module needs beyond ours.

use crate::error::ModuleError;
use wasmparser::{Error, Parser, Payload, Validator, WasmFeatures};

/// What the translator implements: WebAssembly 1.0 and these proposals.
pub const SUPPORTED: WasmFeatures = WasmFeatures::WASM1
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::FUNCTION_REFERENCES)
    .union(VECTORS);

const VECTORS: WasmFeatures = WasmFeatures::SIMD.union(WasmFeatures::RELAXED_SIMD);

/// Proposals that are refused by name, with what each needs switched on to be
/// recognised. Where several would explain an error, the first is named.
const NAMED: [(&str, WasmFeatures); 11] = [
    ("threads", WasmFeatures::THREADS),
    ("multi-memory", WasmFeatures::MULTI_MEMORY),
    ("memory64", WasmFeatures::MEMORY64),
    ("exception-handling", WasmFeatures::EXCEPTIONS),
    ("legacy-exceptions", WasmFeatures::EXCEPTIONS.union(WasmFeatures::LEGACY_EXCEPTIONS)),
    ("gc", WasmFeatures::FUNCTION_REFERENCES.union(WasmFeatures::GC)),
    ("custom-page-sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    ("wide-arithmetic", WasmFeatures::WIDE_ARITHMETIC),
    ("compact-imports", WasmFeatures::COMPACT_IMPORTS),
    (
        "stack-switching",
        WasmFeatures::EXCEPTIONS
            .union(WasmFeatures::FUNCTION_REFERENCES)
            .union(WasmFeatures::STACK_SWITCHING),
    ),
    (
        "shared-everything-threads",
        WasmFeatures::THREADS
            .union(WasmFeatures::FUNCTION_REFERENCES)
            .union(WasmFeatures::GC)
            .union(WasmFeatures::SHARED_EVERYTHING_THREADS),
    ),
];

pub(crate) fn validate(wasm: &[u8]) -> Result<(), ModuleError> {
    match validate_with(wasm, SUPPORTED) {
        Ok(()) => Ok(()),
        Err(error) => Err(explain(wasm, &error)),
    }
}

fn validate_with(wasm: &[u8], features: WasmFeatures) -> Result<(), Error> {
    Validator::new_with_features(features).validate_all(wasm).map(|_| ())
}

fn explain(wasm: &[u8], error: &Error) -> ModuleError {
    // Whatever else is said of half a module is said of its wrong half.
    if super::sniff::is_cut_short(wasm) {
        return ModuleError::Truncated { offset: wasm.len() as u64 };
    }
    let offset = error.offset();
    if let Some(proposal) = find_missing_proposal(wasm, error) {
        return ModuleError::Unsupported {
            proposal,
            function: find_function(wasm, offset),
            offset,
        };
    }
    ModuleError::Invalid {
        message: error.message().to_owned(),
        function: find_function(wasm, offset),
        offset,
    }
}

/// Where a valid module first uses something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstUse {
    /// None outside of function bodies.
    pub function: Option<u32>,
    pub offset: u64,
}

/// Where the first vector is, for a target that has none.
pub(crate) fn first_use_of_simd(wasm: &[u8]) -> Option<FirstUse> {
    let error = validate_with(wasm, SUPPORTED.difference(VECTORS)).err()?;
    Some(FirstUse { function: find_function(wasm, error.offset()), offset: error.offset() })
}

/// The first proposal with which validation passes or at least gets further.
fn find_missing_proposal(wasm: &[u8], error: &Error) -> Option<&'static str> {
    let gets_further = |features: WasmFeatures| match validate_with(wasm, SUPPORTED | features) {
        Ok(()) => true,
        Err(later) => later.offset() > error.offset(),
    };
    let hinted = error.missing_wasm_feature();
    let is_hinted = |features: WasmFeatures| hinted.is_some_and(|hint| features.contains(hint));
    let by_hint = NAMED.iter().find(|(_, features)| is_hinted(*features));
    by_hint.or_else(|| NAMED.iter().find(|(_, features)| gets_further(*features))).map(|(n, _)| *n)
}

/// The function whose body covers `offset`, counted as Wasm counts functions.
fn find_function(wasm: &[u8], offset: u64) -> Option<u32> {
    let mut function = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    function += u32::from(matches!(import.ok()?.ty, wasmparser::TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => {
                if body.range().contains(&offset) {
                    return Some(function);
                }
                function += 1;
            }
            _ => {}
        }
    }
    None
}
