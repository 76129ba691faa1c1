//! `farrier key show`: what may be known of a key file.

use super::failure;
use crate::console::Console;
use crate::failure::Failure;
use crate::grid::facts;
use clap::Args;
use key_file::KeyFile;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier key show release.key
  farrier key show release.key --json")]
pub struct ShowArgs {
    /// The key file
    file: PathBuf,
    /// Tell it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    role: String,
    id: String,
    public_key: String,
}

pub fn run(args: &ShowArgs, console: &Console) -> Result<(), Failure> {
    print(&KeyFile::read(&args.file).map_err(failure)?, args.json, console)
}

pub fn print(key: &KeyFile, json: bool, console: &Console) -> Result<(), Failure> {
    let public_key = key.public_key();
    let shown = Shown {
        role: key.role.to_string(),
        id: public_key.id().to_string(),
        public_key: hex::encode(public_key.0),
    };
    if json {
        return console.json(&shown);
    }
    console.text(&facts(&[
        ("role", shown.role),
        ("id", shown.id),
        ("public key", shown.public_key),
    ]))
}
