//! A snapshot: every entry as it stood after one record.
//!
//! ```text
//! "FARRSNP" version u8 | frame of the summary | frames of entries
//! ```
//!
//! The summary has the record's place, the number of entries and the SHA-256 over
//! the payloads of the other frames, so a missing or moved frame shows.

use super::files::SEQ_MAX;
use super::frame::{FRAME_HEAD_BYTES, read_frame, to_frame};
use super::record::{Entry, to_body, to_entries};
use audit_chain::Position;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// All entries by key.
pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

const MAGIC: &[u8; 8] = b"FARRSNP\x01";
/// Entries are put together up to this size.
const GROUP_BYTES: usize = 256 * 1024;

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct Summary {
    #[n(0)]
    seq: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    hash: [u8; 32],
    #[n(2)]
    entry_count: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    content_hash: [u8; 32],
}

pub fn to_snapshot(position: Position, entries: &Entries) -> Vec<u8> {
    let mut content = Sha256::new();
    let mut frames = Vec::new();
    let mut group: Vec<Entry> = Vec::new();
    let mut group_bytes = 0;
    let mut close = |group: &mut Vec<Entry>| {
        let payload = to_body(&std::mem::take(group));
        content.update(&payload);
        frames.extend(to_frame(&payload));
    };
    for (key, value) in entries {
        group_bytes += key.len() + value.len();
        group.push((key.clone(), Some(value.clone())));
        if group_bytes >= GROUP_BYTES {
            close(&mut group);
            group_bytes = 0;
        }
    }
    if !group.is_empty() {
        close(&mut group);
    }
    let summary = Summary {
        seq: position.seq,
        hash: position.hash,
        entry_count: entries.len() as u64,
        content_hash: content.finalize().into(),
    };
    // Encoding to memory has no failing case for these field types.
    let summary = minicbor::to_vec(&summary).expect("a summary can be encoded");
    [&MAGIC[..], &to_frame(&summary), &frames].concat()
}

/// What a snapshot holds, or what is wrong with it.
pub fn read_snapshot(bytes: &[u8]) -> Result<(Position, Entries), &'static str> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or("its beginning is not a snapshot's")?;
    let mut next = || {
        let payload = read_frame(rest)?;
        rest = &rest[FRAME_HEAD_BYTES + payload.len()..];
        Some(payload)
    };
    let summary = next().ok_or("its summary is damaged")?;
    let summary: Summary = minicbor::decode(summary).map_err(|_| "its summary is not readable")?;
    if summary.seq > SEQ_MAX {
        return Err("its record's number is beyond all records");
    }
    let mut content = Sha256::new();
    let mut entries = Entries::new();
    while (entries.len() as u64) < summary.entry_count {
        let payload = next().ok_or("a part of it is damaged or missing")?;
        content.update(payload);
        let group = to_entries(payload).map_err(|_| "a part of it is not readable")?;
        if group.is_empty() {
            return Err("a part of it is empty");
        }
        let puts = group.into_iter().filter_map(|(key, value)| Some((key, value?)));
        entries.extend(puts);
    }
    let content: [u8; 32] = content.finalize().into();
    if !rest.is_empty() || content != summary.content_hash {
        return Err("it does not hold what its summary says");
    }
    Ok((Position { seq: summary.seq, hash: summary.hash }, entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(count: u32) -> Entries {
        (0..count).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; 700])).collect()
    }

    #[test]
    fn a_snapshot_gives_back_what_it_was_made_of() {
        let place = Position { seq: 4, hash: [9; 32] };
        for count in [0, 1, 1_000] {
            let snapshot = to_snapshot(place, &entries(count));
            assert_eq!(read_snapshot(&snapshot), Ok((place, entries(count))));
        }
        let golden = hex::encode(to_snapshot(place, &Entries::new()));
        assert!(golden.starts_with("46415252534e5001464a5231"), "{golden}");
    }

    #[test]
    fn a_snapshot_behind_all_records_is_refused() {
        let place = Position { seq: u64::MAX, hash: [9; 32] };
        assert!(read_snapshot(&to_snapshot(place, &entries(1))).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let small: Entries = [(b"k".to_vec(), b"v".to_vec())].into();
        let snapshot = to_snapshot(Position::default(), &small);
        for bit in 0..snapshot.len() * 8 {
            let mut damaged = snapshot.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read_snapshot(&damaged).is_err(), "bit {bit}");
        }
        for len in 0..snapshot.len() {
            assert!(read_snapshot(&snapshot[..len]).is_err(), "cut at {len}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_snapshot(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_snapshot(&bytes);
            prop_assert!(read_snapshot(&[&MAGIC[..], &bytes].concat()).is_err());
        }
    }
}
