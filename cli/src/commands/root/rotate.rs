//! `farrier root rotate`: the next version of a root document.

use super::{expiry_ms, read_document};
use crate::commands::key;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output_file;
use clap::Args;
use key_file::Role;
use module_package::{Floor, KeyId, PublicKey, Root, seal_root};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
What is not named stays as it is in the version before. A revoked key leaves its role and
is never accepted again, whatever it signed. The new version must be signed by enough
root keys of the version before and by enough of its own: `farrier root sign`.

Examples:
  farrier root rotate root-1.cbor --revoke 77d0… --release-key new-release.key -o root-2.cbor
  farrier root rotate root-2.cbor --floor filter=7 --expires-days 365 -o root-3.cbor
  farrier root rotate root-3.cbor --assign-key 4f1a… --revoke 0be3… --next-epoch -o root-4.cbor")]
pub struct RotateArgs {
    /// The version before, signed
    #[arg(value_name = "PREVIOUS")]
    previous: PathBuf,
    /// All root keys of the new version; once for each
    #[arg(long, value_name = "KEY")]
    root_key: Vec<String>,
    /// How many of them must sign
    #[arg(long, value_name = "N")]
    threshold: Option<u32>,
    /// A further release key, its public half or a key file; once for each
    #[arg(long, value_name = "KEY")]
    release_key: Vec<String>,
    /// A further assign key of the gateway (`farrier trust new-key`); once for each
    #[arg(long, value_name = "KEY")]
    assign_key: Vec<String>,
    /// A key that counts no more: its id or public half; once for each
    #[arg(long, value_name = "KEY")]
    revoke: Vec<String>,
    /// The lowest version of an application that devices accept; once for each
    #[arg(long, value_name = "APP=VERSION")]
    floor: Vec<String>,
    /// Devices that know the time do not take it later than this
    #[arg(long, value_name = "DAYS", conflicts_with = "no_expiry")]
    expires_days: Option<u32>,
    /// It does not end by itself
    #[arg(long)]
    no_expiry: bool,
    /// Begin a new epoch: what was assigned before is older than all that follows
    #[arg(long)]
    next_epoch: bool,
    /// The document's file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(args: &RotateArgs, console: &Console) -> Result<(), Failure> {
    let (_, previous) = read_document(&args.previous)?;
    let standings = super::standing::standings(&previous, None);
    if let Some(short) = standings.iter().find(|standing| !standing.is_reached()) {
        console.warn(format!("the version before is not signed: it has {}", short.in_words()));
    }
    if args.output.exists() {
        let message = format!("{} is there already", args.output.display());
        return Err(Failure::new(Exit::Usage, message).or_try("another name for the document"));
    }
    let next = next_root(args, previous.document())?;
    output_file::write_whole(&args.output, &seal_root(&next, &[]))?;
    super::show::report(&args.output, Some(&args.previous), false, console)
}

fn next_root(args: &RotateArgs, previous: &Root) -> Result<Root, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let mut next = previous.clone();
    next.root_version = previous
        .root_version
        .checked_add(1)
        .ok_or_else(|| usage("there is no version after this one".to_owned()))?;
    for text in &args.revoke {
        let id = read_key_id(text, previous)?;
        if !next.revoked.contains(&id) {
            next.revoked.push(id);
        }
    }
    let root_keys = key::read_public_keys(&args.root_key, Role::Root)?;
    let release_keys = key::read_public_keys(&args.release_key, Role::Release)?;
    let assign_keys = key::read_public_keys(&args.assign_key, Role::Assign)?;
    let revoked = next.revoked.clone();
    let mut given = root_keys.iter().chain(&release_keys).chain(&assign_keys);
    if let Some(clash) = given.find(|key| revoked.contains(&key.id())) {
        return Err(usage(format!("key {} is named and revoked", clash.id())));
    }
    if !root_keys.is_empty() {
        next.root_keys = root_keys;
    }
    add_keys(&mut next.release_keys, release_keys);
    add_keys(&mut next.assign_keys, assign_keys);
    for (keys, option) in [
        (&mut next.root_keys, "--root-key"),
        (&mut next.release_keys, "--release-key"),
        (&mut next.assign_keys, "--assign-key"),
    ] {
        keys.retain(|key| !revoked.contains(&key.id()));
        if keys.is_empty() {
            return Err(usage(format!(
                "all keys of a role would be revoked; name a new one by {option}"
            )));
        }
    }
    next.threshold = args.threshold.unwrap_or(previous.threshold);
    if next.threshold == 0 || next.threshold as usize > next.root_keys.len() {
        return Err(usage(format!(
            "{} of {} root keys cannot be asked to sign",
            next.threshold,
            next.root_keys.len()
        ))
        .or_try("--threshold, or --root-key for each root key of the new version"));
    }
    for text in &args.floor {
        set_floor(&mut next.floors, text)?;
    }
    if args.next_epoch {
        next.epoch =
            previous.epoch.checked_add(1).ok_or_else(|| usage("no epoch is left".to_owned()))?;
    }
    if args.no_expiry {
        next.not_after_ms = None;
    } else if args.expires_days.is_some() {
        next.not_after_ms = expiry_ms(args.expires_days);
    }
    Ok(next)
}

fn add_keys(keys: &mut Vec<PublicKey>, further: Vec<PublicKey>) {
    for key in further {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
}

/// An id and a public key are both 64 digits, so a public key is known by being named.
fn read_key_id(text: &str, previous: &Root) -> Result<KeyId, Failure> {
    let Root { root_keys, release_keys, assign_keys, revoked, .. } = previous;
    let mut named = root_keys.iter().chain(release_keys).chain(assign_keys);
    let is_it = |key: &&PublicKey| hex::encode(key.0) == text || key.id().to_string() == text;
    if let Some(key) = named.find(is_it) {
        return Ok(key.id());
    }
    let id: Option<KeyId> = text.parse().ok();
    id.filter(|id| revoked.contains(id)).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("no key of the version before is {text:?}"))
            .or_try("a key's id or public half, as `farrier root show` prints them")
    })
}

fn set_floor(floors: &mut Vec<Floor>, text: &str) -> Result<(), Failure> {
    let parsed = text.split_once('=').and_then(|(app, version)| {
        (!app.is_empty()).then_some(())?;
        Some((app.to_owned(), version.parse::<u32>().ok()?))
    });
    let Some((app, app_version_min)) = parsed else {
        return Err(Failure::new(Exit::Usage, format!("{text:?} is no floor"))
            .or_try("--floor APP=VERSION, as --floor filter=7"));
    };
    match floors.iter_mut().find(|floor| floor.app == app) {
        Some(floor) if floor.app_version_min > app_version_min => Err(Failure::new(
            Exit::Usage,
            format!(
                "the floor of {app} is {} and cannot go down to {app_version_min}: devices that \
                     were told not to accept a version should not be told otherwise",
                floor.app_version_min
            ),
        )),
        Some(floor) => {
            floor.app_version_min = app_version_min;
            Ok(())
        }
        None => {
            floors.push(Floor { app, app_version_min });
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_rises_and_never_falls() {
        let mut floors = vec![];
        set_floor(&mut floors, "filter=2").unwrap();
        set_floor(&mut floors, "filter=3").unwrap();
        assert_eq!(floors, [Floor { app: "filter".into(), app_version_min: 3 }]);
        assert!(set_floor(&mut floors, "filter=2").unwrap_err().message.contains("cannot go down"));
        for bad in ["filter", "=1", "filter=x", "filter=-1"] {
            assert!(set_floor(&mut floors, bad).is_err(), "{bad}");
        }
    }
}
