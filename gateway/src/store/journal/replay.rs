//! From the journal's files to the records as they stand.
//!
//! The newest snapshot that is whole, and every segment behind it. A segment counts
//! up to where the next one begins. In the last one, whatever is behind the last
//! whole frame is what a power cut left of a write that nobody was answered for,
//! unless a whole frame follows, or that record is known to have been answered for:
//! then it is damage, and nothing is opened that would silently lack a change.

use super::files::{
    ACKNOWLEDGED, Files, SEGMENT_HEAD_BYTES, SegmentFile, SnapshotFile, read_acknowledged,
    read_segment_head, segment_name, snapshot_name,
};
use super::frame::{FRAME_HEAD_BYTES, find_frames, read_frame};
use super::record::{Checked, RecordError, check_record, to_records};
use super::snapshot::{Entries, read_snapshot};
use audit_chain::{Chain, Head, Position};
use durable_disk::Disk;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{operation} {path}: {source}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "the journal {path} is damaged at record {record}: {what}. Nothing was changed. Later \
         records are there, so what is lost had been answered for. Restore a backup into an empty \
         data directory (farrier-gateway restore), or put the file back from a copy"
    )]
    Damaged { path: PathBuf, record: u64, what: String },
    #[error(
        "the journal ends at record {found} and record {known} was answered for: its end is lost \
         or damaged. Nothing was changed. Restore a backup into an empty data directory \
         (farrier-gateway restore), or put {path} back from a copy"
    )]
    EndLost { path: PathBuf, found: u64, known: u64 },
    #[error(
        "the journal lacks {path}. Nothing was changed. Put the file back from a copy, or restore \
         a backup into an empty data directory (farrier-gateway restore)"
    )]
    Missing { path: PathBuf },
}

/// What the journal comes to.
pub struct Replayed {
    pub entries: Entries,
    pub head: Position,
    /// The segment that goes on, and how much of it counts.
    pub segment: Option<(SegmentFile, u64)>,
    /// Bytes behind it that a power cut left.
    pub torn: Vec<u8>,
    pub damaged_snapshots: Vec<(SnapshotFile, &'static str)>,
}

pub struct Reader<'a> {
    pub disk: &'a dyn Disk,
    pub dir: &'a Path,
}

impl Reader<'_> {
    pub fn files(&self) -> Result<Files, JournalError> {
        let listed = self.disk.list(self.dir).map_err(|e| io_error("list", self.dir, e))?;
        Ok(Files::of(&listed))
    }

    pub fn read(&self, name: &str, bytes: u64) -> Result<Vec<u8>, JournalError> {
        let path = self.dir.join(name);
        // A segment may grow while another process reads it.
        let bytes_max = bytes.saturating_add(super::frame::PAYLOAD_BYTES_MAX as u64 * 2);
        let read = self.disk.read(&path, bytes_max);
        read.and_then(|bytes| bytes.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|e| io_error("read", &path, e))
    }

    /// The last record that is known to have been answered for.
    pub fn acknowledged(&self) -> Option<Position> {
        let path = self.dir.join(ACKNOWLEDGED);
        read_acknowledged(&self.disk.read(&path, 1024).ok()??)
    }

    pub fn replay(&self) -> Result<Replayed, JournalError> {
        // Before the rest, because another process may go on writing meanwhile.
        let known = self.acknowledged();
        let files = self.files()?;
        let (start, entries, damaged_snapshots) = self.newest_snapshot(&files)?;
        let mut replayed =
            Replayed { entries, head: start, segment: None, torn: vec![], damaged_snapshots };
        let behind: Vec<SegmentFile> =
            files.segments.iter().copied().filter(|s| s.first > start.seq).collect();
        for (index, segment) in behind.iter().enumerate() {
            let next_first = behind.get(index + 1).map(|next| next.first);
            self.check_follows(segment, replayed.head)?;
            let read = self.read_segment(segment, next_first, replayed.head)?;
            for record in read.records {
                for (key, value) in record.entries {
                    match value {
                        Some(value) => drop(replayed.entries.insert(key, value)),
                        None => drop(replayed.entries.remove(&key)),
                    }
                }
                replayed.head = record.position;
            }
            replayed.segment = Some((*segment, read.good_bytes));
            replayed.torn = read.torn;
        }
        if replayed.segment.is_none() && (start.seq > 0 || files.segments.len() > behind.len()) {
            // A segment is begun before the snapshot that stands at its beginning.
            return Err(JournalError::Missing { path: self.dir.join(segment_name(start.seq + 1)) });
        }
        if let Some(known) = known
            && known.seq > replayed.head.seq
        {
            let name = replayed.segment.map_or(String::new(), |(s, _)| segment_name(s.first));
            let path = self.dir.join(name);
            return Err(JournalError::EndLost { path, found: replayed.head.seq, known: known.seq });
        }
        Ok(replayed)
    }

    #[allow(clippy::type_complexity, reason = "three results of one search, used once")]
    fn newest_snapshot(
        &self,
        files: &Files,
    ) -> Result<(Position, Entries, Vec<(SnapshotFile, &'static str)>), JournalError> {
        let mut damaged = Vec::new();
        for snapshot in files.snapshots.iter().rev() {
            let bytes = self.read(&snapshot_name(snapshot.seq), snapshot.bytes)?;
            match read_snapshot(&bytes) {
                Ok((position, entries)) if position.seq == snapshot.seq => {
                    return Ok((position, entries, damaged));
                }
                Ok(_) => damaged.push((*snapshot, "it is another record's")),
                Err(what) => damaged.push((*snapshot, what)),
            }
        }
        // Without one, everything from the first record on is needed.
        match files.segments.first() {
            Some(first) if first.first != 1 => {
                Err(JournalError::Missing { path: self.dir.join(segment_name(1)) })
            }
            _ => Ok((Position::default(), Entries::new(), damaged)),
        }
    }

    fn check_follows(&self, segment: &SegmentFile, head: Position) -> Result<(), JournalError> {
        if segment.first == head.seq + 1 {
            return Ok(());
        }
        Err(JournalError::Missing { path: self.dir.join(segment_name(head.seq + 1)) })
    }

    /// The segment's records, checked to follow from `before`.
    pub fn read_segment(
        &self,
        segment: &SegmentFile,
        next_first: Option<u64>,
        before: Position,
    ) -> Result<SegmentRead, JournalError> {
        let name = segment_name(segment.first);
        let path = self.dir.join(&name);
        let bytes = self.read(&name, segment.bytes)?;
        let damaged =
            |record: u64, what: String| JournalError::Damaged { path: path.clone(), record, what };
        if read_segment_head(&bytes) != Some(before) {
            let what =
                "the file's beginning is damaged, or it does not follow from the record before";
            return Err(damaged(segment.first, what.into()));
        }
        let mut chain = Chain::behind(before);
        let mut records = Vec::new();
        let mut position = SEGMENT_HEAD_BYTES;
        let expected = |chain: &Chain| chain.last().map_or(1, |last| last.seq + 1);
        while next_first.is_none_or(|next| expected(&chain) < next) {
            let Some(payload) = read_frame(&bytes[position..]) else { break };
            let group =
                to_records(payload).map_err(|e| damaged(expected(&chain), e.to_string()))?;
            for raw in group {
                let checked = check_record(&mut chain, raw).map_err(|e: RecordError| {
                    damaged(e.record().unwrap_or(expected(&chain)), e.to_string())
                })?;
                records.push(checked);
            }
            position += FRAME_HEAD_BYTES + payload.len();
        }
        match next_first {
            Some(next) if expected(&chain) != next => {
                let what = "it cannot be read, and a later file goes on behind it";
                return Err(damaged(expected(&chain), what.into()));
            }
            // What is behind the last record that counts was never answered for.
            Some(_) => {
                return Ok(SegmentRead { records, good_bytes: position as u64, torn: vec![] });
            }
            None => {}
        }
        let torn = &bytes[position..];
        if find_frames(torn).any(|payload| is_later(payload, expected(&chain))) {
            return Err(damaged(expected(&chain), "it cannot be read".into()));
        }
        Ok(SegmentRead { records, good_bytes: position as u64, torn: torn.to_vec() })
    }
}

pub struct SegmentRead {
    pub records: Vec<Checked>,
    pub good_bytes: u64,
    pub torn: Vec<u8>,
}

/// Whether a whole frame holds a record that was written after this one.
fn is_later(payload: &[u8], seq: u64) -> bool {
    let Ok(records) = to_records(payload) else { return false };
    records.iter().any(|raw| Head::from_bytes(raw.head).is_ok_and(|head| head.seq >= seq))
}

pub fn io_error(operation: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::Io { operation, path: path.to_owned(), source }
}
