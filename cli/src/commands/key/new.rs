//! `farrier key new`: a private key that nobody else has seen.

use super::failure;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use clap::Args;
use key_file::{KeyFile, Role};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
The file has mode 0600 and is not encrypted: keep it on a machine or medium that is
locked away, and keep a copy. What it holds is described in docs/trust.md.

Examples:
  farrier key new --role developer -o alice.key
  farrier key new --role release -o release.key")]
pub struct NewArgs {
    /// What it is for: root, release, assign or developer
    #[arg(long)]
    role: Role,
    /// The file to make; one that is there stays as it is
    #[arg(short = 'f', long, visible_short_alias = 'o', value_name = "FILE")]
    file: PathBuf,
    /// Tell the result as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &NewArgs, console: &Console) -> Result<(), Failure> {
    let key = KeyFile::generate(args.role)
        .map_err(|e| Failure::new(Exit::Failed, "take randomness from the system").because(&e))?;
    key.create(&args.file).map_err(failure)?;
    console.note(format!(
        "the private key is in {}; the public key is for others",
        args.file.display()
    ));
    super::show::print(&key, args.json, console)
}
