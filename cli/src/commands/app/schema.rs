//! `farrier app schema`: the JSON schema of application files.

use crate::console::Console;
use crate::failure::Failure;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier app schema > application-file.schema.json")]
pub struct SchemaArgs {}

pub fn run(_: &SchemaArgs, console: &Console) -> Result<(), Failure> {
    console.json(&application_file::json_schema())
}
