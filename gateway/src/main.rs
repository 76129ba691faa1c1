//! The command line of `farrier-gateway`.

mod upkeep;

use anyhow::Context;
use clap::{Parser, Subcommand};
use farrier_gateway::authority::Authority;
use farrier_gateway::check::{SandboxError, SandboxPlan, enter_and_exec};
use farrier_gateway::compile::{
    OPEN_FILES_MAX, Tries, WorkerError, WorkerLimits, run_probe, run_worker,
};
use farrier_gateway::config::{Config, LogFormat, TracesConfig};
use farrier_gateway::mqtt::mosquitto::write_configuration;
use farrier_gateway::store::data_dir::prepare_keys_dir;
use farrier_gateway::surroundings::Surroundings;
use farrier_gateway::traces::{self, Sending};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

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
    /// Log lines as JSON, as `log_format = "json"` in the configuration.
    #[arg(long)]
    log_json: bool,
    #[command(subcommand)]
    command: Option<InnerCommand>,
}

/// What is done with a data directory, and what the gateway starts itself as.
#[derive(Subcommand)]
enum InnerCommand {
    /// Write everything but the keys into one file, also while the gateway runs.
    Backup {
        #[arg(long)]
        config: PathBuf,
        /// The keys too: who has the file can then sign for your devices.
        #[arg(long)]
        with_keys: bool,
        file: PathBuf,
    },
    /// Make the data directory, which must be empty or absent, of a backup.
    Restore {
        #[arg(long)]
        config: PathBuf,
        file: PathBuf,
    },
    /// Check the journal's whole chain and the blobs, or a backup; change nothing.
    Verify {
        #[arg(long, required_unless_present = "backup")]
        config: Option<PathBuf>,
        #[arg(long, conflicts_with = "config")]
        backup: Option<PathBuf>,
    },
    /// Write what mosquitto needs to be this gateway's broker: its configuration, its
    /// rights, and a certificate of the gateway's authority.
    MosquittoConfig {
        /// The gateway's configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The folder to write to; mosquitto's user must be able to read it.
        #[arg(long)]
        out: PathBuf,
        /// Where mosquitto listens.
        #[arg(long, default_value = "127.0.0.1:8883")]
        listen: SocketAddr,
        /// Names and addresses by which devices reach it.
        #[arg(long = "host", required = true)]
        hosts: Vec<String>,
        /// How long its certificate is valid; run this again before.
        #[arg(long, default_value_t = 365)]
        days: u64,
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
    /// Confine this process as a compile worker, and say what it can still do.
    #[command(hide = true)]
    ConfinementProbe {
        #[arg(long)]
        read: Vec<PathBuf>,
        #[arg(long)]
        create: Vec<PathBuf>,
        #[arg(long)]
        connect: Vec<SocketAddr>,
        #[arg(long)]
        connect_unix: Vec<PathBuf>,
        #[arg(long)]
        start: Vec<PathBuf>,
        #[arg(long, default_value_t = OPEN_FILES_MAX)]
        open_files_max: u64,
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
        Some(InnerCommand::MosquittoConfig { config, out, listen, hosts, days }) => {
            write_mosquitto_config(&config, &out, listen, &hosts, days)
        }
        Some(InnerCommand::CompileWorker {
            memory_bytes_max: memory_bytes,
            cpu_s_max: cpu_s,
            open_files_max: open_files,
            best_effort,
        }) => {
            let limits = WorkerLimits { memory_bytes, cpu_s, open_files, best_effort };
            return compile_one(&limits);
        }
        Some(InnerCommand::ConfinementProbe {
            read,
            create,
            connect,
            connect_unix,
            start,
            open_files_max: open_files,
        }) => probe(open_files, &Tries { read, create, connect, connect_unix, start }),
        Some(InnerCommand::CheckSandbox { best_effort, command }) => {
            return become_runtime(&SandboxPlan { best_effort, command });
        }
        Some(InnerCommand::Backup { config, with_keys, file }) => {
            upkeep::backup(&config, &file, with_keys)
        }
        Some(InnerCommand::Restore { config, file }) => upkeep::restore(&config, &file),
        Some(InnerCommand::Verify { backup: Some(file), .. }) => upkeep::verify_backup(&file),
        Some(InnerCommand::Verify { config, .. }) => {
            // clap asks for one of the two.
            upkeep::verify(&config.unwrap_or_default())
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

fn write_mosquitto_config(
    config: &Path,
    out: &Path,
    listen: SocketAddr,
    hosts: &[String],
    days: u64,
) -> anyhow::Result<()> {
    let config = Config::read(config)?;
    let keys = prepare_keys_dir(&config.data_dir)?;
    let valid = std::time::Duration::from_secs(days.saturating_mul(24 * 3_600));
    let authority = Authority::open(&keys, &Surroundings::of_the_system(), valid)?;
    let out = std::path::absolute(out).context("find the folder to write to")?;
    let written = write_configuration(&authority, &out, listen, hosts)?;
    println!("{}", written.display());
    Ok(())
}

fn compile_one(limits: &WorkerLimits) -> ExitCode {
    match run_worker(limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let status = match &error {
                WorkerError::CannotConfine(_) => {
                    ExitCode::from(farrier_gateway::compile::CANNOT_CONFINE_STATUS)
                }
                WorkerError::Frame(_) => ExitCode::FAILURE,
            };
            // With its causes: the gateway looks for "out of memory" among them.
            eprintln!("{:#}", anyhow::Error::from(error));
            status
        }
    }
}

fn probe(open_files: u64, tries: &Tries) -> anyhow::Result<()> {
    let limits = WorkerLimits { memory_bytes: 1 << 30, cpu_s: 60, open_files, best_effort: false };
    for line in run_probe(&limits, tries)? {
        println!("{line}");
    }
    Ok(())
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
    let path = arguments.config.context("give a configuration by --config FILE")?;
    let config = Config::read(&path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let as_json = arguments.log_json || config.log_format == LogFormat::Json;
    let result = {
        // Ends while there is a runtime to send by.
        let _sending = {
            let _on_runtime = runtime.enter();
            start_log(as_json, config.traces.as_ref())?
        };
        runtime.block_on(farrier_gateway::startup::run(config))
    };
    // A job on a blocking thread may take longer than anyone wants to wait.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

fn start_log(as_json: bool, traces: Option<&TracesConfig>) -> anyhow::Result<Sending> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Spans of libraries would stand between a line and the ids of its request.
    let own_spans = filter_fn(|metadata| {
        metadata.is_event() || metadata.target().starts_with("farrier_gateway")
    });
    let (spans, sending) = traces::start(traces)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match as_json {
        true => lines.json().flatten_event(true).with_span_list(false).boxed(),
        false => lines.with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(spans).with(own_spans).with(filter).with(lines).init();
    Ok(sending)
}
