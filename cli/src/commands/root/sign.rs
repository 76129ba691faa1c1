//! `farrier root sign`: one more signature in the document's file.

use super::read_document;
use crate::commands::key;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output_file;
use clap::Args;
use key_file::{KeyFile, Role};
use module_package::add_root_signature;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
The file is replaced by one with the signature in it, whole or not at all. A version
beyond the first needs the signatures of the root keys of the version before, too; name
that file with --previous to be told what is missing.

Examples:
  farrier root sign root-1.cbor --key /media/stick/root-1.key
  farrier root sign root-2.cbor --key root-2.key --previous root-1.cbor")]
pub struct SignArgs {
    /// The document's file
    file: PathBuf,
    /// A root key file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The version before, signed
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// Tell the result as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &SignArgs, console: &Console) -> Result<(), Failure> {
    let (sealed, draft) = read_document(&args.file)?;
    let previous = args.previous.as_deref().map(read_document).transpose()?;
    let key = KeyFile::read_as(&args.key, Role::Root).map_err(key::failure)?;
    let public_key = key.public_key();
    let is_own = draft.document().root_keys.contains(&public_key);
    let is_of_previous = match &previous {
        Some((_, previous)) => previous.document().root_keys.contains(&public_key),
        // It may be one; the gateway will tell.
        None => draft.document().root_version > 1,
    };
    if !is_own && !is_of_previous {
        let message = format!("{} is no root key of this document", args.key.display());
        return Err(Failure::new(Exit::Failed, message)
            .or_try(format!("a key that `farrier root show {}` lists", args.file.display())));
    }
    if !draft.signed_by(&[public_key]).is_empty() {
        console.note("this key has signed the document already");
    }
    let sealed = add_root_signature(&sealed, &key.key)
        .map_err(|e| Failure::new(Exit::Failed, "sign the document").because(&e))?;
    output_file::write_whole(&args.file, &sealed)?;
    super::show::report(&args.file, args.previous.as_deref(), args.json, console)
}
