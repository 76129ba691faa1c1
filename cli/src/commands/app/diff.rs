//! `farrier app diff`: what applying a file would change. Changes and uploads nothing.

use super::{file, plan};
use crate::args::OutputArgs;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use clap::Args;
use gateway_client::Client;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0, or with 6 if the file asks for more than what runs now.

Examples:
  farrier app diff climate.toml
  farrier app diff climate.toml -o json")]
pub struct DiffArgs {
    /// The application file
    file: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &DiffArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let loaded = file::load(&args.file)?;
    let planned = client.plan_application(&loaded.to_new()).await;
    let planned = planned.map_err(|error| loaded.failure(error))?;
    console.show(
        args.output.format(),
        &planned,
        || planned.modules.iter().map(|module| module.module.clone()).collect(),
        |_| plan::view(&planned),
    )?;
    match planned.asks_for_more {
        false => Ok(()),
        true => Err(Failure::new(
            Exit::NeedsYes,
            format!("{} asks for more than what runs now", planned.application),
        )
        .or_try(format!("farrier app apply {} --accept-more", args.file.display()))),
    }
}
