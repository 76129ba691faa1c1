//! The past of devices, modules and the fleet: what charts are drawn from.
//!
//! What was reported in the last quarter of an hour is in `telemetry`, each report by
//! itself. Once a minute is over it becomes a row here (`row`) of smallest, mean, largest
//! and 95th percentile; an hour of them becomes another. Minutes are kept for a day and
//! hours for 90 days, in a file of its own that is never larger than it may be (`store`).
//! `buckets` cuts what is asked for into equal pieces.
//!
//! Only [`History::add_minute`] writes, and `app` calls it from one task. No rule depends
//! on what is kept here: a file that is damaged is put aside, and a full disk costs charts.

mod buckets;
mod row;
mod stats;
mod store;

pub use buckets::Buckets;
pub use row::{APPS_MAX, Block, Row};
pub use stats::{METRICS, NOTHING, Stats, Values};
pub use store::{Subject, Tier};

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use store::Store;

const FILE_NAME: &str = "history.redb";
/// The last one that was damaged; one before it is overwritten.
const DAMAGED_NAME: &str = "history.damaged.redb";

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("the history is being opened")]
    NotOpen,
    #[error("read or write the history")]
    Store(#[source] Box<redb::Error>),
    /// The library found something that it holds for impossible.
    #[error("the history is damaged")]
    Damaged,
}

pub struct History {
    /// None: in memory, for tests.
    place: Option<Place>,
    store: RwLock<Option<Arc<Store>>>,
    /// Held by who opens it or adds a minute, which no two do at a time.
    writing: Mutex<()>,
}

struct Place {
    dir: PathBuf,
    bytes_max: u64,
}

impl History {
    /// Below this directory. It is opened by the first minute or by [`History::open`], in
    /// the background, because it is read once as a whole.
    pub fn below(dir: &Path, bytes_max: u64) -> Self {
        let place = Place { dir: dir.to_owned(), bytes_max };
        Self { place: Some(place), store: RwLock::default(), writing: Mutex::default() }
    }

    #[cfg(test)]
    pub fn in_memory() -> Self {
        let store = Store::in_memory(u64::MAX);
        let store = RwLock::new(Some(Arc::new(store)));
        Self { place: None, store, writing: Mutex::default() }
    }

    /// No minute is written while this is held, as on a disk that does not answer.
    #[cfg(test)]
    pub fn hold_writes(&self) -> impl Drop + '_ {
        self.writing.lock().unwrap()
    }

    /// Opens it unless it is open. What cannot be read is put aside and said.
    pub fn open(&self) -> Result<(), HistoryError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.open_alone()
    }

    pub fn is_open(&self) -> bool {
        self.store().is_ok()
    }

    /// Of the file, for people who watch their disks.
    pub fn file_bytes(&self) -> u64 {
        let file = self.place.as_ref().map(|place| place.dir.join(FILE_NAME));
        file.and_then(|file| std::fs::metadata(file).ok()).map_or(0, |file| file.len())
    }

    fn open_alone(&self) -> Result<(), HistoryError> {
        let Some(place) = &self.place else { return Ok(()) };
        if self.store().is_ok() {
            return Ok(());
        }
        let path = place.dir.join(FILE_NAME);
        let open = || caught(|| Store::open(&path, place.bytes_max));
        let store = match open() {
            Err(error) if is_damage(&error) => {
                let aside = place.dir.join(DAMAGED_NAME);
                std::fs::rename(&path, &aside).map_err(redb::Error::Io)?;
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    path = %aside.display(),
                    "the history was damaged and is put aside: charts begin anew"
                );
                open()?
            }
            opened => opened?,
        };
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(store));
        Ok(())
    }

    fn store(&self) -> Result<Arc<Store>, HistoryError> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.clone().ok_or(HistoryError::NotOpen)
    }

    /// After a fault of the file it is closed, and opened again with the next minute: that
    /// is when it is found out whether it is damaged.
    pub fn add_minute(&self, minute: u32, rows: Vec<(Subject, Row)>) -> Result<(), HistoryError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.open_alone()?;
        let store = self.store()?;
        let added = caught(|| store.add_minute(minute, rows));
        drop(store);
        if added.is_err() && self.place.is_some() {
            *self.store.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        added
    }

    pub fn rows(
        &self,
        tier: Tier,
        subject: Subject,
        spans: Range<u32>,
    ) -> Result<Vec<(u32, Row)>, HistoryError> {
        let store = self.store()?;
        caught(|| store.rows(tier, subject, spans))
    }

    pub fn first_minute(&self) -> Result<Option<u32>, HistoryError> {
        let store = self.store()?;
        caught(|| store.first_minute())
    }
}

impl From<redb::Error> for HistoryError {
    fn from(error: redb::Error) -> Self {
        Self::Store(Box::new(error))
    }
}

/// The library checks its pages by assertions too, and a chart is worth no crash.
fn caught<T>(does: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, HistoryError> {
    match catch_unwind(AssertUnwindSafe(does)) {
        Ok(result) => Ok(result?),
        Err(_) => Err(HistoryError::Damaged),
    }
}

/// Whether the file itself is wrong, and not the disk that it is on.
fn is_damage(error: &HistoryError) -> bool {
    match error {
        HistoryError::NotOpen => false,
        HistoryError::Damaged => true,
        HistoryError::Store(error) => match &**error {
            redb::Error::Io(error) => matches!(
                error.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ),
            redb::Error::DatabaseAlreadyOpen | redb::Error::PreviousIo => false,
            _ => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u32 = 29_000_000;

    fn row() -> Row {
        let mut whole = [None; METRICS];
        whole[0] = Some(Stats::constant(2.0));
        Row { values: 60, whole, apps: vec![] }
    }

    fn history(dir: &Path) -> History {
        let history = History::below(dir, 64 * 1024 * 1024);
        history.open().unwrap();
        history
    }

    fn count(history: &History) -> usize {
        history.rows(Tier::Minutes, Subject::FLEET, MINUTE..MINUTE + 2_000).unwrap().len()
    }

    fn add(history: &History, minute: u32) {
        history.add_minute(minute, vec![(Subject::FLEET, row())]).unwrap();
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = history(dir.path());
        add(&first, MINUTE);
        drop(first);
        let second = history(dir.path());
        add(&second, MINUTE + 1);
        assert_eq!(count(&second), 2);
    }

    #[test]
    fn before_it_is_open_there_is_none_and_the_first_minute_opens_it() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::below(dir.path(), 64 * 1024 * 1024);
        let early = history.first_minute();
        assert!(matches!(early, Err(HistoryError::NotOpen)), "{early:?}");
        add(&history, MINUTE);
        assert_eq!(history.first_minute().unwrap(), Some(MINUTE));
    }

    /// Whatever was done to the file: the history opens, empty or with what it had, takes
    /// more, and no read is a panic.
    #[test]
    fn a_file_that_was_damaged_anywhere_is_put_aside_and_hinders_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let whole = history(dir.path());
        (0..60).for_each(|minute| add(&whole, MINUTE + minute));
        drop(whole);
        let path = dir.path().join(FILE_NAME);
        let aside = dir.path().join(DAMAGED_NAME);
        let bytes = std::fs::read(&path).unwrap();
        let mut put_aside = 0;
        let flipped = (0..24).map(|part| {
            let mut damaged = bytes.clone();
            let place = bytes.len() / 24 * part + 5;
            damaged[place..place + 64].iter_mut().for_each(|byte| *byte ^= 0x5a);
            damaged
        });
        let cut = [0, 1, 100, 5_000, bytes.len() / 2].map(|len| bytes[..len].to_vec());
        for damaged in flipped.chain(cut).chain([b"not a database".repeat(1_000)]) {
            let is_empty = damaged.is_empty();
            std::fs::write(&path, &damaged).unwrap();
            let _ = std::fs::remove_file(&aside);
            let history = history(dir.path());
            let found = count(&history);
            // Where nothing is used, nothing is damaged; with a head of its two damaged it has
            // all but the last.
            assert!(found >= 59 || found == 0 && (aside.exists() || is_empty), "{found}");
            put_aside += usize::from(aside.exists());
            add(&history, MINUTE + 1_000);
            assert_eq!(count(&history), found + 1);
        }
        assert!(put_aside >= 6, "{put_aside}");
    }
}
