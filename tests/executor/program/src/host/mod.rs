//! What guests may import, one file a module of imports.
//!
//! `spectest` is here. A deterministic subset of WASI preview 1 belongs beside it as
//! `wasi.rs`, with what it needs of an instance in [`GuestState`]; then it registers
//! itself below.

mod spectest;

use executor::protocol::OUTPUT_BYTES_MAX;
use wamr::{Caller, RegisterError, Runtime};

/// What host functions keep for one instance.
#[derive(Default)]
pub struct GuestState {
    output: Vec<u8>,
}

impl GuestState {
    /// What the guest printed since this was last asked.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }
}

pub fn register(runtime: &Runtime) -> Result<(), RegisterError> {
    spectest::register(runtime)
}

/// Keeps what a guest prints, up to the limit of an answer.
fn print(caller: &mut Caller<'_>, text: &[u8]) {
    if let Some(state) = caller.state::<GuestState>() {
        let room = OUTPUT_BYTES_MAX - state.output.len().min(OUTPUT_BYTES_MAX);
        state.output.extend_from_slice(&text[..text.len().min(room)]);
    }
}
