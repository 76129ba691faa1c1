//! `farrier`: modules, deployments and devices of a gateway from a terminal.
//!
//! `args` says what can be typed, `commands` holds one file a subcommand, and each
//! of them asks the gateway through `gateway-client` and hands the answer to a view.
//! Data goes to stdout, everything else to stderr; a failure ends in `failure` with
//! one of its exit codes.
//!
//! What is allowed is the gateway's matter: no rule stands here that the dashboard
//! would need too.

mod args;
mod commands;
mod complete;
mod confirm;
mod connect;
mod console;
mod contexts;
mod failure;
mod follow;
mod format;
mod grid;
mod local;
mod output_file;
mod progress;
mod refusal;
#[cfg(test)]
mod sample;
mod secret_input;
mod since;
mod state;
mod wait;

use clap::{CommandFactory, Parser};
use std::process::ExitCode;

fn main() -> ExitCode {
    // A shell asks here what could come next; it sets the variable COMPLETE.
    clap_complete::CompleteEnv::with_factory(args::Cli::command).complete();
    let cli = args::Cli::parse();
    let console = console::Console::new(&cli.global);
    match commands::run(cli.command, &cli.global, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console.report(&failure);
            failure.exit.into()
        }
    }
}
