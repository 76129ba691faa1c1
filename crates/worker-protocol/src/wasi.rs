//! What a module may reach through WASI, and what became of a program.

use minicbor::{Decode, Encode};

/// Everything that is not named here is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WasiGrants {
    /// After the program's own name.
    #[cbor(n(0), default)]
    pub arguments: Vec<String>,
    /// `NAME=value`, as programs get it.
    #[cbor(n(1), default)]
    pub environment: Vec<String>,
    #[cbor(n(2), default)]
    pub output: WasiOutput,
    #[cbor(n(3), default)]
    pub clock: bool,
    #[cbor(n(4), default)]
    pub random: bool,
    #[cbor(n(5), default)]
    pub restart: Restart,
    /// One for each descriptor that the starter sends along, in that order.
    #[cbor(n(6), default)]
    pub directories: Vec<WasiDirectory>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WasiDirectory {
    /// Under which path the program finds it.
    #[n(0)]
    pub guest: String,
    /// What all files in it may have, `None` where it may not write.
    #[n(1)]
    pub bytes_max: Option<u64>,
    /// Symbolic links may be made: nobody but the program looks into it.
    #[n(2)]
    pub is_private: bool,
}

/// Where standard output and standard error go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum WasiOutput {
    #[default]
    #[n(0)]
    Denied,
    /// Line by line into the module's log, within its rate.
    #[n(1)]
    Log,
    /// To the starter as it is, in `Event::Wrote`; for people at a terminal.
    #[n(2)]
    Starter,
}

/// What follows the end of a program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Restart {
    /// Run again after a delay if it trapped or its exit code was not 0.
    #[default]
    #[n(0)]
    OnFailure,
    #[n(1)]
    Never,
    /// The same, and at its interval if all was well.
    #[n(2)]
    Always,
}

/// How a program has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProgramUsage {
    /// How often it was started.
    #[n(0)]
    pub runs: u64,
    /// Of the last run that ended by itself.
    #[n(1)]
    pub exit_code: Option<u32>,
    /// It is not run again.
    #[n(2)]
    pub is_finished: bool,
}

/// Most bytes of one [`crate::Event::Wrote`].
pub const WROTE_BYTES_MAX: usize = 64 * 1024;
