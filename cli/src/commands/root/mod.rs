//! `farrier root`: the root document, made and signed away from the gateway.
//!
//! All but `publish` work on files and need no gateway, so they run on a machine that
//! has no network. A document goes from hand to hand as one file, and each holder of a
//! root key adds a signature.

mod init;
mod publish;
mod rotate;
mod show;
mod sign;
mod standing;

use crate::console::{Console, now_ms};
use crate::failure::{Exit, Failure};
use clap::Subcommand;
use gateway_client::Client;
use module_package::{ROOT_BYTES_MAX, RootDraft};
use std::io::Read;
use std::path::Path;

pub use publish::PublishArgs;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the first root document, and the root keys
    Init(init::InitArgs),
    /// Add one signature to a document
    Sign(sign::SignArgs),
    /// Make the next version: other keys, revoked keys, floors, epoch
    Rotate(rotate::RotateArgs),
    /// Show what a document says, and whose signature is missing
    Show(show::ShowArgs),
    /// Hand a signed document to the gateway
    Publish(PublishArgs),
}

/// What needs no gateway; gives `publish` back.
pub fn run_offline(command: Command, console: &Console) -> Result<Option<PublishArgs>, Failure> {
    match command {
        Command::Init(args) => init::run(&args, console).map(|()| None),
        Command::Sign(args) => sign::run(&args, console).map(|()| None),
        Command::Rotate(args) => rotate::run(&args, console).map(|()| None),
        Command::Show(args) => show::run(&args, console).map(|()| None),
        Command::Publish(args) => Ok(Some(args)),
    }
}

pub async fn publish(
    args: &PublishArgs,
    client: &Client,
    console: &Console,
) -> Result<(), Failure> {
    publish::run(args, client, console).await
}

/// The bytes of a document file, and what they say.
fn read_document(path: &Path) -> Result<(Vec<u8>, RootDraft), Failure> {
    let failure = |error: std::io::Error| Failure::of_reading(path, &error);
    let file = std::fs::File::open(path).map_err(failure)?;
    let mut sealed = Vec::new();
    file.take(ROOT_BYTES_MAX as u64 + 1).read_to_end(&mut sealed).map_err(failure)?;
    let draft = RootDraft::read(&sealed).map_err(|e| {
        Failure::new(Exit::Failed, format!("{} is no root document", path.display()))
            .because(&e)
            .or_try("a file of `farrier root init` or `farrier root rotate`")
    })?;
    Ok((sealed, draft))
}

const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn expiry_ms(days: Option<u32>) -> Option<u64> {
    days.map(|days| now_ms() + u64::from(days) * DAY_MS)
}
