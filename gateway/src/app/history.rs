//! What was measured over time: kept once a minute, and cut to what is asked for.
//!
//! The reports of the last quarter of an hour are read from `telemetry` as they came,
//! everything before from `crate::history`. What cannot be read there is a gap and a line
//! in the log, never an error: a chart is worth no refusal.

use super::desired::wanted_by;
use super::{App, AppError, State};
use crate::history::{Block, Buckets, HistoryError, METRICS, Row, Stats, Subject, Tier, Values};
use crate::store::record::DeviceRecord;
use crate::telemetry::DeviceTelemetry;
use gateway_api::{HISTORY_POINTS_MAX, HistoryMetric, HistoryQuery, HistoryRange};
use module_package::DeviceId;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const RANGE_DEFAULT_MS: u64 = 15 * MINUTE_MS;
/// Hours are kept for 90 days, and ranges begin where a bucket does.
const RANGE_DAYS_MAX: u64 = 92;
/// Minutes that are still whole in `telemetry` when the history could not be written.
const MINUTES_BEHIND_MAX: u32 = 14;

/// The memory that a device's modules may have, by name.
type Limits = HashMap<String, f32>;

impl App {
    /// In the background at the start: it is read as a whole.
    pub fn open_history(&self) {
        if let Err(error) = self.rooms.history.open() {
            tracing::error!(error = &error as &dyn Error, "open the history");
        }
    }

    /// Called about once a second, by one task.
    pub fn keep_history(&self) {
        let now_ms = self.now_ms();
        self.telemetry().note_fleet(now_ms);
        self.keep_minutes_before(minute_of(now_ms));
    }

    /// At the end the minute that is going on is kept as far as it came.
    pub fn end_history(&self) {
        // Nobody waits at the end for a file that was not opened until then.
        if !self.rooms.history.is_open() {
            return;
        }
        self.keep_minutes_before(minute_of(self.now_ms()).saturating_add(1));
    }

    fn keep_minutes_before(&self, end: u32) {
        let _turn = self.history_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut until = self.history_until.load(Ordering::Acquire);
        // Somebody may have set the clock back, or years ahead.
        if until > end || until < end.saturating_sub(MINUTES_BEHIND_MAX) {
            until = end.saturating_sub(1);
        }
        while until < end {
            if let Err(error) = self.rooms.history.add_minute(until, self.rows_of(until)) {
                tracing::error!(
                    error = &error as &dyn Error,
                    "a minute of the history was not kept"
                );
                // It is tried again with the next one, as long as `telemetry` has it.
                break;
            }
            until += 1;
            self.history_until.store(until, Ordering::Release);
        }
    }

    /// One device at a time, so that reports do not wait for ten thousand of them.
    fn rows_of(&self, minute: u32) -> Vec<(Subject, Row)> {
        let span_ms = span_of(minute);
        let devices: Vec<DeviceId> =
            self.telemetry().devices().map(|(device, _)| device.clone()).collect();
        let mut rows = Vec::with_capacity(devices.len() + 1);
        for device in devices {
            let limits = {
                let state = self.state();
                let Some(record) = state.model.devices.get(&device) else { continue };
                limits_of(&state, record)
            };
            let telemetry = self.telemetry();
            let Some(of_device) = telemetry.device(&device) else { continue };
            let row = row_of(of_device, &limits, &span_ms);
            if !row.is_empty() {
                rows.push((Subject::device(device.as_str()), row));
            }
        }
        rows.push((Subject::FLEET, self.fleet_row(&span_ms)));
        rows
    }

    fn fleet_row(&self, span_ms: &Range<u64>) -> Row {
        let telemetry = self.telemetry();
        let points = telemetry.fleet_points().iter().filter(|p| span_ms.contains(&p.time_ms));
        let points: Vec<_> = points.collect();
        let (values, whole) = block_of(points.iter().map(|point| point.whole));
        let mut of_apps = BTreeMap::<&str, Vec<Values>>::new();
        for (app, values) in points.iter().flat_map(|point| &point.apps) {
            of_apps.entry(app).or_default().push(*values);
        }
        let apps = of_apps.into_iter();
        let apps = apps.map(|(app, values)| (app.to_owned(), block_of(values.into_iter()).1));
        Row { values, whole, apps: apps.collect() }
    }

    pub fn device_history(
        &self,
        reference: &str,
        query: &HistoryQuery,
    ) -> Result<HistoryRange, AppError> {
        let (device, limits) = {
            let state = self.state();
            let record = state.model.find_device(reference)?;
            (record.device.clone(), limits_of(&state, record))
        };
        let mut buckets = self.buckets(query)?;
        let mut raw_from_ms = self.kept_until_ms();
        if let Some(of_device) = self.telemetry().device(&device) {
            let first_ms = of_device.points().next().map(|point| point.time_ms);
            raw_from_ms = raw_from(&buckets, first_ms, raw_from_ms);
            let points = of_device.points().map(|p| (p.time_ms, p.values()));
            add_values(&mut buckets, None, points, raw_from_ms);
            for (app, points) in of_device.app_points() {
                let limit = limits.get(app).copied();
                let points = points.iter().map(|p| (p.time_ms, limited(p.values(), limit)));
                add_values(&mut buckets, Some(app), points, raw_from_ms);
            }
        }
        self.add_kept(&mut buckets, Subject::device(device.as_str()), raw_from_ms);
        Ok(buckets.finish())
    }

    pub fn fleet_history(&self, query: &HistoryQuery) -> Result<HistoryRange, AppError> {
        let mut buckets = self.buckets(query)?;
        let raw_from_ms = {
            let telemetry = self.telemetry();
            let points = telemetry.fleet_points();
            let first_ms = points.iter().next().map(|point| point.time_ms);
            let raw_from_ms = raw_from(&buckets, first_ms, self.kept_until_ms());
            let whole = points.iter().map(|point| (point.time_ms, point.whole));
            add_values(&mut buckets, None, whole, raw_from_ms);
            let mut of_apps = BTreeMap::<&str, Vec<(u64, Values)>>::new();
            for point in points.iter() {
                for (app, values) in &point.apps {
                    of_apps.entry(app).or_default().push((point.time_ms, *values));
                }
            }
            for (app, values) in of_apps {
                add_values(&mut buckets, Some(app), values.into_iter(), raw_from_ms);
            }
            raw_from_ms
        };
        self.add_kept(&mut buckets, Subject::FLEET, raw_from_ms);
        Ok(buckets.finish())
    }

    fn kept_until_ms(&self) -> u64 {
        span_of(self.history_until.load(Ordering::Acquire)).start
    }

    fn buckets(&self, query: &HistoryQuery) -> Result<Buckets, AppError> {
        let to_ms = query.to_ms.unwrap_or_else(|| self.now_ms() + 1);
        let from_ms = query.from_ms.unwrap_or(to_ms.saturating_sub(RANGE_DEFAULT_MS));
        if from_ms >= to_ms {
            return Err(AppError::bad_request(format!(
                "from is {from_ms} and to is {to_ms}; from should be earlier. Both are milliseconds \
                 since 1970; without them the last fifteen minutes come."
            )));
        }
        if to_ms - from_ms > RANGE_DAYS_MAX * DAY_MS {
            return Err(AppError::bad_request(format!(
                "From {from_ms} to {to_ms} is more than {RANGE_DAYS_MAX} days, and no more is kept. \
                 Ask for less."
            )));
        }
        let points = query.points.unwrap_or(HISTORY_POINTS_MAX);
        if !(1..=HISTORY_POINTS_MAX).contains(&points) {
            return Err(AppError::bad_request(format!(
                "points is {points}; it should be 1 to {HISTORY_POINTS_MAX}."
            )));
        }
        let metrics = match query.metrics.is_empty() {
            true => HistoryMetric::ALL.to_vec(),
            false => query.metrics.clone(),
        };
        let buckets = Buckets::new(from_ms..to_ms, points.into(), metrics, query.app.clone());
        buckets.ok_or_else(|| {
            AppError::bad_request(format!(
                "From {from_ms} to {to_ms} does not fit into {points} points of a day each. Ask for \
                 more points, or for less."
            ))
        })
    }

    /// Minutes, as far back as there are whole hours of them, and hours before that.
    fn add_kept(&self, buckets: &mut Buckets, subject: Subject, until_ms: u64) {
        if let Err(error) = self.try_add_kept(buckets, subject, until_ms)
            && !matches!(error, HistoryError::NotOpen)
        {
            tracing::error!(error = &error as &dyn Error, "read the history");
        }
    }

    fn try_add_kept(
        &self,
        buckets: &mut Buckets,
        subject: Subject,
        until_ms: u64,
    ) -> Result<(), HistoryError> {
        let until_ms = until_ms.min(buckets.end_ms());
        let first_ms = self.rooms.history.first_minute()?.map_or(u64::MAX, |m| span_of(m).start);
        let day_ms = self.now_ms().saturating_sub(DAY_MS);
        let minutes_ms = first_ms.max(day_ms) / HOUR_MS * HOUR_MS;
        let minutes_ms = minutes_ms.min(until_ms);
        for (tier, range_ms) in
            [(Tier::Hours, buckets.start_ms()..minutes_ms), (Tier::Minutes, minutes_ms..until_ms)]
        {
            let span_ms = tier.span_ms();
            let from_ms = range_ms.start.max(buckets.start_ms());
            let spans = to_span(from_ms / span_ms)..to_span(range_ms.end.div_ceil(span_ms));
            for (span, row) in self.rooms.history.rows(tier, subject, spans)? {
                let begin_ms = u64::from(span) * span_ms;
                buckets.add_row(begin_ms..(begin_ms + span_ms).min(range_ms.end), &row);
            }
        }
        Ok(())
    }
}

/// From when on reports are shown as they came: for a chart of seconds from the first
/// that there is, otherwise what is not kept yet.
fn raw_from(buckets: &Buckets, first_ms: Option<u64>, kept_until_ms: u64) -> u64 {
    match first_ms {
        Some(first_ms) if buckets.step_ms() < MINUTE_MS => first_ms.min(kept_until_ms),
        _ => kept_until_ms,
    }
}

fn add_values(
    buckets: &mut Buckets,
    app: Option<&str>,
    points: impl Iterator<Item = (u64, Values)>,
    from_ms: u64,
) {
    let points: Vec<_> = points.filter(|(time_ms, _)| *time_ms >= from_ms).collect();
    buckets.add_values(app, points.iter().map(|(time_ms, values)| (*time_ms, values)));
}

fn row_of(of_device: &DeviceTelemetry, limits: &Limits, span_ms: &Range<u64>) -> Row {
    let points = of_device.points().filter(|point| span_ms.contains(&point.time_ms));
    let (values, whole) = block_of(points.map(|point| point.values()));
    let mut apps: Vec<(String, Block)> = Vec::new();
    for (app, points) in of_device.app_points() {
        let points = points.iter().filter(|point| span_ms.contains(&point.time_ms));
        let limit = limits.get(app).copied();
        let (count, block) = block_of(points.map(|point| limited(point.values(), limit)));
        if count > 0 {
            apps.push((app.to_owned(), block));
        }
    }
    apps.sort_by(|(a, _), (b, _)| a.cmp(b));
    Row { values, whole, apps }
}

/// How many there are, and what they say.
fn block_of(points: impl Iterator<Item = Values>) -> (u16, Block) {
    let mut columns: [Vec<f32>; METRICS] = Default::default();
    let mut count = 0_u16;
    for values in points {
        count = count.saturating_add(1);
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
    }
    (count, columns.map(|mut column| Stats::of(&mut column)))
}

fn limited(mut values: Values, limit: Option<f32>) -> Values {
    if let Some(limit) = limit {
        values[HistoryMetric::MemoryLimitBytes as usize] = limit;
    }
    values
}

fn limits_of(state: &State, record: &DeviceRecord) -> Limits {
    let wanted = wanted_by(&state.model, record).into_iter();
    wanted.map(|(app, d)| (app.to_owned(), d.limits.memory_bytes_max as f32)).collect()
}

pub(super) fn minute_of(time_ms: u64) -> u32 {
    to_span(time_ms / MINUTE_MS)
}

/// Beyond the year 10,000 nothing is kept.
fn to_span(span: u64) -> u32 {
    u32::try_from(span).unwrap_or(u32::MAX)
}

fn span_of(minute: u32) -> Range<u64> {
    let begin_ms = u64::from(minute) * MINUTE_MS;
    begin_ms..begin_ms + MINUTE_MS
}
