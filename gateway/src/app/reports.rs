//! What devices say: reports, logs, published values, and requests for blocks.
//!
//! Everything here comes from a device that may be stolen or broken. The broker
//! has checked who may write to which topic; reports are sealed as well, because
//! every number on every page comes from them and the broker is not trusted.

use super::ahead::Seen;
use super::audit::as_device;
use super::paging::Pages;
use super::{App, AppError, PageRequest, State, views};
use crate::store::record::DeviceRecord;
use crate::store::{Change, StoreError};
use crate::telemetry::{DeviceTelemetry, Increase, ReportRefusal, StoredLog, StoredPublished, cut};
use device_protocol::{
    LOG_LINES_MAX, LogMessage, MESSAGE_VERSION, PublishedMessage, REPORT_BYTES_MAX, Report, Topic,
    UP_MESSAGE_BYTES_MAX, Want,
};
use gateway_api::{Event, LogLine, Page, Published};
use module_package::{BlobId, DeviceId, Domain, SealError, open};
use scheduling::Allowance;

const NAME_BYTES_MAX: usize = 64;
/// Between two changes of what one device tells of itself that are kept: each is a record
/// of the journal, and what came too soon comes again.
pub(super) const TOLD_AGAIN_MS_MIN: u64 = 10_000;
const LINE_BYTES_MAX: usize = 1_024;
const PAYLOAD_BYTES_MAX: usize = 1_024;
const LIST_DEFAULT: usize = 200;
const LIST_MAX: usize = 5_000;

/// Why a message of a device is not taken.
#[derive(Debug, thiserror::Error)]
pub enum UpRefusal {
    #[error("the topic is none that a device writes")]
    Topic,
    #[error("device {0} is not enrolled here, or was revoked")]
    UnknownDevice(DeviceId),
    #[error("the message is {len} bytes, more than {max}")]
    TooLong { len: usize, max: usize },
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    #[error("the message has version {0}")]
    Version(u32),
    #[error("the report is not sealed by the device: {0}")]
    Seal(#[from] SealError),
    #[error("the report is for device {0}")]
    OtherDevice(DeviceId),
    #[error(transparent)]
    Report(#[from] ReportRefusal),
    #[error("blob {0} belongs to no release")]
    UnknownBlob(BlobId),
    #[error("blob {0} is of no application that the device shall run")]
    NoRight(BlobId),
    #[error("the device asks for more than {0} blobs at a time")]
    TooManyBlobs(usize),
    #[error("the device has had blob {0} several times over and asks for it again")]
    TooOften(BlobId),
}

/// Only what came at this time or later, and only what came so lately, both by the
/// gateway's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct Since {
    pub since_ms: Option<u64>,
    pub last_s: Option<u64>,
}

impl Since {
    /// The earliest time that is asked for.
    fn time_ms(self, now_ms: u64) -> u64 {
        let last = self.last_s.map(|s| now_ms.saturating_sub(s.saturating_mul(1_000)));
        self.since_ms.unwrap_or_default().max(last.unwrap_or_default())
    }
}

#[derive(Debug, Default, Clone)]
pub struct LogQuery {
    pub device: Option<String>,
    pub app: Option<String>,
    pub since: Since,
    pub page: PageRequest,
}

#[derive(Debug, Default, Clone)]
pub struct PublishedQuery {
    pub device: Option<String>,
    pub app: Option<String>,
    pub channel: Option<String>,
    pub since: Since,
    pub page: PageRequest,
}

impl App {
    /// Takes one message of a device, or counts it as refused.
    pub fn take_up(&self, topic: &str, payload: &[u8]) -> Result<(), UpRefusal> {
        let topic = Topic::parse(topic);
        let taken = self.take_up_message(topic.as_ref(), payload);
        let kind = topic.as_ref().map_or("other", kind_of);
        self.metrics.note_message(kind, payload.len(), taken.is_ok());
        if taken.is_err()
            && let Some(device) = topic.as_ref().and_then(Topic::device)
        {
            self.note_refused_message(device);
        }
        taken
    }

    fn note_refused_message(&self, device: &DeviceId) {
        let state = self.state();
        if state.model.devices.contains_key(device) {
            self.telemetry().note_refused_message(device);
        }
    }

    /// The broker did not let a message of this device through. Called on its threads,
    /// so it waits for nobody who writes to the disk.
    pub fn note_dropped_message(&self, device: &DeviceId) {
        if self.device_key(device).is_some() {
            self.telemetry().note_refused_message(device);
        }
    }

    fn take_up_message(&self, topic: Option<&Topic>, payload: &[u8]) -> Result<(), UpRefusal> {
        if payload.len() > UP_MESSAGE_BYTES_MAX {
            return Err(UpRefusal::TooLong { len: payload.len(), max: UP_MESSAGE_BYTES_MAX });
        }
        match topic {
            Some(Topic::Report(device)) => self.take_report(device, payload),
            Some(Topic::Log(device)) => self.take_log(device, decode(payload)?),
            Some(Topic::Published(device)) => self.take_published(device, decode(payload)?),
            Some(Topic::Want(device)) => {
                let want: Want = decode(payload)?;
                check_version(want.version)?;
                self.take_want(device, want)
            }
            Some(
                Topic::Manifest(_)
                | Topic::Message(_)
                | Topic::Heartbeat(_)
                | Topic::Root(_)
                | Topic::Blob(_)
                | Topic::SiteBlob(..)
                | Topic::OwnBlob(..),
            )
            | None => Err(UpRefusal::Topic),
        }
    }

    pub(super) fn check_enrolled(&self, device: &DeviceId) -> Result<(), UpRefusal> {
        let known = self.device_key(device).map(drop);
        known.ok_or_else(|| UpRefusal::UnknownDevice(device.clone()))
    }

    fn take_report(&self, device: &DeviceId, payload: &[u8]) -> Result<(), UpRefusal> {
        let key = self.device_key(device).ok_or(UpRefusal::UnknownDevice(device.clone()))?;
        let opened = open(Domain::Report, payload, REPORT_BYTES_MAX, |id| {
            if key.id() == *id { Ok(key) } else { Err(SealError::UnknownKey(*id)) }
        });
        let payload = match opened {
            Ok(payload) => payload,
            Err(error) => {
                let now_ms = self.now_ms();
                self.telemetry().device_mut(device).note_forged(now_ms);
                return Err(error.into());
            }
        };
        let mut report: Report = decode(&payload)?;
        check_version(report.version)?;
        if report.device != *device {
            return Err(UpRefusal::OtherDevice(report.device));
        }
        let now_ms = self.now_ms();
        let allowance = (report.brief != Some(true)).then(|| report.scheduling.clone());
        let seen = Seen { epoch: report.epoch, seq: report.seq, manifest: report.manifest };
        let mut state = self.state();
        let mut telemetry = self.telemetry();
        let of_device = telemetry.device_mut(device);
        let nonce = report.nonce;
        let told = report.capabilities.take();
        let increase = Increase::between(of_device.report(), &report);
        // Late and replayed reports end here, before they count for anything.
        of_device.fold(report, now_ms)?;
        of_device.shown_online = true;
        self.metrics.note_increase(&increase);
        self.take_question(device, nonce);
        let Some(record) = state.model.devices.get(device) else { return Ok(()) };
        let view = views::device(&state, &telemetry, record, now_ms);
        self.events.send(Event::Device { device: Box::new(view) });
        if let Some(samples) = views::newest_samples(&telemetry, device) {
            self.events.send(samples);
        }
        drop(telemetry);
        if let Some(allowance) = allowance
            && let Err(error) =
                as_device(device, || self.learn_allowance(&mut state, device, allowance))
        {
            tracing::error!(device.id = %device, %error, "what the device allows was not written");
        }
        if let Err(error) = as_device(device, || self.overtake(&mut state, device, seen)) {
            tracing::error!(device.id = %device, %error, "a device that is ahead waits for its manifest");
        }
        if let Some(told) = told {
            as_device(device, || self.note_capabilities(&mut state, device, told));
        }
        self.note_deployments_changed();
        Ok(())
    }

    /// Deployments go by it. It changes with the device's configuration only, so one that
    /// changes more often is not followed at once.
    fn learn_allowance(
        &self,
        state: &mut State,
        device: &DeviceId,
        allowance: Option<Allowance>,
    ) -> Result<(), StoreError> {
        let Some(record) = state.model.devices.get(device) else { return Ok(()) };
        if record.scheduling == allowance || allowance.as_ref().is_some_and(|a| a.check().is_err())
        {
            return Ok(());
        }
        let now_ms = self.steady_ms();
        let last_ms = state.allowance_ms.get(device);
        if last_ms.is_some_and(|last| last + TOLD_AGAIN_MS_MIN > now_ms) {
            return Ok(());
        }
        let record = DeviceRecord { scheduling: allowance, ..record.clone() };
        state.allowance_ms.insert(device.clone(), now_ms);
        self.keep_told(state, record)
    }

    /// Keeps what a device has told of itself, and gives it what follows from it.
    pub(super) fn keep_told(
        &self,
        state: &mut State,
        record: DeviceRecord,
    ) -> Result<(), StoreError> {
        let device = record.device.clone();
        self.commit(state, vec![Change::Device(record)])?;
        match self.reconcile(state, std::slice::from_ref(&device)) {
            // It is written, and the manifest comes when there is space.
            Err(error) if error.is_full() => {
                state.waits_for_space = true;
                Ok(())
            }
            done => done,
        }
    }

    fn take_log(&self, device: &DeviceId, message: LogMessage) -> Result<(), UpRefusal> {
        check_version(message.version)?;
        self.check_enrolled(device)?;
        let name = self.device_name(&self.state(), device)?;
        let time_ms = self.now_ms();
        let mut telemetry = self.telemetry();
        for mut line in message.lines.into_iter().take(LOG_LINES_MAX) {
            cut(&mut line.app, NAME_BYTES_MAX);
            cut(&mut line.level, NAME_BYTES_MAX);
            cut(&mut line.text, LINE_BYTES_MAX);
            let arrival = telemetry.next_arrival();
            let stored =
                StoredLog { arrival, time_ms, app: line.app, level: line.level, text: line.text };
            self.events.send(Event::Log { line: views::log_line(device, &name, &stored) });
            telemetry.device_mut(device).logs.push(stored);
        }
        Ok(())
    }

    fn take_published(
        &self,
        device: &DeviceId,
        mut message: PublishedMessage,
    ) -> Result<(), UpRefusal> {
        check_version(message.version)?;
        self.check_enrolled(device)?;
        let name = self.device_name(&self.state(), device)?;
        cut(&mut message.app, NAME_BYTES_MAX);
        cut(&mut message.channel, NAME_BYTES_MAX);
        message.payload.truncate(PAYLOAD_BYTES_MAX);
        let mut telemetry = self.telemetry();
        let stored = StoredPublished {
            arrival: telemetry.next_arrival(),
            time_ms: self.now_ms(),
            app: message.app,
            channel: message.channel,
            seq: message.seq,
            payload: message.payload,
        };
        let published = views::published(device, &name, &stored);
        self.events.send(Event::Published { published });
        telemetry.device_mut(device).published.push(stored);
        Ok(())
    }

    pub(super) fn device_name(
        &self,
        state: &State,
        device: &DeviceId,
    ) -> Result<String, UpRefusal> {
        let record = state.model.devices.get(device);
        record.map(|r| r.name.clone()).ok_or_else(|| UpRefusal::UnknownDevice(device.clone()))
    }

    pub fn logs_page(&self, query: &LogQuery) -> Result<Page<LogLine>, AppError> {
        let list = format!("logs {:?} {:?} {:?}", query.device, query.app, query.since);
        let pages = Pages::of(&query.page, &list);
        let since_ms = query.since.time_ms(self.now_ms());
        self.newest_of(query.device.as_deref(), &pages, |device, name, telemetry| {
            let is_asked = |line: &&StoredLog| {
                query.app.as_ref().is_none_or(|app| *app == line.app) && line.time_ms >= since_ms
            };
            let asked = telemetry.logs.iter().filter(is_asked);
            asked.map(|line| (line.arrival, views::log_line(device, name, line))).collect()
        })
    }

    pub fn published_page(&self, query: &PublishedQuery) -> Result<Page<Published>, AppError> {
        let PublishedQuery { device, app, channel, since, page } = query;
        let list = format!("published {device:?} {app:?} {channel:?} {since:?}");
        let pages = Pages::of(page, &list);
        let since_ms = since.time_ms(self.now_ms());
        self.newest_of(query.device.as_deref(), &pages, |device, name, telemetry| {
            let is_asked = |value: &&StoredPublished| {
                query.app.as_ref().is_none_or(|app| *app == value.app)
                    && query.channel.as_ref().is_none_or(|channel| *channel == value.channel)
                    && value.time_ms >= since_ms
            };
            let asked = telemetry.published.iter().filter(is_asked);
            asked.map(|value| (value.arrival, views::published(device, name, value))).collect()
        })
    }

    /// What `find` gives, with its arrival, of one device or of each.
    fn newest_of<T>(
        &self,
        device: Option<&str>,
        pages: &Pages,
        find: impl Fn(&DeviceId, &str, &DeviceTelemetry) -> Vec<(u64, T)>,
    ) -> Result<Page<T>, AppError> {
        let state = self.state();
        let only = device.map(|r| state.model.find_device(r)).transpose()?;
        let telemetry = self.telemetry();
        let mut found = Vec::new();
        for (device, of_device) in telemetry.devices() {
            if only.is_some_and(|only| only.device != *device) {
                continue;
            }
            let Ok(name) = self.device_name(&state, device) else { continue };
            found.extend(find(device, &name, of_device));
        }
        pages.cut_newest(found, LIST_DEFAULT, LIST_MAX)
    }
}

/// For counting: of each kind that a device sends.
fn kind_of(topic: &Topic) -> &'static str {
    match topic {
        Topic::Report(_) => "report",
        Topic::Log(_) => "log",
        Topic::Published(_) => "published",
        Topic::Want(_) => "want",
        _ => "other",
    }
}

fn decode<T: for<'b> minicbor::Decode<'b, ()>>(payload: &[u8]) -> Result<T, UpRefusal> {
    minicbor::decode(payload).map_err(|e| UpRefusal::Malformed(e.to_string()))
}

fn check_version(version: u32) -> Result<(), UpRefusal> {
    if version == MESSAGE_VERSION { Ok(()) } else { Err(UpRefusal::Version(version)) }
}
