//! `farrier key`: private keys in files, made where they stay. Needs no gateway.

mod new;
mod show;

use crate::console::Console;
use crate::failure::{Exit, Failure};
use clap::Subcommand;
use key_file::{KeyFile, KeyFileError, Role, parse_public_key};
use module_package::PublicKey;
use std::path::Path;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key, and print its public half
    New(new::NewArgs),
    /// Print the public half of a key file
    Show(show::ShowArgs),
}

pub fn run(command: &Command, console: &Console) -> Result<(), Failure> {
    match command {
        Command::New(args) => new::run(args, console),
        Command::Show(args) => show::run(args, console),
    }
}

pub fn failure(error: KeyFileError) -> Failure {
    let cause = std::error::Error::source(&error);
    let advice = match &error {
        KeyFileError::OpenToOthers { path, .. } => Some(format!("chmod 600 {}", path.display())),
        KeyFileError::WrongRole { wanted, .. } => {
            Some(format!("a file of `farrier key new --role {wanted}`"))
        }
        _ => None,
    };
    let failure = Failure::new(Exit::Failed, &error);
    let failure = match cause {
        Some(cause) => failure.because(cause),
        None => failure,
    };
    match advice {
        Some(advice) => failure.or_try(advice),
        None => failure,
    }
}

/// A public key as an argument: its 64 digits, or a key file that holds it.
pub fn read_public_key(text: &str, role: Role) -> Result<PublicKey, Failure> {
    match parse_public_key(text) {
        Ok(key) => Ok(key),
        Err(_) if Path::new(text).exists() => {
            KeyFile::read_as(Path::new(text), role).map(|file| file.public_key()).map_err(failure)
        }
        Err(why) => Err(Failure::new(Exit::Usage, format!("{text:?} is no {role} key: {why}"))
            .or_try("the 64 digits that `farrier key show` prints, or a key file")),
    }
}

pub fn read_public_keys(texts: &[String], role: Role) -> Result<Vec<PublicKey>, Failure> {
    texts.iter().map(|text| read_public_key(text, role)).collect()
}
