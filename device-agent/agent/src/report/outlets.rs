//! Messages of modules by the channel that they publish on.

use crate::outbox::Outbox;
use device_protocol::OutletReport;
use worker_protocol::{NAME_BYTES_MAX, OutletUsage};

/// Most channels of one module that are told apart.
const OUTLETS_MAX: usize = 32;

/// Cuts what a worker says to what it could honestly say.
pub fn bound(outlets: &mut Vec<OutletUsage>) {
    outlets.retain(|outlet| outlet.channel.len() <= NAME_BYTES_MAX);
    outlets.truncate(OUTLETS_MAX);
}

pub fn add(outlets: &mut Vec<OutletUsage>, channel: &str, published: u64, dropped: u64) {
    if let Some(known) = outlets.iter_mut().find(|known| known.channel == channel) {
        known.published = known.published.saturating_add(published);
        known.dropped = known.dropped.saturating_add(dropped);
    } else if outlets.len() < OUTLETS_MAX {
        outlets.push(OutletUsage { channel: channel.to_owned(), published, dropped });
    }
}

/// None where there is nothing to tell.
pub fn to_report(outlets: &[OutletUsage], app: &str, outbox: &Outbox) -> Option<Vec<OutletReport>> {
    let report = |outlet: &OutletUsage| OutletReport {
        channel: outlet.channel.clone(),
        depth: outbox.depth(app, &outlet.channel),
        published: outlet.published,
        dropped: outlet.dropped,
    };
    (!outlets.is_empty()).then(|| outlets.iter().map(report).collect())
}
