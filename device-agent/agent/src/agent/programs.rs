//! Modules that are WASI programs: what they are given, and their end.

use super::Agent;
use crate::Moment;
use crate::app_files::{self, Granted};
use crate::config::Config;
use crate::install::WorkerInput;
use crate::refusal::{DETAIL_BYTES_MAX, shorten};
use module_package::{WasiProvisions, WasiRestart};
use worker_protocol::{Restart, WasiDirectory, WasiGrants, WasiOutput};

pub(super) fn to_grants(wasi: WasiProvisions, config: &Config) -> WasiGrants {
    let directory = |asked: &module_package::WasiDirectory| {
        let Granted { guest, bytes_max, is_private } = app_files::granted(asked, config);
        WasiDirectory { guest: guest.to_owned(), bytes_max, is_private }
    };
    let directories = wasi.directories.iter().map(directory).collect();
    let variables = wasi.environment.into_iter();
    WasiGrants {
        arguments: wasi.arguments,
        environment: variables.map(|entry| format!("{}={}", entry.key, entry.value)).collect(),
        output: match wasi.log {
            Some(true) => WasiOutput::Log,
            _ => WasiOutput::Denied,
        },
        clock: wasi.clock.unwrap_or(false),
        random: wasi.random.unwrap_or(false),
        restart: match wasi.restart.unwrap_or_default() {
            WasiRestart::OnFailure => Restart::OnFailure,
            WasiRestart::Never => Restart::Never,
            WasiRestart::Always => Restart::Always,
        },
        directories,
    }
}

impl Agent {
    /// A program has ended by itself. Good ends are not worth a line each time.
    pub(super) fn note_end(
        &mut self,
        app: String,
        exit_code: Option<u32>,
        detail: String,
        again_in_ms: Option<u32>,
        now: Moment,
    ) -> WorkerInput {
        let detail = shorten(detail, DETAIL_BYTES_MAX);
        let is_good = exit_code == Some(0);
        if again_in_ms.is_none() {
            let level = if is_good { "info" } else { "error" };
            self.log_line(app, level, format!("the program {detail}"), now);
        }
        WorkerInput::Finished { is_good, is_last: again_in_ms.is_none(), detail }
    }
}
