//! `farrier release submit`: signed releases go back to the gateway.

use super::bundle::Bundle;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::printable;
use clap::Args;
use gateway_client::Client;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier release submit releases.json")]
pub struct SubmitArgs {
    /// The file of `farrier release sign`
    file: PathBuf,
}

pub async fn run(args: &SubmitArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let bundle = Bundle::read(&args.file)?;
    let mut not_taken = None;
    let mut taken_count = 0;
    for release in &bundle.releases {
        let name = format!("{}@{} for {}", release.app, release.app_version, release.target);
        let Some(sealed) = &release.sealed else {
            let message = format!("{} is not signed yet", printable(&name));
            return Err(Failure::new(Exit::Failed, message)
                .or_try(format!("farrier release sign {} --key FILE", args.file.display())));
        };
        let sealed = hex::decode(sealed).map_err(|e| {
            let message = format!("the signed release of {} cannot be read", printable(&name));
            Failure::new(Exit::Failed, message).because(&e)
        })?;
        match client.submit_release(sealed).await {
            Ok(accepted) => {
                taken_count += 1;
                console.line(&printable(&format!("{name}: release {}", accepted.release)))?;
            }
            // The others are not worse for it.
            Err(error) => {
                let failure = Failure::from(error);
                console.warn(format!("{name}: {}", failure.message));
                not_taken.get_or_insert(failure);
            }
        }
    }
    match not_taken {
        None => Ok(()),
        Some(failure) if taken_count == 0 => Err(failure),
        Some(failure) => Err(Failure { exit: Exit::Partial, ..failure }),
    }
}
