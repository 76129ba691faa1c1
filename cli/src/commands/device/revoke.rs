//! `farrier device revoke` and `remove`: how a device loses its rights.

use crate::complete;
use crate::confirm::confirm;
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_client::Client;

#[derive(Debug, Args)]
#[command(after_help = "\
A revoked device's session ends at once, and nothing is sent to it or taken from it any
more. There is no way back but to remove it and to enrol it again.

Examples:
  farrier device revoke kitchen")]
pub struct RevokeArgs {
    /// A device's name or id
    #[arg(value_name = "DEVICE", add = ArgValueCompleter::new(complete::devices))]
    reference: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A removed device is a stranger, which may ask to be let in again. Revoke one that was
stolen instead.

Examples:
  farrier device remove kitchen")]
pub struct RemoveArgs {
    /// A device's name or id
    #[arg(value_name = "DEVICE", add = ArgValueCompleter::new(complete::devices))]
    reference: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub async fn revoke(args: &RevokeArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    ask(
        &args.reference,
        "Revoke",
        "It gets nothing any more, and its key is never let in again.",
        args.yes,
    )?;
    let device = client
        .revoke_device(&args.reference)
        .await
        .map_err(|error| Failure::from(error).if_not_found_try("farrier device ls"))?;
    console.note(format!("{} is revoked", format::printable(&device.name)));
    Ok(())
}

pub async fn remove(args: &RemoveArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    ask(&args.reference, "Remove", "What the gateway knows of it is forgotten.", args.yes)?;
    client
        .remove_device(&args.reference)
        .await
        .map_err(|error| Failure::from(error).if_not_found_try("farrier device ls"))?;
    console.note(format!("{} is removed", format::printable(&args.reference)));
    Ok(())
}

fn ask(device: &str, what: &str, consequence: &str, said_yes: bool) -> Result<(), Failure> {
    let question = format!("{what} {}? {consequence}", format::printable(device));
    confirm(&question, said_yes)
}
