//! `farrier root show`: what a document says, and whose signature is missing.

use super::read_document;
use super::standing::{Standing, standings};
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use crate::grid::facts;
use clap::Args;
use module_package::{PublicKey, Root, RootDraft, RootId, TrustedRoot};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier root show root-1.cbor
  farrier root show root-2.cbor --previous root-1.cbor --json")]
pub struct ShowArgs {
    /// The document's file
    file: PathBuf,
    /// The version before, to count its keys' signatures too
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// Tell it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    root_id: String,
    root_version: u32,
    epoch: u32,
    threshold: u32,
    not_after_ms: Option<u64>,
    root_keys: Vec<Key>,
    release_keys: Vec<Key>,
    assign_keys: Vec<Key>,
    revoked: Vec<String>,
    floors: Vec<Floor>,
    signatures: Vec<Standing>,
    /// All that the files at hand can tell.
    complete: bool,
}

#[derive(Serialize)]
struct Key {
    id: String,
    public_key: String,
}

#[derive(Serialize)]
struct Floor {
    app: String,
    version_min: u32,
}

pub fn run(args: &ShowArgs, console: &Console) -> Result<(), Failure> {
    report(&args.file, args.previous.as_deref(), args.json, console)
}

/// Also what the other commands end with.
pub fn report(
    file: &Path,
    previous: Option<&Path>,
    json: bool,
    console: &Console,
) -> Result<(), Failure> {
    let (sealed, draft) = read_document(file)?;
    let previous = previous.map(read_document).transpose()?;
    let previous_root = previous.as_ref().map(|(_, draft)| draft.document());
    let shown = to_shown(&sealed, &draft, previous_root);
    if json {
        return console.json(&shown);
    }
    console.text(&view(&shown))?;
    let step = previous.as_ref().map(|(sealed, _)| sealed.as_slice());
    if let Some(problem) = step.and_then(|before| problem_of_step(before, &sealed)) {
        console.warn(problem);
    }
    if shown.complete {
        console.note(format!("next: farrier root publish {}", file.display()));
    } else {
        console.note(format!("next: farrier root sign {} --key ROOT-KEY-FILE", file.display()));
    }
    Ok(())
}

fn to_shown(sealed: &[u8], draft: &RootDraft, previous: Option<&Root>) -> Shown {
    let root = draft.document();
    let keys = |keys: &[PublicKey]| {
        let to_key =
            |key: &PublicKey| Key { id: key.id().to_string(), public_key: hex::encode(key.0) };
        keys.iter().map(to_key).collect::<Vec<_>>()
    };
    let signatures = standings(draft, previous);
    let knows_all = previous.is_some() || root.root_version == 1;
    Shown {
        root_id: RootId::of(sealed).to_string(),
        root_version: root.root_version,
        epoch: root.epoch,
        threshold: root.threshold,
        not_after_ms: root.not_after_ms,
        root_keys: keys(&root.root_keys),
        release_keys: keys(&root.release_keys),
        assign_keys: keys(&root.assign_keys),
        revoked: root.revoked.iter().map(ToString::to_string).collect(),
        floors: root
            .floors
            .iter()
            .map(|f| Floor { app: f.app.clone(), version_min: f.app_version_min })
            .collect(),
        complete: knows_all && signatures.iter().all(Standing::is_reached),
        signatures,
    }
}

/// What a device would say, where the signatures are not the reason.
fn problem_of_step(previous: &[u8], sealed: &[u8]) -> Option<String> {
    let trusted = TrustedRoot::pinned(previous, RootId::of(previous)).ok()?;
    match trusted.step(sealed) {
        Err(module_package::DocumentError::Inconsistent(what)) => {
            Some(format!("no device takes this step: {what}"))
        }
        _ => None,
    }
}

fn view(shown: &Shown) -> String {
    let Shown { root_version, threshold, root_keys, .. } = shown;
    let mut text = facts(&[
        ("root document", format!("version {root_version}, epoch {}", shown.epoch)),
        ("id", shown.root_id.clone()),
        ("root keys", format!("{threshold} of {} must sign", root_keys.len())),
        ("ends", shown.not_after_ms.map_or("never by itself".to_owned(), format::date_time)),
    ]);
    let sections = [
        ("root key", &shown.root_keys),
        ("release key", &shown.release_keys),
        ("assign key", &shown.assign_keys),
    ];
    for (role, keys) in sections {
        for key in keys {
            text += &format!("{role}: {}\n  public key: {}\n", key.id, key.public_key);
        }
    }
    for id in &shown.revoked {
        text += &format!("revoked: {id}\n");
    }
    for floor in &shown.floors {
        let app = format::printable(&floor.app);
        text += &format!("floor: {app} from version {} on\n", floor.version_min);
    }
    for standing in &shown.signatures {
        text += &format!("signatures: {}\n", standing.in_words());
    }
    if shown.signatures.len() == 1 && *root_version > 1 {
        text += "signatures: those of the version before are counted with --previous FILE\n";
    }
    text
}
