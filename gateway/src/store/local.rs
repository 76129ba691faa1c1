//! The store of one machine: the journal, and an index that follows it.
//!
//! One thread writes. It takes together what was asked for while it was busy, writes
//! it to the journal as one, syncs, brings the index up to it, and answers all. Where
//! the last time had company, it waits a moment for it again, five milliseconds at
//! most. A fault of the index is no fault of the change: the index is set aside and
//! made again from the journal.
//!
//! For tests that damage the files from outside: [`LocalStore::open`] takes the data
//! directory's `journal` and `store` and nothing else, [`Store::load`] lists what is
//! in it, and [`Store::commit`] takes any [`Change`].

use super::SharedDisk;
use super::index::{Index, IndexError, IndexPlace};
use super::journal::{AuditPage, Entries, Entry, Journal, JournalError, JournalLimits, NewRecord};
use super::note::Note;
use super::sled_index::SledPlace;
use super::{Change, Records, Store, StoreError, StoreSpace};
use crate::store::record::CounterRecord;
use crate::surroundings::{Clock, Surroundings};
use audit_chain::Action;
use durable_disk::RealDisk;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest that a commit waits for others to share its sync.
const GROUP_WAIT_MAX: Duration = Duration::from_millis(5);
const GROUP_COMMITS_MAX: usize = 256;
/// Of one commit and of a group; half of what a frame holds.
const COMMIT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The index is flushed when nothing came for so long.
const IDLE: Duration = Duration::from_millis(200);
/// After a fault the index is made again, but not at every commit.
const INDEX_RETRY: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the index {path} cannot be set aside to be made anew from the journal: {source}")]
    SetAside { path: PathBuf, source: std::io::Error },
    #[error(
        "the journal {path} is missing, but this gateway has had one: its keys are there. \
         Put it back from a copy, or restore a backup into an empty data directory \
         (farrier-gateway restore). A fresh store would repeat generations that the devices have seen"
    )]
    Missing { path: PathBuf },
    #[error(
        "the index has taken up record {applied} and the journal {path} ends at {head}: the \
         journal's end is lost. Nothing was changed. Put it back from a copy, or restore a backup \
         into an empty data directory (farrier-gateway restore)"
    )]
    Ahead { path: PathBuf, applied: u64, head: u64 },
    #[error("the store opens, but a record in it does not read: {0}")]
    Records(String),
    #[error("start the store's thread: {0}")]
    Thread(std::io::Error),
}

/// What is where, and how large it may get.
pub struct LocalConfig {
    pub disk: SharedDisk,
    pub journal: PathBuf,
    pub place: Box<dyn IndexPlace>,
    pub limits: JournalLimits,
    pub clock: Arc<dyn Clock>,
    /// False where a missing store means a lost one.
    pub may_create: bool,
}

pub struct LocalStore {
    asks: Mutex<Option<Sender<Ask>>>,
    writer: Option<JoinHandle<()>>,
    journal: PathBuf,
    clock: Arc<dyn Clock>,
}

enum Ask {
    Commit(NewRecord, Sender<Result<(), StoreError>>),
    Load(Sender<Result<Records, StoreError>>),
    Audit { after: u64, count_max: usize, answer: Sender<Result<AuditPage, StoreError>> },
    Probe(Sender<Result<(), StoreError>>),
}

impl LocalStore {
    /// The store in a data directory.
    pub fn open(data_dir: &Path, may_create: bool) -> Result<Self, OpenError> {
        Self::open_with(LocalConfig {
            disk: Arc::new(RealDisk),
            journal: data_dir.join("journal"),
            place: Box::new(SledPlace { path: data_dir.join("store") }),
            limits: JournalLimits::default(),
            clock: Surroundings::of_the_system().clock,
            may_create,
        })
    }

    pub fn open_with(config: LocalConfig) -> Result<Self, OpenError> {
        let (clock, journal) = (config.clock.clone(), config.journal.clone());
        let writer = Writer::open(config)?;
        let (asks, asked) = channel();
        let thread = std::thread::Builder::new().name("store".into());
        let writer = thread.spawn(move || writer.run(&asked)).map_err(OpenError::Thread)?;
        Ok(Self { asks: Mutex::new(Some(asks)), writer: Some(writer), journal, clock })
    }

    fn ask<T>(
        &self,
        to_ask: impl FnOnce(Sender<Result<T, StoreError>>) -> Ask,
    ) -> Result<T, StoreError> {
        let (answer, answered) = channel();
        let asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ended = || StoreError::Backend {
            operation: "ask",
            source: "the store's thread has ended; restart the gateway".into(),
        };
        asks.ok_or_else(ended)?.send(to_ask(answer)).map_err(|_| ended())?;
        answered.recv().map_err(|_| ended())?
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Store for LocalStore {
    fn load(&self) -> Result<Records, StoreError> {
        self.ask(Ask::Load)
    }

    fn commit_noted(&self, changes: &[Change], note: Note) -> Result<(), StoreError> {
        if changes.is_empty() && note.actions.is_empty() {
            return Ok(());
        }
        let entries: Vec<Entry> = changes.iter().map(Change::to_entry).collect();
        let bytes = bytes_of(&entries);
        if bytes > COMMIT_BYTES_MAX {
            let source = format!("it is {bytes} bytes, more than {COMMIT_BYTES_MAX}").into();
            return Err(StoreError::Backend { operation: "commit to", source });
        }
        let record = NewRecord { time_ms: self.clock.now_ms(), note, entries };
        self.ask(|answer| Ask::Commit(record, answer))
    }

    fn audit(&self, after: u64, count_max: usize) -> Result<AuditPage, StoreError> {
        self.ask(|answer| Ask::Audit { after, count_max, answer })
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.ask(Ask::Probe)
    }

    /// From the file system, not by way of the disk that tests fail: it decides nothing.
    fn space(&self) -> Option<StoreSpace> {
        let files = std::fs::read_dir(&self.journal).ok()?.flatten();
        let used = files.filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum();
        let disk = rustix::fs::statvfs(&self.journal).ok()?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        Some(StoreSpace { used_bytes: used, free_bytes })
    }
}

fn bytes_of(entries: &[Entry]) -> usize {
    entries.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
}

struct Writer {
    journal: Journal,
    disk: SharedDisk,
    dir: PathBuf,
    place: Box<dyn IndexPlace>,
    /// Gone after a fault, until it could be made again.
    index: Option<Box<dyn Index>>,
    index_tried: Instant,
    is_flushed: bool,
    last_group: usize,
    /// Asked while a group was put together, and no commit.
    next: Option<Ask>,
}

impl Writer {
    fn open(config: LocalConfig) -> Result<Self, OpenError> {
        let LocalConfig { disk, journal: dir, place, limits, clock, may_create } = config;
        let listing = |source| {
            OpenError::Journal(JournalError::Io { operation: "list", path: dir.clone(), source })
        };
        let has_journal = Journal::exists(&*disk, &dir).map_err(listing)?;
        let (mut journal, entries) = if has_journal {
            Journal::open(disk.clone(), &dir, limits)?
        } else {
            begin(&disk, &dir, &*place, limits, may_create, clock.now_ms())?
        };
        if journal.head().seq == 0 {
            // The first start was cut off before its first record.
            let first = first_record(&Entries::new(), clock.now_ms());
            journal.append(vec![first])?;
            let (journal_, entries) = Journal::open(disk.clone(), &dir, limits)?;
            return Self::with_index(journal_, disk, dir, place, &entries);
        }
        Self::with_index(journal, disk, dir, place, &entries)
    }

    fn with_index(
        journal: Journal,
        disk: SharedDisk,
        dir: PathBuf,
        place: Box<dyn IndexPlace>,
        entries: &Entries,
    ) -> Result<Self, OpenError> {
        let mut records = Records::default();
        for (key, value) in entries {
            records.add_entry(key, value).map_err(|e| OpenError::Records(e.to_string()))?;
        }
        let head = journal.head();
        let index = match take_up(&*place, entries, &journal) {
            Ok(index) => index,
            Err(TakeUp::Ahead(applied)) => {
                return Err(OpenError::Ahead { path: dir, applied, head: head.seq });
            }
            Err(TakeUp::Damaged(error)) => make_again(&*place, entries, &journal, &error)?,
        };
        Ok(Self {
            journal,
            disk,
            dir,
            place,
            index,
            index_tried: Instant::now(),
            is_flushed: false,
            last_group: 0,
            next: None,
        })
    }

    fn run(mut self, asked: &Receiver<Ask>) {
        loop {
            let ask = match self.next.take() {
                Some(ask) => ask,
                None => match asked.recv_timeout(IDLE) {
                    Ok(ask) => ask,
                    Err(RecvTimeoutError::Timeout) => {
                        self.flush();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            // Whoever asked may have gone; then nobody waits for the answer.
            match ask {
                Ask::Commit(record, answer) => self.commit_group(record, answer, asked),
                Ask::Load(answer) => drop(answer.send(self.load())),
                Ask::Audit { after, count_max, answer } => {
                    let page = self.journal.audit(after, count_max, AUDIT_PAGE_BYTES_MAX);
                    drop(answer.send(page.map_err(to_store_error)));
                }
                Ask::Probe(answer) => {
                    let path = self.dir.clone();
                    let to_error =
                        |source| JournalError::Io { operation: "write to", path, source };
                    drop(
                        answer.send(self.journal.probe().map_err(to_error).map_err(to_store_error)),
                    );
                }
            }
        }
        self.flush();
    }

    fn commit_group(
        &mut self,
        first: NewRecord,
        answer: Sender<Result<(), StoreError>>,
        asked: &Receiver<Ask>,
    ) {
        let until = Instant::now() + GROUP_WAIT_MAX;
        let mut bytes = bytes_of(&first.entries);
        let mut records = vec![first];
        let mut answers = vec![answer];
        while records.len() < GROUP_COMMITS_MAX && bytes < COMMIT_BYTES_MAX / 2 {
            let wait = match records.len() < self.last_group {
                true => until.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            match asked.recv_timeout(wait) {
                Ok(Ask::Commit(record, answer)) => {
                    let more = bytes_of(&record.entries);
                    if bytes + more > COMMIT_BYTES_MAX {
                        self.next = Some(Ask::Commit(record, answer));
                        break;
                    }
                    bytes += more;
                    records.push(record);
                    answers.push(answer);
                }
                Ok(other) => {
                    self.next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.last_group = records.len();
        match self.journal.append(records) {
            Ok(written) => {
                for answer in &answers {
                    drop(answer.send(Ok(())));
                }
                self.follow(&written.concat());
            }
            Err(error) => {
                let full = error.is_full();
                tracing::error!(%error, full, "a change could not be written, and was refused");
                for answer in answers {
                    drop(
                        answer.send(Err(StoreError::Journal { full, message: error.to_string() })),
                    );
                }
            }
        }
    }

    /// Brings the index up to what was written, and closes a full segment.
    fn follow(&mut self, entries: &[Entry]) {
        self.is_flushed = false;
        let applied = self.journal.head();
        match &mut self.index {
            Some(index) => {
                if let Err(error) = index.apply(entries, applied) {
                    self.lose_index(&error);
                }
            }
            None if self.index_tried.elapsed() >= INDEX_RETRY => self.make_index(),
            None => {}
        }
        if self.journal.is_segment_full()
            && let Err(error) = self.journal.turn()
        {
            tracing::error!(%error, "the journal goes on without a new snapshot");
        }
    }

    fn flush(&mut self) {
        if self.is_flushed {
            return;
        }
        if let Some(index) = &mut self.index
            && let Err(error) = index.flush()
        {
            self.lose_index(&error);
        }
        self.is_flushed = true;
    }

    fn lose_index(&mut self, error: &IndexError) {
        tracing::error!(%error, "the index failed; no change is lost, it is made again from the journal");
        self.index = None;
        if error.is_full {
            self.index_tried = Instant::now();
        } else {
            self.make_index();
        }
    }

    fn make_index(&mut self) {
        self.index_tried = Instant::now();
        let reader = super::journal::Reader { disk: &*self.disk, dir: &self.dir };
        let made = reader.replay().map_err(OpenError::from).and_then(|replayed| {
            let again = "it failed while the gateway ran";
            make_again(&*self.place, &replayed.entries, &self.journal, again)
        });
        match made {
            Ok(index) => self.index = index,
            Err(error) => tracing::error!(%error, "there is no index for now"),
        }
    }

    fn load(&mut self) -> Result<Records, StoreError> {
        let entries = match self.index.as_ref().map(|index| index.entries()) {
            Some(Ok(entries)) => entries,
            other => {
                if let Some(Err(error)) = other {
                    self.lose_index(&error);
                }
                let reader = super::journal::Reader { disk: &*self.disk, dir: &self.dir };
                reader.replay().map_err(to_store_error)?.entries
            }
        };
        let mut records = Records::default();
        for (key, value) in &entries {
            records.add_entry(key, value)?;
        }
        Ok(records)
    }
}

/// Of one page of the audit log.
const AUDIT_PAGE_BYTES_MAX: usize = 1024 * 1024;

/// A journal where there was none: of a first start, or of a store from before there
/// were journals.
fn begin(
    disk: &SharedDisk,
    dir: &Path,
    place: &dyn IndexPlace,
    limits: JournalLimits,
    may_create: bool,
    now_ms: u64,
) -> Result<(Journal, Entries), OpenError> {
    let missing = || OpenError::Missing { path: dir.to_owned() };
    let mut entries = Entries::new();
    if place.exists() {
        let found = place.open().and_then(|index| Ok((index.applied()?, index.entries()?)));
        match found {
            // It has followed a journal, which is now lost.
            Ok((Some(_), _)) => return Err(missing()),
            Ok((None, found)) => entries = found,
            Err(error) => tracing::error!(%error, "there is an index that cannot be read"),
        }
    }
    if entries.is_empty() && !may_create {
        return Err(missing());
    }
    let mut journal = Journal::create(disk.clone(), dir, limits)?;
    journal.append(vec![first_record(&entries, now_ms)])?;
    Ok(Journal::open(disk.clone(), dir, limits)?)
}

fn first_record(entries: &Entries, now_ms: u64) -> NewRecord {
    let mut entries: Vec<Entry> =
        entries.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    let subject = match entries.len() {
        0 => "of a new gateway".to_owned(),
        count => format!("of an earlier gateway's store, {count} entries"),
    };
    if entries.is_empty() {
        entries.push(Change::Counter(CounterRecord::default()).to_entry());
    }
    let actions = vec![Action { what: "journal begun".into(), subject }];
    let note = Note { actor: super::note::GATEWAY.into(), actions, signatures: vec![] };
    NewRecord { time_ms: now_ms, note, entries }
}

enum TakeUp {
    /// It has seen a record that the journal no longer has.
    Ahead(u64),
    Damaged(String),
}

/// Opens the index and brings it up to the journal, which always wins.
fn take_up(
    place: &dyn IndexPlace,
    entries: &Entries,
    journal: &Journal,
) -> Result<Option<Box<dyn Index>>, TakeUp> {
    let damaged = |e: IndexError| TakeUp::Damaged(e.to_string());
    let head = journal.head();
    let is_new = !place.exists();
    let mut index = place.open().map_err(damaged)?;
    let applied = index.applied().map_err(damaged)?;
    let found = index.entries().map_err(damaged)?;
    match applied {
        Some(applied) if applied.seq > head.seq => return Err(TakeUp::Ahead(applied.seq)),
        Some(applied) if applied == head && found == *entries => return Ok(Some(index)),
        Some(applied) if applied == head => {
            let what = "it holds other entries than the journal comes to";
            return Err(TakeUp::Damaged(what.into()));
        }
        // sled starts afresh where it cannot read the beginning of its file.
        None if !is_new && found.is_empty() => {
            return Err(TakeUp::Damaged("it opens, but what was in it is gone".into()));
        }
        _ => {}
    }
    let gone = found.keys().filter(|key| !entries.contains_key(*key));
    let mut missing: Vec<Entry> = gone.map(|key| (key.clone(), None)).collect();
    let other = entries.iter().filter(|(key, value)| found.get(*key) != Some(*value));
    missing.extend(other.map(|(key, value)| (key.clone(), Some(value.clone()))));
    index.apply(&missing, head).map_err(damaged)?;
    // What it now says of itself, rather than what it was told.
    if index.entries().map_err(damaged)? != *entries {
        return Err(TakeUp::Damaged("it does not keep what is written to it".into()));
    }
    // A start that is cut off soon is not to leave an empty one behind.
    index.flush().map_err(damaged)?;
    Ok(Some(index))
}

/// `None` where there is no space for one: the gateway works without.
fn make_again(
    place: &dyn IndexPlace,
    entries: &Entries,
    journal: &Journal,
    why: &str,
) -> Result<Option<Box<dyn Index>>, OpenError> {
    if place.exists() {
        let moved_to = place
            .set_aside()
            .map_err(|source| OpenError::SetAside { path: PathBuf::from("store"), source })?;
        tracing::error!(
            why, moved_to = %moved_to.display(), record = journal.head().seq,
            "the index was damaged; it is set aside unchanged, and made again from the journal. No change is lost"
        );
    }
    match take_up(place, entries, journal) {
        Ok(index) => Ok(index),
        Err(TakeUp::Ahead(_)) => Ok(None),
        Err(TakeUp::Damaged(error)) => {
            tracing::error!(error, "there is no index for now; the journal has everything");
            Ok(None)
        }
    }
}

fn to_store_error(error: JournalError) -> StoreError {
    StoreError::Journal { full: error.is_full(), message: error.to_string() }
}
