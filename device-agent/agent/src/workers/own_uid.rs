//! A user id for each worker, where the agent may give one.
//!
//! Workers of different ids cannot signal or look into each other or the agent, and
//! own no file. Only root can give ids; otherwise workers run as the agent does, which
//! the report shows by what it does not list.

use crate::config::WorkerUids;
use crate::install::WorkerId;
use std::collections::BTreeMap;

#[derive(Debug)]
pub struct OwnUids {
    range: Option<WorkerUids>,
    given: BTreeMap<WorkerId, u32>,
}

impl OwnUids {
    pub fn new(range: WorkerUids) -> Self {
        let may_give = rustix::process::geteuid().is_root() && range.count > 0;
        Self { range: may_give.then_some(range), given: BTreeMap::new() }
    }

    pub fn none() -> Self {
        Self { range: None, given: BTreeMap::new() }
    }

    /// One that no other worker has now.
    pub fn give(&mut self, worker: WorkerId) -> Option<u32> {
        let range = self.range?;
        let mut ids = range.first..range.first.saturating_add(range.count);
        let uid = ids.find(|uid| !self.given.values().any(|given| given == uid))?;
        self.given.insert(worker, uid);
        Some(uid)
    }

    pub fn take_back(&mut self, worker: WorkerId) {
        self.given.remove(&worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_workers_have_one_id_at_a_time() {
        let range = Some(WorkerUids { first: 100, count: 2 });
        let mut uids = OwnUids { range, given: BTreeMap::new() };
        assert_eq!(uids.give(WorkerId(1)), Some(100));
        assert_eq!(uids.give(WorkerId(2)), Some(101));
        assert_eq!(uids.give(WorkerId(3)), None, "then it runs as the agent does");
        uids.take_back(WorkerId(1));
        assert_eq!(uids.give(WorkerId(3)), Some(100));
        assert_eq!(OwnUids::none().give(WorkerId(1)), None);
    }
}
