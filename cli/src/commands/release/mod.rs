//! `farrier release`: releases that wait for their signature.
//!
//! Where the release key is kept offline, a release travels there and back in a file:
//! `export` at the gateway, `sign` where the key is, `submit` at the gateway.

mod bundle;
mod export;
mod list;
mod sign;
mod submit;

use crate::console::Console;
use crate::failure::Failure;
use clap::Subcommand;
use gateway_client::Client;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the releases that wait, and why
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Write those that wait to a file
    Export(export::ExportArgs),
    /// Sign what such a file holds; needs no gateway
    Sign(sign::SignArgs),
    /// Hand the signed ones to the gateway
    Submit(submit::SubmitArgs),
}

/// What needs no gateway; gives the others back.
pub fn run_offline(command: Command, console: &Console) -> Result<Option<Command>, Failure> {
    match command {
        Command::Sign(args) => sign::run(&args, console).map(|()| None),
        other => Ok(Some(other)),
    }
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(&args, client, console).await,
        Command::Export(args) => export::run(&args, client, console).await,
        Command::Submit(args) => submit::run(&args, client, console).await,
        Command::Sign(args) => sign::run(&args, console),
    }
}
