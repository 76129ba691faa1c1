//! `farrier-agent --config FILE`: reads the configuration and runs the agent.

use farrier_agent::config::{Config, LogFormat};
use farrier_agent::start;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;

const HELP: &str = "\
Runs what the Farrier gateway tells this device to run.

Usage: farrier-agent --config FILE

Options:
  --config FILE   configuration in TOML
  --version       print the version
  --help          print this

The environment variable FARRIER_LOG sets what is logged to standard error:
error, warn, info (usual) or debug.
";

enum Wish {
    Run(PathBuf),
    Print(String),
}

fn main() -> ExitCode {
    let config_file = match read_arguments() {
        Ok(Wish::Run(file)) => file,
        Ok(Wish::Print(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("farrier-agent: {error}\nTry farrier-agent --help");
            return ExitCode::from(2);
        }
    };
    let config = match Config::read(&config_file) {
        Ok(config) => config,
        Err(error) => {
            log_to_stderr(LogFormat::Text);
            tracing::error!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    log_to_stderr(config.log_format);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(start::run(config));
    // An HTTP request that hangs must not hold the process up.
    runtime.shutdown_background();
    ended
}

fn read_arguments() -> Result<Wish, lexopt::Error> {
    use lexopt::prelude::*;
    let mut config = None;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("config") => config = Some(PathBuf::from(arguments.value()?)),
            Long("version") | Short('V') => {
                let version = concat!("farrier-agent ", env!("CARGO_PKG_VERSION"));
                return Ok(Wish::Print(version.into()));
            }
            Long("help") | Short('h') => return Ok(Wish::Print(HELP.trim_end().into())),
            other => return Err(other.unexpected()),
        }
    }
    config.map(Wish::Run).ok_or_else(|| "--config FILE is missing".into())
}

fn log_to_stderr(format: LogFormat) {
    let wished = std::env::var("FARRIER_LOG").ok();
    let level = wished.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
