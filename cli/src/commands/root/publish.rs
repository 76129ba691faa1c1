//! `farrier root publish`: the gateway takes the next version, if a device would.

use super::read_document;
use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::Failure;
use clap::Args;
use gateway_client::Client;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
The gateway checks the signatures as a device does, stores the document and publishes it.
Devices walk from version to version; one that is away catches up when it is back.

Examples:
  farrier root publish root-1.cbor")]
pub struct PublishArgs {
    /// The document's file
    file: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &PublishArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let (sealed, _) = read_document(&args.file)?;
    let (is_new, trust) = client.publish_root(sealed).await?;
    let summary = &trust.summary;
    if !is_new {
        console.note("the gateway has this version already");
    }
    console.show(
        args.output.format(),
        &trust,
        || vec![summary.root_id.clone()],
        |_| format!("root document version {}, epoch {}\n", summary.root_version, summary.epoch),
    )
}
