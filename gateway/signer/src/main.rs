//! `farrier-signer`: holds the release key, alone, under a uid of its own.
//!
//! The gateway asks over a Unix socket for the signature on a release. The signer
//! believes nothing of what it is told: it reads the release itself, holds it against
//! its own rules ([`rules`]), if it is told to compiles the module again and compares
//! ([`recompile`]), writes the signature into its own log ([`log`]), and only then
//! hands it out. A thief of the gateway has this key as little as the gateway.
//!
//! It reads one configuration file ([`config`]) and listens on nothing but its socket.

mod config;
mod log;
mod recompile;
mod rules;
mod server;
mod signer;

use anyhow::Context;
use clap::{Parser, Subcommand};
use compile_worker::{CANNOT_CONFINE_STATUS, WorkerError, WorkerLimits, run_worker};
use config::Config;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Signs releases for a Farrier gateway, and holds the release key in its place.
///
/// When it is ready, it prints one line of JSON with its socket and its public key on
/// standard output; logs go to standard error, and RUST_LOG selects them.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, required = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Check the chain of a log of signatures, and print how many it holds.
    VerifyLog {
        /// The log file.
        file: PathBuf,
    },
    /// Compile one module from standard input to standard output.
    #[command(hide = true)]
    CompileWorker {
        #[arg(long)]
        memory_bytes_max: u64,
        #[arg(long)]
        cpu_s_max: u64,
        #[arg(long)]
        open_files_max: u64,
        #[arg(long)]
        best_effort: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::CompileWorker {
            memory_bytes_max: memory_bytes,
            cpu_s_max: cpu_s,
            open_files_max: open_files,
            best_effort,
        }) => {
            return compile_one(&WorkerLimits { memory_bytes, cpu_s, open_files, best_effort });
        }
        Some(Command::VerifyLog { file }) => verify_log(&file),
        None => run(arguments.config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("farrier-signer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compile_one(limits: &WorkerLimits) -> ExitCode {
    let Err(error) = run_worker(limits) else { return ExitCode::SUCCESS };
    let status = match &error {
        WorkerError::CannotConfine(_) => ExitCode::from(CANNOT_CONFINE_STATUS),
        WorkerError::Frame(_) => ExitCode::FAILURE,
    };
    eprintln!("{:#}", anyhow::Error::from(error));
    status
}

fn verify_log(file: &std::path::Path) -> anyhow::Result<()> {
    let state = log::verify(file)?;
    println!("{} entries, the last with hash {}", state.entries, state.head);
    if state.torn_bytes > 0 {
        println!("and {} bytes of an entry that was cut off", state.torn_bytes);
    }
    Ok(())
}

fn run(config: Option<PathBuf>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(false).init();
    let path = config.context("give a configuration by --config FILE")?;
    let config = Config::read(&path)?;
    let program = std::env::current_exe().context("find the signer's own program")?;
    server::serve(&config, program)
}
