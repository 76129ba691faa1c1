//! `farrier deployment`: what was asked for, and how far it is.

mod ls;
mod show;

use crate::console::Console;
use crate::failure::Failure;
use clap::Subcommand;
use gateway_client::Client;

pub use show::show_one;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the deployments
    Ls(ls::LsArgs),
    /// Show one deployment and its progress by device
    Show(show::ShowArgs),
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => ls::run(&args, client, console).await,
        Command::Show(args) => show::run(&args, client, console).await,
    }
}
