//! `farrier man`: a manual page for each command.

use crate::args::Cli;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use clap::{Args, CommandFactory};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier man ~/.local/share/man/man1 && man farrier-deploy")]
pub struct ManArgs {
    /// The folder to write them to; what has their names there is replaced
    folder: PathBuf,
}

pub fn run(args: &ManArgs, console: &Console) -> Result<(), Failure> {
    let failure = |e: &std::io::Error| {
        Failure::new(Exit::Failed, format!("write to {}", args.folder.display())).because(e)
    };
    std::fs::create_dir_all(&args.folder).map_err(|e| failure(&e))?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(|e| failure(&e))?;
    console.note(format!("manual pages are in {}", args.folder.display()));
    Ok(())
}
