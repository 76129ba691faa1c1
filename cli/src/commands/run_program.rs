//! The part of `farrier run` that is about WASI: what a module gets, and a program's end.

use crate::commands::wasi_args::parse_variable;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::local::Local;
use clap::Args;
use module_limits::Limit;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use worker_protocol::{
    Command, DIRECTORIES_MAX, Event, Restart, WASI_START, WasiCapability, WasiDirectory,
    WasiGrants, WasiOutput,
};

/// A call of a module that ticks is short; a program is one call.
pub const PROGRAM_MS_MAX: u32 = 60_000;

/// As shells have it for what SIGINT ends.
const STOPPED: Exit = Exit::OfProgram(130);

/// What a folder may hold, so that a mistake does not fill the disk.
const DIRECTORY_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, Args)]
#[command(next_help_heading = "WASI (docs/wasi.md)")]
pub struct ProgramArgs {
    /// A variable of its environment; can be given several times
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    environment: Vec<(String, String)>,
    /// A folder of this machine that it may read and write, and where it finds it, such as
    /// /data=./out; can be given several times
    #[arg(long = "dir", value_name = "GUEST=PATH", value_parser = parse_directory)]
    directories: Vec<(String, PathBuf)>,
    /// Arguments of a program, after --
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

impl ProgramArgs {
    /// Whoever runs it sees what it writes; clocks and random bytes are this machine's.
    pub fn to_grants(&self) -> WasiGrants {
        let variables = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        WasiGrants {
            arguments: self.arguments.clone(),
            environment: variables.collect(),
            output: WasiOutput::Starter,
            clock: true,
            random: true,
            restart: Restart::Never,
            directories: self.directories.iter().map(to_directory).collect(),
        }
    }

    /// One for each directory of the grants.
    pub fn open_directories(&self) -> Result<Vec<File>, Failure> {
        if self.directories.len() > DIRECTORIES_MAX {
            let message = format!("--dir is given more than {DIRECTORIES_MAX} times");
            return Err(Failure::new(Exit::Usage, message));
        }
        let open = |(_, path): &(String, PathBuf)| {
            let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
                true => Ok(file),
                false => Err(io::ErrorKind::NotADirectory.into()),
            });
            opened.map_err(|e| {
                Failure::new(Exit::Failed, format!("open {}", path.display())).because(&e)
            })
        };
        self.directories.iter().map(open).collect()
    }
}

fn to_directory((guest, _): &(String, PathBuf)) -> WasiDirectory {
    // Links are for who owns the folder alone; what a program writes is bounded all the same.
    WasiDirectory { guest: guest.clone(), bytes_max: Some(DIRECTORY_BYTES_MAX), is_private: false }
}

fn parse_directory(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((guest, path)) if guest.starts_with('/') && !path.is_empty() => {
            Ok((guest.to_owned(), path.into()))
        }
        _ => Err("give where the program finds it, which begins with '/', '=' and a folder".into()),
    }
}

impl ProgramArgs {
    /// What is given to a module that cannot see it is given by mistake.
    pub fn warn_if_in_vain(&self, wasm: &[u8], console: &Console) {
        let given = [
            (WasiCapability::Arguments, "arguments", self.arguments.is_empty()),
            (WasiCapability::Environment, "--env", self.environment.is_empty()),
            (WasiCapability::Directories, "--dir", self.directories.is_empty()),
        ];
        let Ok(census) = aot_compiler::census(wasm) else { return };
        let imports: Vec<String> =
            census.imports.iter().map(|i| format!("{}.{}", i.module, i.name)).collect();
        let needs = WasiCapability::needed_by(imports.iter().map(String::as_str));
        for (capability, what, is_empty) in given {
            if !is_empty && !needs.contains(&capability) {
                console.warn(format!("{what} in vain: the module imports no function to see them"));
            }
        }
    }
}

/// Whether the module is a program. One that is no module at all is refused later.
pub fn is_program(wasm: &[u8]) -> bool {
    let census = aot_compiler::census(wasm);
    census.is_ok_and(|census| census.exports.iter().any(|export| export.name == WASI_START))
}

/// How it ended.
pub struct Ended {
    /// `None`: it trapped.
    pub exit_code: Option<u32>,
    pub detail: String,
}

impl Ended {
    /// `farrier run` ends as it did.
    pub fn into_result(self) -> Result<(), Failure> {
        match self.exit_code {
            Some(0) => Ok(()),
            // What does not fit is no success either.
            Some(code) => {
                let code = u8::try_from(code).unwrap_or(1);
                Err(Failure::new(Exit::OfProgram(code), self.detail))
            }
            None => Err(Failure::new(Exit::Failed, format!("it {}", self.detail))),
        }
    }
}

/// Runs it to its end; what happens until then goes to `tell`.
pub async fn run_to_end(
    local: &mut Local,
    call_ms_max: u32,
    mut tell: impl FnMut(Event) -> Result<(), Failure>,
) -> Result<Ended, Failure> {
    local.send(&Command::Start { interval_ms: 1_000, stored: Some(vec![]) }).await?;
    loop {
        let event = tokio::select! {
            event = local.next_whenever() => event?,
            told = tokio::signal::ctrl_c() => return Err(match told {
                Ok(()) => Failure::new(STOPPED, "it was stopped by Ctrl-C"),
                Err(error) => Failure::new(Exit::Failed, "wait for Ctrl-C").because(&error),
            }),
        };
        match event {
            Event::Finished { exit_code, detail, .. } => return Ok(Ended { exit_code, detail }),
            Event::Asked(asked) => drop(local.answer(asked).await?),
            Event::LimitStop { limit: Limit::CallTime, .. } | Event::Overrun { .. } => {
                let message = format!("it ran longer than its {call_ms_max} ms and was ended");
                let longer = format!("--call-ms-max with more, up to {PROGRAM_MS_MAX}");
                let failure = Failure::new(Exit::OutOfTime, message);
                return Err(match call_ms_max {
                    PROGRAM_MS_MAX => failure.or_try("several runs that do a part each"),
                    _ => failure.or_try(longer),
                });
            }
            other => tell(other)?,
        }
    }
}

/// What a module writes, as it is.
pub fn pass_on(is_error: bool, bytes: &[u8]) -> Result<(), Failure> {
    let written = match is_error {
        true => io::stderr().write_all(bytes),
        false => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Exit::ClosedPipe, "nobody reads stdout"),
        _ => Failure::new(Exit::Failed, "write what the module wrote").because(&error),
    })
}
