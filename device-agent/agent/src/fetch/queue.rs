//! The fetches of a device: a few at a time, in the order in which they came.

use super::{Fetch, Taken, thanks};
use crate::Moment;
use device_protocol::{Block, SiteName, Want};
use module_package::BlobId;

/// Fetches that run at once; the others wait for their turn.
const ACTIVE_MAX: usize = 4;

/// What the connection has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Subscribe(BlobId, Option<SiteName>),
    Ask(Want),
    Unsubscribe(BlobId, Option<SiteName>),
}

/// The first [`ACTIVE_MAX`] of `fetches` are active while there is a connection.
#[derive(Debug, Default)]
pub struct FetchQueue {
    fetches: Vec<(Fetch, bool)>,
    connected: bool,
    ended: Vec<(BlobId, Option<SiteName>)>,
}

impl FetchQueue {
    pub fn find(&self, blob: &BlobId) -> Option<&Fetch> {
        self.fetches.iter().map(|(fetch, _)| fetch).find(|fetch| fetch.blob == *blob)
    }

    /// No effect if this blob is already on its way.
    pub fn start(&mut self, fetch: Fetch) {
        if self.find(&fetch.blob).is_none() {
            self.fetches.push((fetch, false));
        }
    }

    pub fn stop(&mut self, blob: &BlobId) {
        let Some(index) = self.fetches.iter().position(|(fetch, _)| fetch.blob == *blob) else {
            return;
        };
        let (fetch, active) = self.fetches.remove(index);
        if active && self.connected {
            self.ended.push((*blob, fetch.site));
        }
    }

    pub fn stop_all_but(&mut self, keep: impl Fn(&BlobId) -> bool) {
        let blobs: Vec<BlobId> = self.fetches.iter().map(|(fetch, _)| fetch.blob).collect();
        blobs.iter().filter(|blob| !keep(blob)).for_each(|blob| self.stop(blob));
    }

    /// The subscriptions of an earlier connection are gone.
    pub fn connect(&mut self) {
        self.connected = true;
        self.ended.clear();
        self.fetches.iter_mut().for_each(|(_, active)| *active = false);
    }

    pub fn disconnect(&mut self, now: Moment) {
        self.connected = false;
        self.ended.clear();
        for (fetch, active) in &mut self.fetches {
            fetch.pause(now);
            *active = false;
        }
    }

    /// `None` if nobody here wants this blob.
    pub fn take(&mut self, blob: &BlobId, block: &Block, now: Moment) -> Option<Taken> {
        let (fetch, _) = self.fetches.iter_mut().find(|(fetch, _)| fetch.blob == *blob)?;
        Some(fetch.take(block, now))
    }

    /// What is due now.
    pub fn poll(&mut self, now: Moment) -> Vec<Request> {
        if !self.connected {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (blob, site) in self.ended.drain(..) {
            // In this order, so that whoever hears the thanks sends to one fewer.
            due.push(Request::Unsubscribe(blob, site.clone()));
            due.push(Request::Ask(thanks(blob, site)));
        }
        for (fetch, active) in self.fetches.iter_mut().take(ACTIVE_MAX) {
            if !*active {
                *active = true;
                fetch.restart(now);
                due.push(Request::Subscribe(fetch.blob, fetch.site.clone()));
            }
            due.extend(fetch.poll(now).map(Request::Ask));
        }
        due
    }

    /// One that has waited in vain for long enough, and what it says of that.
    pub fn given_up(&self, now: Moment) -> Option<(BlobId, String)> {
        let active = self.fetches.iter().take(ACTIVE_MAX).filter(|(_, active)| *active);
        let mut given_up = active.filter_map(|(fetch, _)| Some((fetch.blob, fetch.given_up(now)?)));
        given_up.next()
    }

    pub fn deadline(&self) -> Option<Moment> {
        if !self.connected {
            return None;
        }
        let active = self.fetches.iter().take(ACTIVE_MAX);
        let idle = active.clone().any(|(_, active)| !active) || !self.ended.is_empty();
        if idle {
            return Some(Moment::ZERO);
        }
        active.filter_map(|(fetch, _)| fetch.deadline()).min()
    }
}
