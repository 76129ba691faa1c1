//! `farrier root init`: version 1, and the keys that may sign the next ones.

use super::expiry_ms;
use crate::commands::key;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output_file;
use clap::Args;
use key_file::{KeyFile, Role};
use module_package::{DOCUMENT_VERSION, PublicKey, Root, Signer, add_root_signature, seal_root};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
`farrier trust keys` prints the assign key of the gateway, and the release key where the
gateway or its signer has it. Root keys that others made on their own machines, with
`farrier key new --role root`, are named by --root-key in place of new ones.

Examples:
  farrier root init --keys-dir /media/stick --assign-key 4f1a… --release-key release.key -o root-1.cbor
  farrier root init --root-key 11aa… --root-key 22bb… --root-key 33cc… --threshold 2 \\
      --assign-key 4f1a… --release-key 9d2e… -o root-1.cbor")]
pub struct InitArgs {
    /// Folder for the new root keys: root-1.key, root-2.key and so on
    #[arg(long, value_name = "DIR", required_unless_present = "root_key")]
    keys_dir: Option<PathBuf>,
    /// How many root keys to make
    #[arg(long, value_name = "N", default_value = "3", conflicts_with = "root_key",
          value_parser = clap::value_parser!(u32).range(1..=16))]
    keys: u32,
    /// A root key that somebody made already, its public half; once for each
    #[arg(long, value_name = "KEY", conflicts_with = "keys_dir")]
    root_key: Vec<String>,
    /// How many root keys must sign
    #[arg(long, value_name = "N", default_value = "2")]
    threshold: u32,
    /// The gateway's assign key: its public half; once for each
    #[arg(long, value_name = "KEY", required = true)]
    assign_key: Vec<String>,
    /// A release key: its public half or a key file; once for each
    #[arg(long, value_name = "KEY", required = true)]
    release_key: Vec<String>,
    /// Devices that know the time do not take it later than this
    #[arg(long, value_name = "DAYS")]
    expires_days: Option<u32>,
    /// Sign with the new root keys at once, as many as must sign
    #[arg(long, requires = "keys_dir")]
    sign: bool,
    /// The document's file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(args: &InitArgs, console: &Console) -> Result<(), Failure> {
    let assign_keys = key::read_public_keys(&args.assign_key, Role::Assign)?;
    let release_keys = key::read_public_keys(&args.release_key, Role::Release)?;
    let given = key::read_public_keys(&args.root_key, Role::Root)?;
    let count = if given.is_empty() { args.keys as usize } else { given.len() };
    if args.threshold == 0 || args.threshold as usize > count {
        let message = format!("{} of {count} root keys cannot be asked to sign", args.threshold);
        return Err(Failure::new(Exit::Usage, message).or_try(format!("--threshold 1 to {count}")));
    }
    if args.output.exists() {
        let message = format!("{} is there already", args.output.display());
        return Err(Failure::new(Exit::Usage, message).or_try("another name for the document"));
    }
    let made = match &args.keys_dir {
        Some(dir) => make_root_keys(dir, args.keys)?,
        None => vec![],
    };
    let root_keys: Vec<PublicKey> =
        if made.is_empty() { given } else { made.iter().map(KeyFile::public_key).collect() };
    if args.threshold == 1 {
        console.warn("one root key alone decides what every device trusts: for demonstrations");
    }
    let root = Root {
        version: DOCUMENT_VERSION,
        epoch: 1,
        root_version: 1,
        not_after_ms: expiry_ms(args.expires_days),
        root_keys,
        threshold: args.threshold,
        release_keys,
        assign_keys,
        revoked: vec![],
        floors: vec![],
    };
    let mut sealed = seal_root(&root, &[]);
    if args.sign {
        for file in &made[..args.threshold as usize] {
            let signer: &dyn Signer = &file.key;
            sealed = add_root_signature(&sealed, signer)
                .map_err(|e| Failure::new(Exit::Failed, "sign the document").because(&e))?;
        }
    }
    output_file::write_whole(&args.output, &sealed)?;
    if let Some(dir) = &args.keys_dir {
        console.note(format!(
            "the {} private root keys are in {}, unencrypted: give each to another person or place, \
             and leave none on a machine with a network",
            args.keys,
            dir.display()
        ));
    }
    super::show::report(&args.output, None, false, console)
}

fn make_root_keys(dir: &std::path::Path, count: u32) -> Result<Vec<KeyFile>, Failure> {
    let mut made = Vec::new();
    for number in 1..=count {
        let file = KeyFile::generate(Role::Root).map_err(|e| {
            Failure::new(Exit::Failed, "take randomness from the system").because(&e)
        })?;
        file.create(&dir.join(format!("root-{number}.key"))).map_err(key::failure)?;
        made.push(file);
    }
    Ok(made)
}
