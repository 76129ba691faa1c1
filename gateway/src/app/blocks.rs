//! Which blocks are sent when, and to whom.
//!
//! A device says what it lacks of a blob, a [`Transfer`] decides which block is sent
//! next, once for all where many lack it. There is one for each blob, and for each
//! site that a device is at: the deliveries to a site together keep to its number of
//! bytes a second. Served are only blobs that the device has a right to.

use super::App;
use super::account::Accounts;
use super::allowance::Allowance;
use super::reports::UpRefusal;
use super::transfer::{Next, Sending, To, Transfer};
use crate::store::StoreError;
use device_protocol::{Block, SiteName, Topic, Want};
use module_package::{BLOCK_BYTES, BlobId, DeviceId};
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// Blocks handed out at a time.
const BURST_BLOCKS: usize = 8;
/// Blobs that one device may be asking for: agents ask for four at a time.
const BLOBS_OF_A_DEVICE_MAX: usize = 16;

/// The configured limits of sites.
pub type SiteLimits = BTreeMap<SiteName, u64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Stream {
    blob: BlobId,
    site: Option<SiteName>,
}

#[derive(Default)]
pub struct BlockDesk {
    transfers: BTreeMap<Stream, Transfer>,
    allowances: BTreeMap<SiteName, Allowance>,
    accounts: Accounts,
    figures: DeliveryFigures,
}

/// Since the gateway's start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryFigures {
    /// Blocks published for all who listen, and for one device alone.
    pub shared_blocks: u64,
    pub own_blocks: u64,
    /// Bytes of these messages, with their topics.
    pub published_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRequest {
    pub blob: BlobId,
    pub topic: Topic,
    pub index: u32,
    pub compressed: bool,
}

/// Why the desk does not take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeskRefusal {
    TooManyBlobs,
    TooOften,
}

impl BlockDesk {
    pub fn new(sites: &SiteLimits, now_ms: u64) -> Self {
        let allowance =
            |(site, limit): (&SiteName, &u64)| (site.clone(), Allowance::new(*limit, now_ms));
        Self { allowances: sites.iter().map(allowance).collect(), ..Self::default() }
    }

    /// `expected` is asked when this is the first request for the blob.
    fn ask(
        &mut self,
        device: &DeviceId,
        want: &Want,
        blocks: u32,
        expected: impl FnOnce() -> usize,
        now_ms: u64,
    ) -> Result<(), DeskRefusal> {
        let has_own_topic = want.can(Want::HAS_OWN_TOPIC);
        if self.accounts.is_over(device, &want.blob, blocks, has_own_topic, now_ms) {
            self.forget_in(device, &want.blob);
            return Err(DeskRefusal::TooOften);
        }
        let stream = Stream { blob: want.blob, site: want.site.clone() };
        let has = |transfer: &Transfer| transfer.has(device);
        let asks_already = self.transfers.get(&stream).is_some_and(has);
        if !asks_already
            && self.transfers.values().filter(|transfer| has(transfer)).count()
                >= BLOBS_OF_A_DEVICE_MAX
        {
            return Err(DeskRefusal::TooManyBlobs);
        }
        if want.missing.as_ref().is_some_and(|missing| missing.is_empty()) {
            if let Some(transfer) = self.transfers.get_mut(&stream) {
                transfer.ask(device, want, now_ms);
            }
        } else {
            let new = || Transfer::new(blocks, expected(), now_ms);
            self.transfers.entry(stream).or_insert_with(new).ask(device, want, now_ms);
        }
        self.transfers.retain(|_, transfer| !transfer.is_over());
        Ok(())
    }

    /// Nothing more is sent to this device alone.
    pub fn forget(&mut self, device: &DeviceId) {
        self.transfers.values_mut().for_each(|transfer| transfer.forget(device));
        self.transfers.retain(|_, transfer| !transfer.is_over());
    }

    fn forget_in(&mut self, device: &DeviceId, blob: &BlobId) {
        let of_blob = self.transfers.iter_mut().filter(|(stream, _)| stream.blob == *blob);
        of_blob.for_each(|(_, transfer)| transfer.forget(device));
    }

    /// What to send now, and when to ask again if something is waiting.
    fn take_due(&mut self, now_ms: u64) -> (Vec<BlockRequest>, Option<u64>) {
        let mut due = Vec::new();
        let mut next_ms = None::<u64>;
        let mut wait_until = |at_ms: u64| next_ms = Some(next_ms.map_or(at_ms, |n| n.min(at_ms)));
        for (stream, transfer) in &mut self.transfers {
            let mut allowance = stream.site.as_ref().and_then(|site| self.allowances.get_mut(site));
            while due.len() < BURST_BLOCKS {
                let wait_ms = allowance.as_mut().map_or(0, |a| a.wait_ms(now_ms));
                if wait_ms > 0 {
                    wait_until(now_ms + wait_ms);
                    break;
                }
                match transfer.next(now_ms) {
                    Next::Nothing => break,
                    Next::At(at_ms) => {
                        wait_until(at_ms);
                        break;
                    }
                    Next::Send(sending) => {
                        if let Some(allowance) = &mut allowance {
                            // What it costs before it is compressed: never too little.
                            let readers = u64::from(sending.readers);
                            allowance.spend(readers * u64::from(BLOCK_BYTES));
                        }
                        let block = (sending.index, transfer.blocks());
                        for device in &sending.takers {
                            self.accounts.note_sent(device, &stream.blob, block, now_ms);
                        }
                        due.push(to_request(stream, sending));
                    }
                }
            }
        }
        self.transfers.retain(|_, transfer| !transfer.is_over());
        (due, next_ms)
    }
}

fn to_request(stream: &Stream, sending: Sending) -> BlockRequest {
    let Stream { blob, site } = stream.clone();
    let topic = match (sending.to, site) {
        (To::Own(device), _) => Topic::OwnBlob(device, blob),
        (To::Shared, Some(site)) => Topic::SiteBlob(blob, site),
        (To::Shared, None) => Topic::Blob(blob),
    };
    BlockRequest { blob, topic, index: sending.index, compressed: sending.compressed }
}

impl App {
    /// Only blobs that belong to what this device shall run are served.
    pub(super) fn take_want(&self, device: &DeviceId, want: Want) -> Result<(), UpRefusal> {
        self.check_may_be_served(device)?;
        let state = self.state();
        let bytes = state.model.blob_bytes.get(&want.blob).copied();
        let bytes = bytes.ok_or(UpRefusal::UnknownBlob(want.blob))?;
        if !state.model.may_fetch(device, &want.blob) {
            return Err(UpRefusal::NoRight(want.blob));
        }
        // At most 1,536: an artifact has at most 48 MiB.
        let count = u32::try_from(bytes.div_ceil(u64::from(BLOCK_BYTES))).unwrap_or(u32::MAX);
        // A site that is not configured has no limit, but devices that listen there.
        let telemetry = self.telemetry();
        let now_ms = self.now_ms();
        let expected = || {
            let may_ask = |device: &&DeviceId| state.model.may_fetch(device, &want.blob);
            telemetry
                .devices()
                .filter(|(_, of_device)| of_device.is_online(now_ms))
                .map(|(device, _)| device)
                .filter(may_ask)
                .count()
        };
        let steady_ms = self.steady_ms();
        let asked = self.block_desk().ask(device, &want, count, expected, steady_ms);
        drop((telemetry, state));
        self.rooms.outbox.blocks_wanted();
        asked.map_err(|refusal| match refusal {
            DeskRefusal::TooManyBlobs => UpRefusal::TooManyBlobs(BLOBS_OF_A_DEVICE_MAX),
            DeskRefusal::TooOften => UpRefusal::TooOften(want.blob),
        })
    }

    /// The one place that decides whether blocks are served to a device at all.
    fn check_may_be_served(&self, device: &DeviceId) -> Result<(), UpRefusal> {
        self.check_enrolled(device)
    }

    /// For a device that may be served no more: nothing further goes to its own topic,
    /// and nothing goes to everybody's on its account.
    pub fn stop_serving(&self, device: &DeviceId) {
        self.block_desk().forget(device);
    }

    /// Blocks to send now, and the milliseconds until more are due.
    pub fn blocks_due(&self) -> (Vec<BlockRequest>, Option<u64>) {
        let now_ms = self.steady_ms();
        let (due, next_ms) = self.block_desk().take_due(now_ms);
        (due, next_ms.map(|next| next.saturating_sub(now_ms)))
    }

    /// The message with a block.
    pub fn block_message(&self, request: &BlockRequest) -> Result<Vec<u8>, StoreError> {
        let BlockRequest { blob, index, .. } = *request;
        let offset = u64::from(index) * u64::from(BLOCK_BYTES);
        let bytes = self.rooms.blobs.get_range(blob, offset, BLOCK_BYTES as usize)?;
        let blob_bytes = self.rooms.blobs.size(blob).unwrap_or_default();
        let block = match request.compressed && self.rooms.compress_blocks {
            true => Block::packed(index, blob_bytes, bytes),
            false => Block::plain(index, blob_bytes, bytes),
        };
        let message = crate::store::record::to_cbor(&block);
        let mut desk = self.block_desk();
        match request.topic {
            Topic::OwnBlob(..) => desk.figures.own_blocks += 1,
            _ => desk.figures.shared_blocks += 1,
        }
        desk.figures.published_bytes += (message.len() + request.topic.to_string().len()) as u64;
        Ok(message)
    }

    pub fn delivery_figures(&self) -> DeliveryFigures {
        self.block_desk().figures
    }

    fn block_desk(&self) -> std::sync::MutexGuard<'_, BlockDesk> {
        self.block_desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
