//! `farrier module`: link, push and look at modules.

mod check;
pub mod link;
mod ls;
mod push;
mod show;

use crate::console::Console;
use crate::failure::Failure;
use clap::Subcommand;
use gateway_api::Module;
use gateway_client::Client;

pub use push::push;

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
    /// Make one module of a module and the libraries it imports; needs no gateway
    Link(link::LinkArgs),
}

/// What needs no gateway is done here; the rest is given back.
pub fn run_offline(command: Command, console: &Console) -> Result<Option<Command>, Failure> {
    match command {
        Command::Link(args) => link::run(&args, console).map(|()| None),
        command => Ok(Some(command)),
    }
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Push(args) => push::run(&args, client, console).await,
        Command::Ls(args) => ls::run(&args, client, console).await,
        Command::Show(args) => show::run(&args, client, console).await,
        Command::Check(args) => check::run(&args, client, console).await,
        Command::Link(_) => unreachable!("`run_offline` has taken it"),
    }
}

/// `filter@2`.
fn name_of(module: &Module) -> String {
    format!("{}@{}", module.name, module.version)
}
