//! How fast what is sent arrives, and so from when on silence means loss.

/// A block is lost when it takes so much longer than usual and nobody else gets on
/// either, or, if they do, the device alone gets nothing for longer.
const LOST_AFTER_MS: u64 = 1_500;
const LOST_ANYWAY_MS: u64 = 10_000;
const TIMES_USUAL: u64 = 4;
/// Nothing is waited for longer.
const PATIENCE_MS_MAX: u64 = 60_000;
/// What is usual, before anything has come: a broker on a busy machine hands a block
/// to so many devices one after the other.
const USUAL_MS_PER_READER: u64 = 8;
/// One report moves what is usual by this part of the difference, up or down.
const RISING: u64 = 2;
const FALLING: u64 = 8;

#[derive(Debug)]
pub(super) struct Pace {
    usual_ms: Option<u64>,
    /// The most askers at a time: the broker writes for all of them, also when only
    /// the last are left.
    crowd: u64,
    /// When an asker last had something new.
    progress_ms: u64,
}

impl Pace {
    pub fn new(now_ms: u64) -> Self {
        Self { usual_ms: None, crowd: 0, progress_ms: now_ms }
    }

    pub fn note_crowd(&mut self, askers: usize) {
        self.crowd = self.crowd.max(askers as u64);
    }

    pub fn note_progress(&mut self, took_ms: Option<u64>, now_ms: u64) {
        self.progress_ms = now_ms;
        if let Some(took_ms) = took_ms {
            let (took_ms, usual_ms) = (took_ms.min(PATIENCE_MS_MAX), self.usual_ms());
            let part = if took_ms > usual_ms { RISING } else { FALLING };
            self.usual_ms = Some((usual_ms * (part - 1) + took_ms) / part);
        }
    }

    pub fn progress_ms(&self) -> u64 {
        self.progress_ms
    }

    /// How long a block may take that takes longer than others.
    pub fn slack_ms(&self) -> u64 {
        (self.usual_ms() * TIMES_USUAL).min(PATIENCE_MS_MAX)
    }

    pub fn patience_ms(&self, now_ms: u64) -> u64 {
        let others_get_on = now_ms < self.progress_ms + LOST_AFTER_MS + self.slack_ms();
        self.slack_ms() + if others_get_on { LOST_ANYWAY_MS } else { LOST_AFTER_MS }
    }

    fn usual_ms(&self) -> u64 {
        self.usual_ms.unwrap_or(self.crowd * USUAL_MS_PER_READER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_what_is_seen_and_does_not_grow_without_end() {
        let mut pace = Pace::new(0);
        pace.note_crowd(1_000);
        let before_anything_came_ms = pace.patience_ms(0);
        (0..100).for_each(|_| pace.note_progress(Some(100), 0));
        assert!(pace.patience_ms(0) < before_anything_came_ms / 3);
        assert!(pace.patience_ms(60_000) < pace.patience_ms(0), "others get on no more");
        (0..100).for_each(|_| pace.note_progress(Some(u64::MAX), 0));
        assert_eq!(pace.slack_ms(), PATIENCE_MS_MAX);
    }
}
