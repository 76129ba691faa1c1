//! The command line of `farrier-gateway`.

use anyhow::Context;
use clap::{Parser, Subcommand};
use farrier_gateway::check::{SandboxError, SandboxPlan, enter_and_exec};
use farrier_gateway::config::Config;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Compiles WebAssembly modules for devices, signs them, and delivers them.
///
/// When it is ready, it prints one line of JSON with its addresses on standard
/// output; logs go to standard error, and RUST_LOG selects them.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, required = true)]
    config: Option<PathBuf>,
    /// Log lines as JSON.
    #[arg(long)]
    log_json: bool,
    #[command(subcommand)]
    command: Option<InnerCommand>,
}

/// What the gateway starts itself as.
#[derive(Subcommand)]
enum InnerCommand {
    /// Compile one module from standard input to standard output.
    #[command(hide = true)]
    CompileWorker {
        #[arg(long)]
        memory_bytes_max: u64,
        #[arg(long)]
        cpu_s_max: u64,
    },
    /// Give up rights, then become the command.
    #[command(hide = true)]
    CheckSandbox {
        #[arg(long)]
        best_effort: bool,
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(InnerCommand::CompileWorker { memory_bytes_max, cpu_s_max }) => {
            farrier_gateway::compile::run_worker(memory_bytes_max, cpu_s_max)
                .context("compile a module")
        }
        Some(InnerCommand::CheckSandbox { best_effort, command }) => {
            return become_runtime(&SandboxPlan { best_effort, command });
        }
        None => run_gateway(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("farrier-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn become_runtime(plan: &SandboxPlan) -> ExitCode {
    let Err(error) = enter_and_exec(plan);
    eprintln!("{error}");
    match error {
        SandboxError::CannotConfine { .. } => {
            ExitCode::from(farrier_gateway::check::CANNOT_CONFINE_STATUS)
        }
        _ => ExitCode::FAILURE,
    }
}

fn run_gateway(arguments: Arguments) -> anyhow::Result<()> {
    start_log(arguments.log_json);
    let path = arguments.config.context("give a configuration by --config FILE")?;
    let config = Config::read(&path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(farrier_gateway::startup::run(config));
    // A job on a blocking thread may take longer than anyone wants to wait.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

fn start_log(as_json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if as_json { log.json().init() } else { log.with_ansi(false).init() }
}
