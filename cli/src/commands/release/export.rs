//! `farrier release export`: what waits, for the machine where the release key is.

use super::bundle::Bundle;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output_file;
use clap::Args;
use gateway_client::Client;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier release export --file releases.json
  farrier release export --app filter --file releases.json")]
pub struct ExportArgs {
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only those of this application; once for each
    #[arg(long, value_name = "NAME")]
    app: Vec<String>,
}

pub async fn run(args: &ExportArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let mut waiting = client.waiting_releases().await?.items;
    waiting.retain(|release| args.app.is_empty() || args.app.contains(&release.app));
    if waiting.is_empty() {
        return Err(Failure::new(Exit::NotFound, "no such release waits for its signature")
            .or_try("farrier release list"));
    }
    output_file::write_whole(&args.file, &Bundle::of(&waiting).to_bytes()?)?;
    let file = args.file.display();
    console.note(format!(
        "next, where the release key is: farrier release sign {file} --key RELEASE-KEY-FILE"
    ));
    console.line(&format!("{file}: {} releases", waiting.len()))
}
