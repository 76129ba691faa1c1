//! Every bit of signed documents, flipped one at a time: none may be accepted.
//!
//! Through the code that a device opens them with. A seed makes a manifest, a release
//! and a root of its own, and flips each of their bits.

use super::documents::{self, Authority};
use crate::{Kind, Outcome, Rig, Workplace, nothing_is_missing};
use anyhow::{bail, ensure};
use fastrand::Rng;
use module_package::{ReleaseId, RootId, TrustedRoot, open_manifest, open_release};

pub const KIND: Kind = Kind {
    name: "manifest-bits",
    fault: "each bit of signed manifests, releases and roots flipped (the agent's code in one process)",
    oracle: "no flipped document is opened, the whole one is",
    goal: 200_000,
    short_goal: 8_000,
    missing: nothing_is_missing,
    open: |_: &Workplace| Ok(Box::new(Bits)),
};

struct Bits;

impl Rig for Bits {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let authority = Authority::new(&mut random)?;
        let trust = &authority.trust;
        let device = documents::device(&mut random);
        let manifest = documents::manifest(&mut random, &device, seed);
        let sealed = authority.seal_manifest(&manifest)?;
        let now_ms = Some(1_000);
        let mut faults = flip_each("manifest", &sealed, |bytes| {
            open_manifest(bytes, trust, &device, now_ms).is_ok()
        })?;
        let sealed = authority.seal_release(&documents::release("app", &seed.to_le_bytes()))?;
        // The id is of the whole one, and then of what came: a thief of the assign key
        // can name any bytes, and then only the signature is left.
        let id = ReleaseId::of(&sealed);
        faults += flip_each("release", &sealed, |bytes| open_release(bytes, id, trust).is_ok())?;
        faults += flip_each("release named by its own hash", &sealed, |bytes| {
            open_release(bytes, ReleaseId::of(bytes), trust).is_ok()
        })?;
        let id = RootId::of(&authority.sealed_root);
        faults += flip_each("root", &authority.sealed_root, |bytes| {
            TrustedRoot::pinned(bytes, id).is_ok()
        })?;
        Ok(Outcome { faults })
    }
}

fn flip_each(what: &str, whole: &[u8], is_accepted: impl Fn(&[u8]) -> bool) -> anyhow::Result<u64> {
    ensure!(is_accepted(whole), "the whole {what} is refused");
    let mut bytes = whole.to_vec();
    for bit in 0..whole.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if is_accepted(&bytes) {
            bail!("the {what} is accepted with bit {bit} flipped: {}", hex::encode(whole));
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    Ok(whole.len() as u64 * 8)
}
