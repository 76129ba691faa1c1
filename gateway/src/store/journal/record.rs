//! What a frame of the journal holds: the records of one group commit, each a head
//! of the audit chain and the entries that were written.

use audit_chain::{Chain, ChainError, Head, Position};
use minicbor::{Decoder, Encoder};
use sha2::{Digest, Sha256};

/// A key and its new value, or `None` where it was deleted.
pub type Entry = (Vec<u8>, Option<Vec<u8>>);

/// A record as it stands in a frame.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'b> {
    pub head: &'b [u8],
    pub body: &'b [u8],
}

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("record {seq}: what was written does not have the hash that its head gives")]
    Body { seq: u64 },
    #[error("record {seq}: what was written cannot be read: {message}")]
    Entries { seq: u64, message: String },
    #[error("a group of records cannot be read: {0}")]
    Group(String),
}

impl RecordError {
    /// The record that is damaged, where that can be told.
    pub fn record(&self) -> Option<u64> {
        match self {
            Self::Chain(error) => Some(error.record()),
            Self::Body { seq } | Self::Entries { seq, .. } => Some(*seq),
            Self::Group(_) => None,
        }
    }
}

pub fn to_payload(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut encoder = Encoder::new(&mut payload);
    // Writing to memory does not fail.
    let _ = encoder.array(records.len() as u64);
    for (head, body) in records {
        let _ = encoder.bytes(head).and_then(|e| e.bytes(body));
    }
    payload
}

/// The records of a frame. The array's length says how many; each is two strings.
pub fn to_records(payload: &[u8]) -> Result<Vec<RawRecord<'_>>, RecordError> {
    let error = |e: minicbor::decode::Error| RecordError::Group(e.to_string());
    let mut decoder = Decoder::new(payload);
    let count = decoder.array().map_err(error)?.unwrap_or(0);
    let mut records = Vec::new();
    for _ in 0..count {
        let head = decoder.bytes().map_err(error)?;
        let body = decoder.bytes().map_err(error)?;
        records.push(RawRecord { head, body });
    }
    if records.is_empty() || decoder.position() != payload.len() {
        return Err(RecordError::Group("it has no records, or something behind them".into()));
    }
    Ok(records)
}

pub fn to_body(entries: &[Entry]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut encoder = Encoder::new(&mut body);
    // Writing to memory does not fail.
    let _ = encoder.array(entries.len() as u64);
    for (key, value) in entries {
        let _ = encoder.bytes(key);
        let _ = match value {
            Some(value) => encoder.bytes(value),
            None => encoder.null(),
        };
    }
    body
}

pub fn to_entries(body: &[u8]) -> Result<Vec<Entry>, minicbor::decode::Error> {
    let mut decoder = Decoder::new(body);
    let count = decoder.array()?.unwrap_or(0);
    let mut entries = Vec::new();
    for _ in 0..count {
        let key = decoder.bytes()?.to_vec();
        let value = match decoder.datatype()? {
            minicbor::data::Type::Null => {
                decoder.null()?;
                None
            }
            _ => Some(decoder.bytes()?.to_vec()),
        };
        entries.push((key, value));
    }
    if decoder.position() != body.len() {
        return Err(minicbor::decode::Error::message("something stands behind the entries"));
    }
    Ok(entries)
}

pub fn hash_of(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// One record, checked against the chain before it.
pub struct Checked {
    pub head: Head,
    pub position: Position,
    pub entries: Vec<Entry>,
}

pub fn check_record(chain: &mut Chain, raw: RawRecord) -> Result<Checked, RecordError> {
    let head = chain.take(raw.head)?;
    let seq = head.seq;
    if head.body_hash != hash_of(raw.body) || head.body_bytes != raw.body.len() as u64 {
        return Err(RecordError::Body { seq });
    }
    let entries =
        to_entries(raw.body).map_err(|e| RecordError::Entries { seq, message: e.to_string() })?;
    Ok(Checked { position: Position::of(seq, raw.head), head, entries })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_keep_their_bytes() {
        let entries = vec![(b"a/1".to_vec(), Some(b"x".to_vec())), (b"a/2".to_vec(), None)];
        let body = to_body(&entries);
        assert_eq!(hex::encode(&body), "8243612f31417843612f32f6");
        assert_eq!(to_entries(&body).unwrap(), entries);
        let payload = to_payload(&[(b"h".to_vec(), body)]);
        assert_eq!(hex::encode(&payload), "8141684c8243612f31417843612f32f6");
        assert_eq!(to_records(&payload).unwrap()[0].head, b"h");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = to_entries(&bytes);
            let _ = to_records(&bytes);
        }
    }
}
