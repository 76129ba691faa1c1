//! A device on this machine: the runtime that devices have, started without agent,
//! gateway or network. `farrier run` and `farrier test` are built on it.

mod device;
pub mod find;
mod grants;
mod guest_file;
mod link;
mod payload;

pub use device::{Local, ended_for_its_time, stopped, unexpected};
pub use grants::SensorArg;
pub use guest_file::read_guest;
pub use payload::{Payload, plain};

use crate::commands::deploy::parse_bytes;
use clap::Args;
use module_limits::memory_bytes_default;
use std::path::PathBuf;
use worker_protocol::Limits;

/// As a deployment has them.
const CALL_MS_DEFAULT: u32 = 1_000;
const STACK_BYTES: u32 = 256 << 10;
const LOG_LINES_PER_S_MAX: u32 = 20;
const PUBLISHES_PER_S_MAX: u32 = 100;
const WASM_PAGE_BYTES: u64 = 65_536;

/// One that is no module at all is refused later.
fn start_bytes(wasm: &[u8]) -> u64 {
    let memory = aot_compiler::census(wasm).ok().and_then(|census| census.memory);
    memory.map_or(0, |memory| u64::from(memory.min_pages) * WASM_PAGE_BYTES)
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The device on this machine")]
pub struct LocalArgs {
    /// The farrier-runtime to use [default: the one beside farrier, else the one in PATH]
    #[arg(long, value_name = "FILE", env = "FARRIER_RUNTIME")]
    runtime: Option<PathBuf>,
    /// Words to put before a runtime of another architecture, such as
    /// "qemu-riscv64-static -L /usr/riscv64-linux-gnu"
    #[arg(long, value_name = "WORDS", env = "FARRIER_LAUNCHER")]
    launcher: Option<String>,
    /// Linear memory at most, such as 65536, 64KiB or 2MiB [default: 16MiB, and as much above
    /// its start for a module that starts with more]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    memory_bytes_max: Option<u64>,
    /// Time that one call may take [default: 1000, for a program 60000]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub call_ms_max: Option<u32>,
    /// Gas that one call may take, and that init or tick traps without
    #[arg(long, value_name = "GAS", conflicts_with = "no_metering")]
    gas_per_call: Option<u64>,
    /// Do not count gas
    #[arg(long)]
    no_metering: bool,
}

impl LocalArgs {
    pub fn limits(&self, wasm: &[u8]) -> Limits {
        Limits {
            memory_bytes_max: self
                .memory_bytes_max
                .unwrap_or_else(|| memory_bytes_default(start_bytes(wasm))),
            stack_bytes: STACK_BYTES,
            call_ms_max: self.call_ms_max.unwrap_or(CALL_MS_DEFAULT),
            log_lines_per_s_max: LOG_LINES_PER_S_MAX,
            publishes_per_s_max: PUBLISHES_PER_S_MAX,
            gas_per_call_max: self.gas_per_call,
            gas_per_s_max: None,
            actions: None,
        }
    }
}
