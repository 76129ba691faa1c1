//! Minutes and hours of all devices, in one file that no other room reads.
//!
//! Keys begin with the time and not with the device: a minute's rows are written side by
//! side in one transaction, and what is too old goes from one end. A device's day is then
//! 1,440 look-ups, which take some milliseconds.
//!
//! Nothing here is ground state. Whatever is wrong with the file, it can be put aside.

use super::row::Row;
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const SUBJECT_BYTES: usize = 11;
const KEY_BYTES: usize = 4 + SUBJECT_BYTES;

type Rows = TableDefinition<'static, &'static [u8; KEY_BYTES], &'static [u8]>;
type OpenRows<'a> = Table<'a, &'static [u8; KEY_BYTES], &'static [u8]>;

const MINUTES: Rows = TableDefinition::new("minutes-1");
const HOURS: Rows = TableDefinition::new("hours-1");
const FIGURES: TableDefinition<'static, &'static str, u64> = TableDefinition::new("figures");
/// Bytes of all keys and rows.
const BYTES: &str = "bytes";
/// The first hour that is not put together yet.
const ROLLED_UNTIL: &str = "rolled-until-hour";

const HOURS_KEPT: u32 = 90 * 24;
/// A day and the hour that is going on, so that a day back is always whole.
const MINUTES_KEPT_HOURS: u32 = 25;

/// The file grows by doubling, and its pages have a tenth more than the rows, as a test
/// measures; the rest is for pages that a write replaces.
const FILE_PER_ROW_BYTES: u64 = 3;
/// Of the pages in memory; what is older is seldom asked for.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Minutes,
    Hours,
}

impl Tier {
    pub fn span_ms(self) -> u64 {
        match self {
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
        }
    }

    fn table(self) -> Rows {
        match self {
            Self::Minutes => MINUTES,
            Self::Hours => HOURS,
        }
    }
}

/// Whose history it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject([u8; SUBJECT_BYTES]);

impl Subject {
    pub const FLEET: Self = Self([0; SUBJECT_BYTES]);

    pub fn device(device: &str) -> Self {
        let mut bytes = [1; SUBJECT_BYTES];
        bytes[1..].copy_from_slice(&Sha256::digest(device)[..SUBJECT_BYTES - 1]);
        Self(bytes)
    }

    fn of_key(key: &[u8; KEY_BYTES]) -> Self {
        let mut bytes = [0; SUBJECT_BYTES];
        bytes.copy_from_slice(&key[4..]);
        Self(bytes)
    }

    fn key(self, span: u32) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(&span.to_be_bytes());
        key[4..].copy_from_slice(&self.0);
        key
    }
}

/// Before all keys of the span, since no device has this subject.
fn begin_of(span: u32) -> [u8; KEY_BYTES] {
    Subject([0; SUBJECT_BYTES]).key(span)
}

fn span_of(key: &[u8; KEY_BYTES]) -> u32 {
    u32::from_be_bytes([key[0], key[1], key[2], key[3]])
}

pub struct Store {
    database: Database,
    rows_bytes_max: u64,
}

impl Store {
    /// Reads all of it once and says if it does not hold together.
    pub fn open(path: &Path, bytes_max: u64) -> Result<Self, redb::Error> {
        // The library makes the file with the usual mode, and takes an empty one.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        drop(options.open(path).map_err(redb::Error::Io)?);
        let mut builder = Database::builder();
        let mut database = builder.set_cache_size(CACHE_BYTES).create(path)?;
        if !database.check_integrity()? {
            return Err(redb::Error::Corrupted("its pages do not hold together".to_owned()));
        }
        let mut store = Self { database, rows_bytes_max: bytes_max / FILE_PER_ROW_BYTES };
        store.begin()?;
        if std::fs::metadata(path).map_err(redb::Error::Io)?.len() > bytes_max {
            store.shrink()?;
        }
        Ok(store)
    }

    /// It may have less than it had.
    fn shrink(&mut self) -> Result<(), redb::Error> {
        let change = self.database.begin_write()?;
        let last_minute = change.open_table(MINUTES)?.last()?.map(|(key, _)| span_of(key.value()));
        let mut bytes = figure(&change, BYTES)?.unwrap_or(0);
        self.forget_old(&change, &mut bytes, last_minute.unwrap_or(0) / 60)?;
        change.open_table(FIGURES)?.insert(BYTES, bytes)?;
        change.commit()?;
        self.database.compact()?;
        Ok(())
    }

    #[cfg(test)]
    pub fn in_memory(bytes_max: u64) -> Self {
        let backend = redb::backends::InMemoryBackend::new();
        let database = Database::builder().create_with_backend(backend).unwrap();
        let store = Self { database, rows_bytes_max: bytes_max / FILE_PER_ROW_BYTES };
        store.begin().unwrap();
        store
    }

    /// The tables, so that a reader finds them.
    fn begin(&self) -> Result<(), redb::Error> {
        let change = self.database.begin_write()?;
        change.open_table(MINUTES)?;
        change.open_table(HOURS)?;
        change.open_table(FIGURES)?;
        Ok(change.commit()?)
    }

    /// One minute of everybody, and what follows from it: a full hour is put together, and
    /// what is too old or too much goes. All of it or nothing.
    pub fn add_minute(
        &self,
        minute: u32,
        rows: impl IntoIterator<Item = (Subject, Row)>,
    ) -> Result<(), redb::Error> {
        let change = self.database.begin_write()?;
        let mut bytes = figure(&change, BYTES)?.unwrap_or(0);
        {
            let mut minutes = change.open_table(MINUTES)?;
            let mut rows: Vec<_> = rows.into_iter().collect();
            rows.sort_by_key(|(subject, _)| *subject);
            for (subject, row) in rows {
                put(&mut minutes, &mut bytes, &subject.key(minute), row)?;
            }
        }
        self.roll_up(&change, &mut bytes, minute / 60)?;
        self.forget_old(&change, &mut bytes, minute / 60)?;
        change.open_table(FIGURES)?.insert(BYTES, bytes)?;
        Ok(change.commit()?)
    }

    /// Puts one hour together that is over, so that no transaction gets long; a gateway
    /// that was away for hours takes a minute for each.
    fn roll_up(
        &self,
        change: &WriteTransaction,
        bytes: &mut u64,
        now_hour: u32,
    ) -> Result<(), redb::Error> {
        let minutes = change.open_table(MINUTES)?;
        let rolled = figure(change, ROLLED_UNTIL)?.and_then(|hour| u32::try_from(hour).ok());
        // The next hour that has anything, because an absence has nothing to put together.
        // It may be ahead of a clock that was set back.
        let from = begin_of(rolled.unwrap_or(0).min(now_hour).saturating_mul(60));
        let first = minutes.range::<&[u8; KEY_BYTES]>(&from..)?.next().transpose()?;
        let Some(hour) = first.map(|(key, _)| span_of(key.value()) / 60) else { return Ok(()) };
        if hour >= now_hour {
            return Ok(());
        }
        let mut of_hour = BTreeMap::<Subject, Vec<Row>>::new();
        let (begin, end) = (begin_of(hour * 60), begin_of((hour + 1) * 60));
        for entry in minutes.range::<&[u8; KEY_BYTES]>(&begin..&end)? {
            let (key, value) = entry?;
            let Some(row) = Row::of_bytes(value.value()) else { continue };
            let rows = of_hour.entry(Subject::of_key(key.value())).or_default();
            rows.push(row);
            // Put together as it comes: ten thousand devices would be sixty rows each.
            if rows.len() == MERGED_AT_ONCE {
                *rows = vec![Row::merged(rows)];
            }
        }
        let mut hours = change.open_table(HOURS)?;
        for (subject, rows) in of_hour {
            put(&mut hours, bytes, &subject.key(hour), Row::merged(&rows))?;
        }
        change.open_table(FIGURES)?.insert(ROLLED_UNTIL, u64::from(hour) + 1)?;
        Ok(())
    }

    fn forget_old(
        &self,
        change: &WriteTransaction,
        bytes: &mut u64,
        now_hour: u32,
    ) -> Result<(), redb::Error> {
        let mut minutes = change.open_table(MINUTES)?;
        let mut hours = change.open_table(HOURS)?;
        // Not before they are put together, which is an hour of them at a time.
        let rolled = figure(change, ROLLED_UNTIL)?.and_then(|hour| u32::try_from(hour).ok());
        let oldest_hour = now_hour.saturating_sub(MINUTES_KEPT_HOURS - 1).min(rolled.unwrap_or(0));
        cut(&mut minutes, bytes, oldest_hour.saturating_mul(60))?;
        cut(&mut hours, bytes, now_hour.saturating_sub(HOURS_KEPT))?;
        // Whole hours of minutes go first: they are the most, and their hours stay.
        while *bytes > self.rows_bytes_max {
            let first_minute = first_span(&minutes)?.filter(|first| first / 60 < now_hour);
            match (first_minute, first_span(&hours)?) {
                (Some(first), _) => cut(&mut minutes, bytes, (first / 60 + 1) * 60)?,
                (None, Some(first)) => cut(&mut hours, bytes, first + 24)?,
                // An hour alone is more than there may be: its own beginning goes.
                (None, None) => match first_span(&minutes)? {
                    Some(first) => cut(&mut minutes, bytes, first + 1)?,
                    None => break,
                },
            }
        }
        Ok(())
    }

    /// What there is of these spans, in their order.
    pub fn rows(
        &self,
        tier: Tier,
        subject: Subject,
        spans: Range<u32>,
    ) -> Result<Vec<(u32, Row)>, redb::Error> {
        let table = self.database.begin_read()?.open_table(tier.table())?;
        let mut rows = Vec::new();
        for span in spans {
            if let Some(value) = table.get(&subject.key(span))?
                && let Some(row) = Row::of_bytes(value.value())
            {
                rows.push((span, row));
            }
        }
        Ok(rows)
    }

    /// The first minute that there is of anybody.
    pub fn first_minute(&self) -> Result<Option<u32>, redb::Error> {
        Ok(first_span(&self.database.begin_read()?.open_table(MINUTES)?)?)
    }

    #[cfg(test)]
    pub fn rows_bytes(&self) -> u64 {
        let figures = self.database.begin_read().unwrap().open_table(FIGURES).unwrap();
        figures.get(BYTES).unwrap().map_or(0, |bytes| bytes.value())
    }
}

const MERGED_AT_ONCE: usize = 8;

fn figure(change: &WriteTransaction, name: &str) -> Result<Option<u64>, redb::Error> {
    let figures = change.open_table(FIGURES)?;
    let found = figures.get(name)?;
    Ok(found.map(|value| value.value()))
}

/// Where there is a row, as of a minute in which the gateway was started again, both are
/// put together.
fn put(
    table: &mut OpenRows<'_>,
    bytes: &mut u64,
    key: &[u8; KEY_BYTES],
    row: Row,
) -> Result<(), redb::Error> {
    let there = table.get(key)?.map(|value| value.value().to_vec());
    let earlier = there.as_deref().and_then(Row::of_bytes);
    let row = match earlier {
        Some(earlier) => Row::merged(&[earlier, row]),
        None => row,
    };
    let value = row.to_bytes();
    if let Some(there) = there {
        *bytes = bytes.saturating_sub((KEY_BYTES + there.len()) as u64);
    }
    *bytes += (KEY_BYTES + value.len()) as u64;
    table.insert(key, value.as_slice())?;
    Ok(())
}

/// Takes away all before this span.
fn cut(table: &mut OpenRows<'_>, bytes: &mut u64, first_kept: u32) -> Result<(), redb::Error> {
    let end = begin_of(first_kept);
    let mut gone = 0;
    table.retain_in::<&[u8; KEY_BYTES], _>(..&end, |_, value| {
        gone += (KEY_BYTES + value.len()) as u64;
        false
    })?;
    *bytes = bytes.saturating_sub(gone);
    Ok(())
}

fn first_span(
    table: &impl ReadableTable<&'static [u8; KEY_BYTES], &'static [u8]>,
) -> Result<Option<u32>, redb::StorageError> {
    Ok(table.first()?.map(|(key, _)| span_of(key.value())))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
