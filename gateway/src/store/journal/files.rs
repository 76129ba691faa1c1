//! The journal's files by name, and the beginning of a segment.
//!
//! ```text
//! segment   "FARRJNL" version u8 | first u64 LE | hash of the head before, 32 bytes | CRC-32
//! ```

use audit_chain::Position;
use crc32fast::hash;

pub const ACKNOWLEDGED: &str = "acknowledged";
const SEGMENT_SUFFIX: &str = ".journal";
const SNAPSHOT_SUFFIX: &str = ".snapshot";

const SEGMENT_MAGIC: &[u8; 8] = b"FARRJNL\x01";

/// Records are not believed to have greater numbers, so that the next ones can be
/// counted without a thought of overflow. A thousand a second would take 300 million
/// years to get there.
pub const SEQ_MAX: u64 = u64::MAX / 2;

pub const SEGMENT_HEAD_BYTES: usize = 8 + 8 + 32 + 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentFile {
    /// The number of its first record.
    pub first: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotFile {
    /// The record after which it was taken.
    pub seq: u64,
    pub bytes: u64,
}

/// Both oldest first.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub segments: Vec<SegmentFile>,
    pub snapshots: Vec<SnapshotFile>,
}

impl Files {
    pub fn of(listed: &[(String, u64)]) -> Self {
        let mut files = Self::default();
        for (name, bytes) in listed {
            let number = |suffix| name.strip_suffix(suffix).and_then(|n: &str| n.parse().ok());
            if let Some(first) = number(SEGMENT_SUFFIX) {
                files.segments.push(SegmentFile { first, bytes: *bytes });
            } else if let Some(seq) = number(SNAPSHOT_SUFFIX) {
                files.snapshots.push(SnapshotFile { seq, bytes: *bytes });
            }
        }
        files.segments.sort_unstable();
        files.snapshots.sort_unstable();
        files
    }
}

/// Twenty digits, so that names sort as numbers do.
pub fn segment_name(first: u64) -> String {
    format!("{first:020}{SEGMENT_SUFFIX}")
}

pub fn snapshot_name(seq: u64) -> String {
    format!("{seq:020}{SNAPSHOT_SUFFIX}")
}

/// The beginning of the segment that follows this record.
pub fn to_segment_head(before: Position) -> Vec<u8> {
    let mut head = Vec::with_capacity(SEGMENT_HEAD_BYTES);
    head.extend_from_slice(SEGMENT_MAGIC);
    head.extend_from_slice(&(before.seq + 1).to_le_bytes());
    head.extend_from_slice(&before.hash);
    head.extend_from_slice(&hash(&head).to_le_bytes());
    head
}

/// The record before the segment's first, if its beginning is whole.
pub fn read_segment_head(bytes: &[u8]) -> Option<Position> {
    let (fields, crc) = bytes.get(..SEGMENT_HEAD_BYTES)?.split_last_chunk::<4>()?;
    let fields_ = fields.strip_prefix(SEGMENT_MAGIC)?;
    let (first, before) = fields_.split_first_chunk::<8>()?;
    let is_whole = hash(fields) == u32::from_le_bytes(*crc);
    let seq = u64::from_le_bytes(*first).checked_sub(1).filter(|seq| *seq <= SEQ_MAX)?;
    is_whole.then_some(Position { seq, hash: before.try_into().ok()? })
}

/// What [`ACKNOWLEDGED`] holds: the last record that was answered for. It is written
/// after the sync that made the record last, and is itself never synced: it only
/// tells a damaged record from one that a power cut left half written.
pub fn to_acknowledged(position: Position) -> Vec<u8> {
    let mut bytes = position.seq.to_le_bytes().to_vec();
    bytes.extend_from_slice(&position.hash);
    bytes.extend_from_slice(&hash(&bytes).to_le_bytes());
    bytes
}

pub fn read_acknowledged(bytes: &[u8]) -> Option<Position> {
    let (fields, crc) = bytes.split_last_chunk::<4>()?;
    let (seq, hash_of_head) = fields.split_first_chunk::<8>()?;
    let is_whole = hash(fields) == u32::from_le_bytes(*crc);
    let position = Position { seq: u64::from_le_bytes(*seq), hash: hash_of_head.try_into().ok()? };
    is_whole.then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_beginning_of_a_segment_keeps_its_bytes() {
        let before = Position { seq: 6, hash: [2; 32] };
        let head = to_segment_head(before);
        let golden = format!("464152524a4e4c010700000000000000{}", "02".repeat(32));
        assert!(hex::encode(&head).starts_with(&golden), "{}", hex::encode(&head));
        assert_eq!(read_segment_head(&head), Some(before));
        assert_eq!(read_acknowledged(&to_acknowledged(before)), Some(before));
    }

    #[test]
    fn files_are_known_by_name_and_sorted() {
        let names = [segment_name(10), segment_name(9), snapshot_name(8), ACKNOWLEDGED.into()];
        let listed: Vec<_> = names.into_iter().map(|name| (name, 1)).collect();
        let files = Files::of(&listed);
        assert_eq!(files.segments.iter().map(|s| s.first).collect::<Vec<_>>(), [9, 10]);
        assert_eq!(files.snapshots, [SnapshotFile { seq: 8, bytes: 1 }]);
    }

    #[test]
    fn a_segment_of_records_beyond_all_numbers_is_refused() {
        let position = |seq| Position { seq, hash: [2; 32] };
        assert_eq!(read_segment_head(&to_segment_head(position(SEQ_MAX + 1))), None);
        assert!(read_segment_head(&to_segment_head(position(SEQ_MAX))).is_some());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_begin_no_segment(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(read_segment_head(&bytes), None);
            prop_assert_eq!(read_acknowledged(&bytes), None);
        }
    }
}
