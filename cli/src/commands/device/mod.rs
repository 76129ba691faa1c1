//! `farrier device`: the fleet, and how a device joins it.

mod enrol_token;
mod figures;
mod guest;
mod ls;
mod pending;
mod revoke;
mod show;
pub mod ticks;

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
    /// List the devices that wait to be accepted by their fingerprint
    Pending(pending::PendingArgs),
    /// Let the device with this fingerprint in
    Accept(pending::DecideArgs),
    /// Send the device with this fingerprint away
    Reject(pending::DecideArgs),
    /// Take a device's rights away
    Revoke(revoke::RevokeArgs),
    /// Forget a device
    Remove(revoke::RemoveArgs),
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => ls::run(&args, client, console).await,
        Command::Show(args) => show::run(&args, client, console).await,
        Command::Pending(args) => pending::list(&args, client, console).await,
        Command::Accept(args) => pending::accept(&args, client, console).await,
        Command::Reject(args) => pending::reject(&args, client, console).await,
        Command::Revoke(args) => revoke::revoke(&args, client, console).await,
        Command::Remove(args) => revoke::remove(&args, client, console).await,
        Command::EnrolToken(args) => enrol_token::run(&args, client, console).await,
    }
}
