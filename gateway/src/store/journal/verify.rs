//! The check of the whole journal: every record that is kept, and every snapshot.

use super::files::{Files, SegmentFile, read_segment_head, segment_name, snapshot_name};
use super::replay::{JournalError, Reader, Replayed};
use super::snapshot::{Entries, read_snapshot};
use audit_chain::Position;
use durable_disk::Disk;
use std::collections::BTreeMap;
use std::path::Path;

/// What a journal without fault is.
#[derive(Debug)]
pub struct Verified {
    pub first_seq: u64,
    pub head: Position,
    pub records: u64,
    pub signatures: u64,
    pub snapshots: usize,
    /// Behind the last record, of a write that was not finished.
    pub torn_bytes: usize,
    pub entries: Entries,
}

/// Reads all of it and changes nothing; also while a gateway writes to it.
pub fn verify_journal(disk: &dyn Disk, dir: &Path) -> Result<Verified, JournalError> {
    let reader = Reader { disk, dir };
    let files = reader.files()?;
    let Some(first) = files.segments.first() else {
        return Err(JournalError::Missing { path: dir.join(segment_name(1)) });
    };
    let mut verified = Verified {
        first_seq: first.first,
        head: head_before(&reader, first)?,
        records: 0,
        signatures: 0,
        snapshots: files.snapshots.len(),
        torn_bytes: 0,
        entries: Entries::new(),
    };
    let hashes = check_segments(&reader, &files, &mut verified)?;
    check_snapshots(&reader, &files, &hashes)?;
    let Replayed { entries, .. } = reader.replay()?;
    verified.entries = entries;
    Ok(verified)
}

fn head_before(reader: &Reader, segment: &SegmentFile) -> Result<Position, JournalError> {
    let name = segment_name(segment.first);
    let bytes = reader.read(&name, segment.bytes)?;
    read_segment_head(&bytes).filter(|before| before.seq + 1 == segment.first).ok_or_else(|| {
        let (path, record) = (reader.dir.join(&name), segment.first);
        JournalError::Damaged { path, record, what: "the file's beginning is damaged".into() }
    })
}

/// The places at which a snapshot can stand.
fn check_segments(
    reader: &Reader,
    files: &Files,
    verified: &mut Verified,
) -> Result<BTreeMap<u64, [u8; 32]>, JournalError> {
    let mut hashes = BTreeMap::from([(verified.head.seq, verified.head.hash)]);
    for (index, segment) in files.segments.iter().enumerate() {
        if segment.first != verified.head.seq + 1 {
            let path = reader.dir.join(segment_name(verified.head.seq + 1));
            return Err(JournalError::Missing { path });
        }
        let next_first = files.segments.get(index + 1).map(|next| next.first);
        let read = reader.read_segment(segment, next_first, verified.head)?;
        for record in read.records {
            verified.head = record.position;
            verified.records += 1;
            verified.signatures += record.head.signatures.len() as u64;
        }
        verified.torn_bytes = read.torn.len();
        hashes.insert(verified.head.seq, verified.head.hash);
    }
    Ok(hashes)
}

fn check_snapshots(
    reader: &Reader,
    files: &Files,
    hashes: &BTreeMap<u64, [u8; 32]>,
) -> Result<(), JournalError> {
    for snapshot in &files.snapshots {
        let name = snapshot_name(snapshot.seq);
        let damaged = |what: &str| JournalError::Damaged {
            path: reader.dir.join(&name),
            record: snapshot.seq,
            what: what.to_owned(),
        };
        let bytes = reader.read(&name, snapshot.bytes)?;
        let (position, _) = read_snapshot(&bytes).map_err(damaged)?;
        if hashes.get(&position.seq) != Some(&position.hash) {
            return Err(damaged("the snapshot does not stand behind a record of this chain"));
        }
    }
    Ok(())
}
