//! The journal of control changes: the truth of the store, and the audit log.
//!
//! ```text
//! journal/
//!   00000000000000000001.journal    records 1 and on, the oldest that is kept
//!   00000000000000000812.journal    goes on behind record 811; the last one grows
//!   00000000000000000811.snapshot   every entry as it stood after record 811
//!   acknowledged                    the last record that was answered for
//! ```
//!
//! A change is one record (`record`); those of a group commit are one frame
//! (`frame`), synced before anyone is answered. A start reads the newest snapshot and
//! the segments behind it (`replay`), so it is bounded by the size of the state and
//! of one segment or two. Older segments are history: they are kept up to a bound,
//! and only who asks for the audit log reads them.

mod files;
mod frame;
#[cfg(test)]
mod fuzz_tests;
mod record;
mod replay;
mod snapshot;
mod verify;

pub use record::Entry;
pub use replay::{JournalError, Reader};
pub use snapshot::{Entries, read_snapshot, to_snapshot};
pub use verify::{Verified, verify_journal};

use super::SharedDisk;
use super::note::Note;
use audit_chain::{Head, Position, RECORD_VERSION};
use durable_disk::{Disk, PART_SUFFIX, is_full, put_file, sweep_parts};
use files::{
    ACKNOWLEDGED, Files, SEGMENT_HEAD_BYTES, SegmentFile, segment_name, snapshot_name,
    to_acknowledged, to_segment_head,
};
use frame::{FRAME_HEAD_BYTES, read_frame, to_frame};
use record::{hash_of, to_body, to_payload, to_records};
use replay::io_error;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy)]
pub struct JournalLimits {
    /// A segment that has grown beyond this is closed.
    pub segment_bytes: u64,
    /// Closed segments beyond this are deleted, the oldest first, but none that a
    /// start could need.
    pub history_bytes_max: u64,
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self { segment_bytes: 4 * 1024 * 1024, history_bytes_max: 1024 * 1024 * 1024 }
    }
}

/// The older one is there for the day when the newer is damaged.
const SNAPSHOTS_KEPT: usize = 2;

/// One change to write down.
pub struct NewRecord {
    pub time_ms: u64,
    pub note: Note,
    pub entries: Vec<Entry>,
}

pub struct Journal {
    disk: SharedDisk,
    dir: PathBuf,
    limits: JournalLimits,
    head: Position,
    /// First record and length of the segment that grows.
    segment: SegmentFile,
    /// A write to the segment failed: what is behind its length is not to be trusted,
    /// so the next record begins a new one.
    must_turn: bool,
}

/// Heads of the chain, for whoever checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The oldest record that is kept.
    pub first_seq: u64,
    /// The newest record, as the gateway has it in memory.
    pub end: Position,
    pub heads: Vec<Vec<u8>>,
}

impl Journal {
    pub fn exists(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
        let files = Files::of(&disk.list(dir)?);
        Ok(!files.segments.is_empty() || !files.snapshots.is_empty())
    }

    /// A new one, without records.
    pub fn create(
        disk: SharedDisk,
        dir: &Path,
        limits: JournalLimits,
    ) -> Result<Self, JournalError> {
        let make = || {
            disk.create_dir(dir)?;
            disk.sync_dir(dir.parent().unwrap_or(Path::new(".")))
        };
        make().map_err(|e| io_error("make", dir, e))?;
        let segment = SegmentFile { first: 1, bytes: 0 };
        let dir = dir.to_owned();
        let mut journal =
            Self { disk, dir, limits, head: Position::default(), segment, must_turn: false };
        journal.begin_segment()?;
        Ok(journal)
    }

    /// Reads what is there, cuts off what a power cut left, and goes on.
    pub fn open(
        disk: SharedDisk,
        dir: &Path,
        limits: JournalLimits,
    ) -> Result<(Self, Entries), JournalError> {
        sweep_parts(&*disk, dir).map_err(|e| io_error("tidy up", dir, e))?;
        let replayed = Reader { disk: &*disk, dir }.replay()?;
        for (snapshot, what) in &replayed.damaged_snapshots {
            tracing::error!(
                path = %dir.join(snapshot_name(snapshot.seq)).display(), what,
                "a snapshot is damaged; the records were put together from an earlier one and the journal"
            );
        }
        let head = replayed.head;
        let mut journal = Self {
            disk,
            dir: dir.to_owned(),
            limits,
            head,
            segment: SegmentFile { first: head.seq + 1, bytes: 0 },
            must_turn: false,
        };
        match replayed.segment {
            Some((segment, good_bytes)) => {
                journal.segment = SegmentFile { first: segment.first, bytes: good_bytes };
                if !replayed.torn.is_empty() {
                    journal.cut_off(&replayed.torn)?;
                }
            }
            None => journal.begin_segment()?,
        }
        // A snapshot that could not be read would be in the way of the next.
        if !replayed.damaged_snapshots.is_empty() {
            journal.set_snapshots_aside(&replayed.damaged_snapshots)?;
        }
        Ok((journal, replayed.entries))
    }

    pub fn head(&self) -> Position {
        self.head
    }

    fn path(&self) -> PathBuf {
        self.dir.join(segment_name(self.segment.first))
    }

    /// Writes the records as one, and returns when they would survive a power cut.
    /// On an error none of them was written, as far as a later start can tell.
    pub fn append(&mut self, records: Vec<NewRecord>) -> Result<Vec<Vec<Entry>>, JournalError> {
        if self.must_turn {
            self.begin_segment()?;
            self.must_turn = false;
        }
        let mut head = self.head;
        let mut written = Vec::with_capacity(records.len());
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let body = to_body(&record.entries);
            let bytes = to_head(head, &record, &body).to_bytes();
            head = Position::of(head.seq + 1, &bytes);
            written.push((bytes, body));
            entries.push(record.entries);
        }
        let frame = to_frame(&to_payload(&written));
        let path = self.path();
        if let Err(source) = self.disk.append(&path, self.segment.bytes, &frame) {
            self.must_turn = true;
            // Where this works, even a start without the next segment sees no trace.
            let _ = self.disk.set_len(&path, self.segment.bytes);
            return Err(io_error("write to", &path, source));
        }
        self.segment.bytes += frame.len() as u64;
        self.head = head;
        // Not synced and not needed, see `to_acknowledged`.
        let _ = self.disk.write_at(&self.dir.join(ACKNOWLEDGED), 0, &to_acknowledged(head));
        Ok(entries)
    }

    pub fn is_segment_full(&self) -> bool {
        self.segment.bytes >= self.limits.segment_bytes
    }

    /// Begins a segment, and takes a snapshot of what the earlier ones come to. It is
    /// made from the files alone, which so are read once more while an older snapshot
    /// could still help.
    pub fn turn(&mut self) -> Result<(), JournalError> {
        self.begin_segment()?;
        self.take_snapshot()
    }

    pub fn take_snapshot(&mut self) -> Result<(), JournalError> {
        let replayed = Reader { disk: &*self.disk, dir: &self.dir }.replay()?;
        let snapshot = to_snapshot(replayed.head, &replayed.entries);
        let name = snapshot_name(replayed.head.seq);
        put_file(&*self.disk, &self.dir, &name, &snapshot)
            .map_err(|e| io_error("write", &self.dir.join(name), e))?;
        self.forget_old_files()
    }

    /// A journal that begins with these entries, without the records that led to them.
    pub fn create_behind(
        disk: SharedDisk,
        dir: &Path,
        limits: JournalLimits,
        snapshot: &[u8],
        head: Position,
    ) -> Result<Self, JournalError> {
        disk.create_dir(dir).map_err(|e| io_error("make", dir, e))?;
        let segment = SegmentFile { first: head.seq + 1, bytes: 0 };
        let mut journal =
            Self { disk, dir: dir.to_owned(), limits, head, segment, must_turn: false };
        journal.begin_segment()?;
        let name = snapshot_name(head.seq);
        put_file(&*journal.disk, dir, &name, snapshot)
            .map_err(|e| io_error("write", &dir.join(name), e))?;
        Ok(journal)
    }

    fn begin_segment(&mut self) -> Result<(), JournalError> {
        let name = segment_name(self.head.seq + 1);
        put_file(&*self.disk, &self.dir, &name, &to_segment_head(self.head))
            .map_err(|e| io_error("begin", &self.dir.join(&name), e))?;
        self.segment = SegmentFile { first: self.head.seq + 1, bytes: SEGMENT_HEAD_BYTES as u64 };
        Ok(())
    }

    /// What is cut off is kept beside, because a person may read more out of it.
    fn cut_off(&mut self, torn: &[u8]) -> Result<(), JournalError> {
        let path = self.path();
        let kept = format!("torn-behind-{:020}", self.head.seq);
        tracing::warn!(
            path = %path.display(), bytes = torn.len(), record = self.head.seq, kept,
            "the journal ended in an unfinished write, which nobody was answered for; it is cut off"
        );
        put_file(&*self.disk, &self.dir, &kept, torn).map_err(|e| io_error("write", &path, e))?;
        let cut = || {
            self.disk.set_len(&path, self.segment.bytes)?;
            self.disk.sync(&path)
        };
        cut().map_err(|e| io_error("cut", &path, e))
    }

    fn set_snapshots_aside(
        &mut self,
        damaged: &[(files::SnapshotFile, &'static str)],
    ) -> Result<(), JournalError> {
        for (snapshot, _) in damaged {
            let path = self.dir.join(snapshot_name(snapshot.seq));
            let aside = self.dir.join(format!("damaged-{:020}", snapshot.seq));
            self.disk.rename(&path, &aside).map_err(|e| io_error("move", &path, e))?;
        }
        self.disk.sync_dir(&self.dir).map_err(|e| io_error("sync", &self.dir, e))
    }

    fn forget_old_files(&mut self) -> Result<(), JournalError> {
        let files = Reader { disk: &*self.disk, dir: &self.dir }.files()?;
        let surplus = files.snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
        for snapshot in &files.snapshots[..surplus] {
            self.remove(&snapshot_name(snapshot.seq))?;
        }
        let Some(oldest_kept) = files.snapshots.get(surplus) else { return Ok(()) };
        let mut bytes: u64 = files.segments.iter().map(|s| s.bytes).sum();
        for segment in files.segments.iter().filter(|s| s.first <= oldest_kept.seq) {
            if bytes <= self.limits.history_bytes_max {
                break;
            }
            tracing::warn!(
                first = segment.first,
                bytes = segment.bytes,
                "the audit log is over its bound: its oldest part is deleted"
            );
            self.remove(&segment_name(segment.first))?;
            bytes -= segment.bytes;
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), JournalError> {
        let path = self.dir.join(name);
        self.disk.remove(&path).map_err(|e| io_error("remove", &path, e))
    }

    /// Heads behind a record, at most so many and so many bytes.
    pub fn audit(
        &self,
        after: u64,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<AuditPage, JournalError> {
        let reader = Reader { disk: &*self.disk, dir: &self.dir };
        let files = reader.files()?;
        let first_seq = files.segments.first().map_or(1, |s| s.first);
        let mut page = AuditPage { first_seq, end: self.head, heads: vec![] };
        let from = after.saturating_add(1).max(first_seq);
        let mut bytes = 0;
        let begin = files.segments.partition_point(|s| s.first <= from).saturating_sub(1);
        for (index, segment) in files.segments.iter().enumerate().skip(begin) {
            let next = files.segments.get(index + 1).map_or(self.head.seq + 1, |s| s.first);
            for (seq, head) in read_heads(&reader, segment, next)? {
                if seq < from {
                    continue;
                }
                bytes += head.len();
                if page.heads.len() >= count_max || (bytes > bytes_max && !page.heads.is_empty()) {
                    return Ok(page);
                }
                page.heads.push(head);
            }
        }
        Ok(page)
    }

    /// Whether there is space again, tried by writing.
    pub fn probe(&self) -> io::Result<()> {
        let path = self.dir.join(format!("probe{PART_SUFFIX}"));
        let tried = self.disk.write(&path, &[0; PROBE_BYTES]).and_then(|()| self.disk.sync(&path));
        let removed = self.disk.remove(&path);
        tried.and(removed)
    }
}

/// A commit and the index behind it should find room.
const PROBE_BYTES: usize = 256 * 1024;

impl JournalError {
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }
}

/// Heads as they stand there, unchecked: whoever asked checks them, and finds what is
/// damaged by its absence.
fn read_heads(
    reader: &Reader,
    segment: &SegmentFile,
    next_first: u64,
) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
    let bytes = reader.read(&segment_name(segment.first), segment.bytes)?;
    let mut rest = bytes.get(SEGMENT_HEAD_BYTES..).unwrap_or_default();
    let mut heads = Vec::new();
    let mut seq = segment.first;
    while seq < next_first
        && let Some(payload) = read_frame(rest)
    {
        for raw in to_records(payload).unwrap_or_default() {
            heads.push((seq, raw.head.to_vec()));
            seq += 1;
        }
        rest = &rest[FRAME_HEAD_BYTES + payload.len()..];
    }
    Ok(heads)
}

fn to_head(before: Position, record: &NewRecord, body: &[u8]) -> Head {
    Head {
        version: RECORD_VERSION,
        seq: before.seq + 1,
        before: before.hash,
        time_ms: record.time_ms,
        actor: record.note.actor.clone(),
        actions: record.note.actions.clone(),
        signatures: record.note.signatures.clone(),
        body_hash: hash_of(body),
        body_bytes: body.len() as u64,
    }
}
