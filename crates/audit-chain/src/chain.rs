//! The check of heads in their order.

use crate::{Head, HeadError, Position};

/// What was checked so far, and where it goes on.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    last: Option<Position>,
    checked: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("record {seq} cannot be read: {source}")]
    Head { seq: u64, source: HeadError },
    #[error(
        "record {found} stands where record {expected} belongs: one was removed, put in or moved"
    )]
    Number { expected: u64, found: u64 },
    #[error(
        "record {seq} does not follow from record {}: record {} is not the one that was written, \
         or record {seq} was put in its successor's place", .seq - 1, .seq - 1
    )]
    Broken { seq: u64 },
    #[error("record {seq} is not the one that was there: its hash is another")]
    NotAsKnown { seq: u64 },
    #[error("record {seq} is missing")]
    Missing { seq: u64 },
}

impl ChainError {
    /// The record that is damaged, as far as the chain can tell.
    pub fn record(&self) -> u64 {
        match self {
            Self::Head { seq, .. } | Self::NotAsKnown { seq } | Self::Missing { seq } => *seq,
            Self::Number { expected, .. } => *expected,
            // What a record says of itself changes its hash, which its successor has.
            Self::Broken { seq } => seq - 1,
        }
    }
}

impl Chain {
    /// From the first record of all.
    pub fn from_the_start() -> Self {
        Self { last: Some(Position::default()), checked: 0 }
    }

    /// Behind a record that is known.
    pub fn behind(position: Position) -> Self {
        Self { last: Some(position), checked: 0 }
    }

    /// From whatever record comes first: earlier ones are no longer kept.
    pub fn from_what_is_kept() -> Self {
        Self::default()
    }

    /// The next record in order.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Head, ChainError> {
        let expected = self.last.map(|last| last.seq.saturating_add(1));
        let head = Head::from_bytes(bytes)
            .map_err(|source| ChainError::Head { seq: expected.unwrap_or(0), source })?;
        if let Some(last) = self.last {
            let expected = last.seq.saturating_add(1);
            if head.seq != expected {
                return Err(ChainError::Number { expected, found: head.seq });
            }
            if head.before != last.hash {
                return Err(ChainError::Broken { seq: head.seq });
            }
        } else if head.seq == 0 {
            return Err(ChainError::Number { expected: 1, found: 0 });
        }
        self.last = Some(Position::of(head.seq, bytes));
        self.checked += 1;
        Ok(head)
    }

    /// The last record, once there is one.
    pub fn last(&self) -> Option<Position> {
        self.last
    }

    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// Whether the chain ends where someone else says that it does.
    pub fn check_end(&self, end: Position) -> Result<(), ChainError> {
        let last = self.last.unwrap_or_default();
        if last.seq < end.seq {
            return Err(ChainError::Missing { seq: last.seq + 1 });
        }
        if last != end {
            return Err(ChainError::NotAsKnown { seq: last.seq });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, RECORD_VERSION};

    fn heads(count: u64) -> Vec<Vec<u8>> {
        let mut last = Position::default();
        let next = |seq| {
            let head = Head {
                version: RECORD_VERSION,
                seq,
                before: last.hash,
                time_ms: seq,
                actor: "gateway".into(),
                actions: vec![Action { what: "did".into(), subject: seq.to_string() }],
                signatures: vec![],
                body_hash: [0; 32],
                body_bytes: 0,
            };
            let bytes = head.to_bytes();
            last = Position::of(seq, &bytes);
            bytes
        };
        (1..=count).map(next).collect()
    }

    fn check(heads: &[Vec<u8>], end: Position) -> Result<u64, ChainError> {
        let mut chain = Chain::from_the_start();
        for head in heads {
            chain.take(head)?;
        }
        chain.check_end(end)?;
        Ok(chain.checked())
    }

    fn end_of(heads: &[Vec<u8>]) -> Position {
        Position::of(heads.len() as u64, heads.last().unwrap())
    }

    #[test]
    fn an_unchanged_chain_holds() {
        let heads = heads(9);
        assert_eq!(check(&heads, end_of(&heads)), Ok(9));
    }

    #[test]
    fn a_changed_record_is_named() {
        let whole = heads(9);
        let end = end_of(&whole);
        for index in 0..9 {
            let mut changed = whole.clone();
            let mut head = Head::from_bytes(&changed[index]).unwrap();
            head.actor = "someone else".into();
            changed[index] = head.to_bytes();
            let error = check(&changed, end).unwrap_err();
            assert_eq!(error.record(), index as u64 + 1, "{error}");
        }
    }

    #[test]
    fn a_removed_record_is_named() {
        let whole = heads(9);
        for index in 0..9 {
            let mut changed = whole.clone();
            changed.remove(index);
            let error = check(&changed, end_of(&whole)).unwrap_err();
            assert_eq!(error.record(), index as u64 + 1, "{error}");
        }
    }

    #[test]
    fn an_inserted_record_is_named() {
        let whole = heads(9);
        for index in 0..9 {
            let mut changed = whole.clone();
            // One that fits its predecessor; the next then stands at a taken number.
            changed.insert(index, whole[index].clone());
            let error = check(&changed, end_of(&whole)).unwrap_err();
            assert_eq!(error.record(), index as u64 + 2, "{error}");
        }
        let mut longer = whole.clone();
        longer.push(heads(10).pop().unwrap());
        assert_eq!(check(&longer, end_of(&whole)).unwrap_err().record(), 10);
    }

    #[test]
    fn a_moved_record_is_named() {
        let whole = heads(9);
        for index in 0..8 {
            let mut changed = whole.clone();
            changed.swap(index, index + 1);
            let error = check(&changed, end_of(&whole)).unwrap_err();
            assert_eq!(error.record(), index as u64 + 1, "{error}");
        }
    }

    #[test]
    fn a_chain_written_anew_does_not_end_where_the_old_one_did() {
        let known = end_of(&heads(9));
        let mut other = heads(9);
        let mut last = Position::default();
        for bytes in &mut other {
            let mut head = Head::from_bytes(bytes).unwrap();
            head.actor = "someone else".into();
            head.before = last.hash;
            *bytes = head.to_bytes();
            last = Position::of(head.seq, bytes);
        }
        assert_eq!(check(&other, last), Ok(9), "it holds together");
        assert_eq!(check(&other, known), Err(ChainError::NotAsKnown { seq: 9 }));
    }
}
