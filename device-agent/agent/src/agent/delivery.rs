//! Blocks: asking for them, checking them, storing them.

use super::Agent;
use crate::Moment;
use crate::fetch::queue::Request;
use crate::fetch::{Fetch, Taken};
use crate::install::Input;
use crate::refusal::Refusal;
use crate::store::StoreError;
use device_protocol::{BLOCK_MESSAGE_BYTES_MAX, Block, RefusalCode, SiteName, Topic};
use module_package::{BlobId, Release};
use std::rc::Rc;

/// Where everybody at the site, or without one everybody, gets the blob's blocks.
fn shared_topic(blob: BlobId, site: Option<SiteName>) -> Topic {
    match site {
        Some(site) => Topic::SiteBlob(blob, site),
        None => Topic::Blob(blob),
    }
}

impl Agent {
    pub(super) fn request_blocks(&mut self, now: Moment) {
        let requests = self.fetches.poll(now);
        let Some(broker) = &mut self.broker else { return };
        let device = &self.parts.enrolment.device;
        for request in requests {
            // One that is not taken is repeated after the usual silence.
            match request {
                Request::Subscribe(blob, site) => {
                    let own = Topic::OwnBlob(device.clone(), blob);
                    broker.subscribe(&shared_topic(blob, site)) && broker.subscribe(&own)
                }
                Request::Unsubscribe(blob, site) => {
                    let own = Topic::OwnBlob(device.clone(), blob);
                    broker.unsubscribe(&shared_topic(blob, site)) && broker.unsubscribe(&own)
                }
                Request::Ask(want) => match minicbor::to_vec(&want) {
                    Ok(payload) => broker.publish(&Topic::Want(device.clone()), payload),
                    Err(_) => false,
                },
            };
        }
    }

    /// A fetch for this device, as its configuration wants them.
    pub(super) fn start_fetch(&mut self, fetch: Fetch) {
        let config = &self.parts.config;
        let fetch = fetch.at_site(config.site.clone()).with_patience(config.patience());
        self.fetches.start(fetch);
    }

    /// What nobody answers, or too slowly, ends as a refusal, and the next deployment
    /// tries again.
    pub(super) fn give_up_fetches(&mut self, now: Moment) {
        while let Some((blob, why)) = self.fetches.given_up(now) {
            self.fetches.stop(&blob);
            let detail = format!("of blob {blob} {why}; it is not asked for again");
            let refusal = Refusal::new(RefusalCode::FetchGivenUp, detail);
            self.refuse(refusal.clone(), None, now);
            for input in self.refused_inputs(&blob, &refusal) {
                self.act(input, now);
            }
        }
    }

    pub(super) fn take_block(&mut self, blob: BlobId, payload: &[u8], now: Moment) {
        if self.fetches.find(&blob).is_none() {
            return;
        }
        if payload.len() > BLOCK_MESSAGE_BYTES_MAX {
            let detail = format!("a block message of {} bytes", payload.len());
            return self.refuse(Refusal::new(RefusalCode::TooLong, detail), None, now);
        }
        let block: Block = match minicbor::decode(payload) {
            Ok(block) => block,
            Err(e) => {
                let refusal = Refusal::new(RefusalCode::Malformed, format!("a block: {e}"));
                return self.refuse(refusal, None, now);
            }
        };
        match self.fetches.take(&blob, &block, now) {
            None | Some(Taken::Ignored | Taken::Kept) => {}
            Some(Taken::WrongHash(detail)) => {
                self.refuse(Refusal::new(RefusalCode::WrongHash, detail), None, now);
            }
            Some(Taken::WholeRelease(bytes)) => {
                let mut stored = self.parts.store.put(&blob, &bytes);
                if let Err(StoreError::NoSpace { .. }) = stored {
                    self.collect(now);
                    stored = self.parts.store.put(&blob, &bytes);
                }
                self.finish_fetch(blob, stored, now);
            }
            Some(Taken::Write { index, bytes, last }) => {
                let Some(release) = self.release_of_artifact(&blob) else { return };
                let store = &mut self.parts.store;
                let mut stored = store.write_block(&release, index, &bytes);
                if stored.is_ok() && !last {
                    return;
                }
                if stored.is_ok() {
                    stored = store.finish_artifact(release.artifact);
                }
                self.finish_fetch(blob, stored, now);
            }
        }
    }

    fn release_of_artifact(&self, blob: &BlobId) -> Option<Rc<Release>> {
        let slots = self.installer.as_ref()?.apps().flat_map(|(_, app)| app.slots());
        let mut releases = slots.filter_map(|slot| slot.release.clone());
        releases.find(|release| BlobId::from(release.artifact) == *blob)
    }

    fn finish_fetch(&mut self, blob: BlobId, stored: Result<(), StoreError>, now: Moment) {
        self.fetches.stop(&blob);
        match stored {
            Ok(()) => self.act(Input::Arrived(blob), now),
            // The disk changed a block that was good when it came: whoever waits
            // asks for the artifact again.
            Err(error @ StoreError::WrongHash(_)) => {
                self.refuse(Refusal::from(&error), None, now);
                self.act(Input::Arrived(blob), now);
            }
            Err(error) => {
                let refusal = Refusal::from(&error);
                self.refuse(refusal.clone(), None, now);
                for input in self.refused_inputs(&blob, &refusal) {
                    self.act(input, now);
                }
            }
        }
    }

    /// Whoever waits for this blob hears that it cannot be stored.
    fn refused_inputs(&self, blob: &BlobId, refusal: &Refusal) -> Vec<Input> {
        let Some(installer) = &self.installer else { return Vec::new() };
        let slots = installer.apps().flat_map(|(_, app)| app.slots());
        let input = |slot: &crate::install::Slot| {
            if BlobId::from(slot.entry.release) == *blob {
                return Some(Input::Release(slot.id, Err(refusal.clone())));
            }
            let release = slot.release.as_ref()?;
            let waits = BlobId::from(release.artifact) == *blob;
            waits.then(|| Input::Artifact(slot.id, Err(refusal.clone())))
        };
        slots.filter_map(input).collect()
    }
}
