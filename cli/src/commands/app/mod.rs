//! `farrier app`: applications of several modules, each described by a file.

mod apply;
mod diff;
mod file;
mod ls;
pub(super) mod plan;
mod remove;
mod schema;
mod show;
mod validate;
mod wait;

use crate::console::Console;
use crate::failure::Failure;
use clap::Subcommand;
use gateway_client::Client;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check an application file; needs no gateway
    Validate(validate::ValidateArgs),
    /// Show what applying a file would change
    Diff(diff::DiffArgs),
    /// Make devices run what a file says
    Apply(apply::ApplyArgs),
    /// Print the file's JSON schema, for editors; needs no gateway
    Schema(schema::SchemaArgs),
    /// List the applications
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Show one application and how far each of its modules is
    Show(show::ShowArgs),
    /// Take an application from its devices
    Remove(remove::RemoveArgs),
}

/// What needs no gateway is done here; the rest is given back.
pub fn run_offline(command: Command, console: &Console) -> Result<Option<Command>, Failure> {
    match command {
        Command::Validate(args) => validate::run(&args, console).map(|()| None),
        Command::Schema(args) => schema::run(&args, console).map(|()| None),
        command => Ok(Some(command)),
    }
}

pub async fn run(command: Command, client: &Client, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Diff(args) => diff::run(&args, client, console).await,
        Command::Apply(args) => apply::run(&args, client, console).await,
        Command::Ls(args) => ls::run(&args, client, console).await,
        Command::Show(args) => show::run(&args, client, console).await,
        Command::Remove(args) => remove::run(&args, client, console).await,
        Command::Validate(_) | Command::Schema(_) => unreachable!("`run_offline` has taken these"),
    }
}
