//! `farrier device`: the fleet, and how a device joins it.

mod enrol_token;
mod ls;
mod show;

use crate::console::Console;
use crate::failure::Failure;
use clap::Subcommand;
use gateway_client::Client;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the devices
    Ls(ls::LsArgs),
    /// Show one device and what runs on it
    Show(show::ShowArgs),
    /// Print a claim token, with which one device can enrol
    EnrolToken(enrol_token::EnrolTokenArgs),
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => ls::run(&args, client, console).await,
        Command::Show(args) => show::run(&args, client, console).await,
        Command::EnrolToken(args) => enrol_token::run(&args, client, console).await,
    }
}
