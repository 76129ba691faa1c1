//! What guests may import, one file a module of imports.

mod spectest;
mod wasi;

use executor::protocol::{GuestInput, OUTPUT_BYTES_MAX};
use wamr::{Caller, RegisterError, Runtime};

/// What host functions keep for one instance.
#[derive(Default)]
pub struct GuestState {
    pub input: GuestInput,
    stdin_read: usize,
    output: Vec<u8>,
    errors: Vec<u8>,
    exit_code: Option<u32>,
    clock_reads: u64,
    random_state: u64,
}

impl GuestState {
    pub fn of(input: GuestInput) -> Self {
        Self { input, ..Self::default() }
    }

    /// What the guest printed since this was last asked, and what it complained.
    pub fn take_output(&mut self) -> (Vec<u8>, Vec<u8>) {
        (std::mem::take(&mut self.output), std::mem::take(&mut self.errors))
    }

    /// Whether the last trap was the guest's own end.
    pub fn take_exit_code(&mut self) -> Option<u32> {
        self.exit_code.take()
    }
}

pub fn register(runtime: &Runtime) -> Result<(), RegisterError> {
    spectest::register(runtime)?;
    wasi::register(runtime)
}

/// Keeps what a guest prints.
fn print(caller: &mut Caller<'_>, text: &[u8]) {
    if let Some(state) = caller.state::<GuestState>() {
        keep(&mut state.output, text);
    }
}

/// Up to the limit of an answer.
fn keep(kept: &mut Vec<u8>, text: &[u8]) {
    let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
    kept.extend_from_slice(&text[..text.len().min(room)]);
}
