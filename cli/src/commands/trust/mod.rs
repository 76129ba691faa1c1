//! `farrier trust`: what a device would accept, and who holds which key.

mod keys;
mod new_key;
mod show;

use crate::console::Console;
use crate::failure::Failure;
use clap::Subcommand;
use gateway_client::Client;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Explain what a device accepts, from whom, and what a thief would get
    Show(show::ShowArgs),
    /// Print the gateway's public keys, for a root document to name
    Keys(keys::KeysArgs),
    /// Have the gateway make a further key, for the next root document
    NewKey(new_key::NewKeyArgs),
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Show(args) => show::run(&args, client, console).await,
        Command::Keys(args) => keys::run(&args, client, console).await,
        Command::NewKey(args) => new_key::run(&args, client, console).await,
    }
}
