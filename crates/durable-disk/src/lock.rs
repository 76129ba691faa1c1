//! One process on a directory at a time.

use std::fs::{File, TryLockError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A lock ends with the process that holds it, but not at once: a child that it was just
/// starting has the descriptor too, until it has become another program.
const LEFT_BEHIND: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Locks a file until it is closed; refused if another holds it, and goes on holding it.
pub fn lock(file: &File) -> Result<(), TryLockError> {
    let deadline = Instant::now() + LEFT_BEHIND;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOOK_EVERY),
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_left_behind_is_waited_for_and_one_that_is_held_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let open = || File::create(&path).unwrap();
        let first = open();
        lock(&first).unwrap();
        let second = open();
        let waiting = std::thread::spawn(move || lock(&second).map(|()| second));
        sleep(Duration::from_millis(100));
        drop(first);
        let _second = waiting.join().unwrap().unwrap();
        assert!(matches!(lock(&open()), Err(TryLockError::WouldBlock)));
    }
}
