//! Which request something was asked for by, for log lines that are written after it.
//!
//! Every line that is written within a request has its ids by the request's span. What a
//! deployment leads to happens later, on other threads; so the ids of the newest
//! deployments' requests are kept, in memory alone.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Deployments whose requests are remembered.
const KEPT_MAX: usize = 1_024;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub request_id: String,
    pub trace_id: String,
}

thread_local! {
    static ORIGIN: RefCell<Option<Origin>> = const { RefCell::new(None) };
}

/// Runs a rule for this request. Rules block, so each runs on one thread from begin to
/// end.
pub fn for_request<T>(origin: Option<Origin>, act: impl FnOnce() -> T) -> T {
    /// Also when `act` panics, the thread goes back to its pool as it was.
    struct Restore(Option<Origin>);
    impl Drop for Restore {
        fn drop(&mut self) {
            ORIGIN.set(self.0.take());
        }
    }
    let _restore = Restore(ORIGIN.replace(origin));
    act()
}

/// The request that this thread works for.
pub fn present() -> Option<Origin> {
    ORIGIN.with_borrow(Clone::clone)
}

/// By the numbers of deployments.
#[derive(Default)]
pub struct Origins(BTreeMap<u64, Origin>);

impl Origins {
    pub fn note(&mut self, deployment: u64, origin: Option<Origin>) {
        let Some(origin) = origin else { return };
        self.0.insert(deployment, origin);
        while self.0.len() > KEPT_MAX {
            self.0.pop_first();
        }
    }

    pub fn get(&self, deployment: u64) -> Option<&Origin> {
        self.0.get(&deployment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(number: u64) -> Origin {
        Origin { request_id: number.to_string(), trace_id: String::new() }
    }

    #[test]
    fn a_thread_works_for_a_request_until_its_rule_ends() {
        assert_eq!(present(), None);
        for_request(Some(origin(1)), || {
            assert_eq!(present(), Some(origin(1)));
            for_request(Some(origin(2)), || assert_eq!(present(), Some(origin(2))));
            assert_eq!(present(), Some(origin(1)));
        });
        let panicked = std::panic::catch_unwind(|| for_request(Some(origin(3)), || panic!("x")));
        assert!(panicked.is_err() && present().is_none());
    }

    #[test]
    fn the_newest_are_kept() {
        let mut origins = Origins::default();
        (0..KEPT_MAX as u64 + 5).for_each(|number| origins.note(number, Some(origin(number))));
        origins.note(9_999_999, None);
        assert_eq!(origins.get(4), None);
        assert_eq!(origins.get(5), Some(&origin(5)));
        assert_eq!(origins.0.len(), KEPT_MAX);
    }
}
