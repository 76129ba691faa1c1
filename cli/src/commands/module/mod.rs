//! `farrier module`: push modules and look at them.

mod check;
mod ls;
mod push;
mod show;

use crate::console::Console;
use crate::failure::Failure;
use clap::Subcommand;
use gateway_api::Module;
use gateway_client::Client;

pub use push::sign;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Upload a module; the same bytes twice are one module
    Push(push::PushArgs),
    /// List the modules
    Ls(ls::LsArgs),
    /// Show one module, its imports, its artifacts and how they were compiled
    Show(show::ShowArgs),
    /// Say which devices can run a module, and why the others cannot
    Check(check::CheckArgs),
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Push(args) => push::run(&args, client, console).await,
        Command::Ls(args) => ls::run(&args, client, console).await,
        Command::Show(args) => show::run(&args, client, console).await,
        Command::Check(args) => check::run(&args, client, console).await,
    }
}

/// `filter@2`.
fn name_of(module: &Module) -> String {
    format!("{}@{}", module.name, module.version)
}
