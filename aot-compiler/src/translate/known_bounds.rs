//! What the checks so far have shown of addresses, so that software checks need not
//! ask twice.
//!
//! A memory never shrinks, so an access that was inside stays inside, whatever is
//! called in between. Two things are therefore known: an address below the memory's
//! initial size is good, and so is one for which a check that lies on every way here
//! has looked at least as far. Ways are followed by the nesting of blocks: a fact
//! counts until control may arrive from where it was not found out.

use cranelift_codegen::ir::Value;
use std::collections::HashMap;

/// For each index value how far behind it bytes are known to be inside.
#[derive(Default)]
pub(super) struct KnownBounds {
    ends: HashMap<Value, u64>,
    /// What was known before, in the order of finding out.
    log: Vec<(Value, Option<u64>)>,
}

/// A point of the log to which it can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark(usize);

impl KnownBounds {
    pub fn covers(&self, index: Value, end: u64) -> bool {
        self.ends.get(&index).is_some_and(|known| *known >= end)
    }

    /// A check of `index + end` against the size is passed from here on.
    pub fn learn(&mut self, index: Value, end: u64) {
        let before = self.ends.insert(index, end);
        self.log.push((index, before));
    }

    pub fn mark(&self) -> Mark {
        Mark(self.log.len())
    }

    /// Forgets what was learnt after `mark`; nothing if that is not in the past.
    pub fn forget_since(&mut self, mark: Mark) {
        while self.log.len() > mark.0 {
            match self.log.pop() {
                Some((index, Some(before))) => self.ends.insert(index, before),
                Some((index, None)) => self.ends.remove(&index),
                None => return,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_forgotten_in_reverse() {
        let (a, b) = (Value::from_u32(1), Value::from_u32(2));
        let mut known = KnownBounds::default();
        known.learn(a, 8);
        let outer = known.mark();
        known.learn(a, 16);
        let inner = known.mark();
        known.learn(b, 4);
        known.learn(a, 32);
        assert!(known.covers(a, 32) && known.covers(b, 4) && !known.covers(b, 5));
        known.forget_since(inner);
        assert!(known.covers(a, 16) && !known.covers(a, 17) && !known.covers(b, 1));
        known.forget_since(outer);
        assert!(known.covers(a, 8) && !known.covers(a, 9));
        known.forget_since(inner);
        assert!(known.covers(a, 8));
    }
}
