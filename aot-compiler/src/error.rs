//! Why a module was not compiled, in the three classes that a user can act on.
//!
//! [`ModuleError`]: the input is bad or wants what we do not have. `TargetCannot`
//! and `NotExpressible`: the module is fine, but not for this target or this file
//! format. `Bug`: the module is fine and we are not.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    #[error("this is not a WebAssembly module but {looks_like}; {advice}")]
    NotWasm { looks_like: &'static str, advice: &'static str },
    #[error(
        "the module ends at byte {offset} in the middle of something; it was cut off, so build or upload it again"
    )]
    Truncated { offset: u64 },
    #[error(
        "the module uses the WebAssembly proposal \"{proposal}\"{}, which this compiler does not support; build it without that feature",
        Place { function: *function, offset: *offset }
    )]
    Unsupported { proposal: &'static str, function: Option<u32>, offset: u64 },
    #[error(
        "the module is not valid: {message}{}; the tool that made it is at fault",
        Place { function: *function, offset: *offset }
    )]
    Invalid { message: String, function: Option<u32>, offset: u64 },
    #[error("the module has too many or too large {what}: {found}, and the limit is {limit}")]
    LimitExceeded { what: &'static str, limit: u64, found: u64 },
    #[error(
        "the module has the {what} {name:?}, a name that gas metering needs for itself; rename it, or give the module as it was before it was metered"
    )]
    Reserved { what: &'static str, name: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error("target {target} cannot do it: {why}")]
    TargetCannot { target: String, why: String },
    /// A valid module which an AoT file cannot represent or WAMR cannot host.
    #[error("the module cannot run on a device: {why}")]
    NotExpressible { why: String },
    #[error("we have a bug: {message}; please report it together with the module")]
    Bug { message: String },
}

impl CompileError {
    pub(crate) fn bug(message: impl fmt::Display) -> Self {
        Self::Bug { message: message.to_string() }
    }
}

/// Refuses `found` above `limit`.
pub(crate) fn check_limit(what: &'static str, found: u64, limit: u64) -> Result<(), ModuleError> {
    if found > limit {
        return Err(ModuleError::LimitExceeded { what, limit, found });
    }
    Ok(())
}

/// " in function 3 at byte 0x1f", as far as it is known.
pub(crate) struct Place {
    pub function: Option<u32>,
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(function) = self.function {
            write!(f, " in function {function}")?;
        }
        write!(f, " at byte {:#x}", self.offset)
    }
}
