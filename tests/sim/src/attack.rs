//! Devices that are enrolled and misuse it: what their neighbours feel of that is
//! measured by `tests/neighbour.rs`.

use crate::device::{AbortOnDrop, Shared, look};
use device_protocol::{Bitmap, MESSAGE_VERSION, Topic, Want};
use farrier_agent::agent::Event;
use farrier_agent::mqtt::{Broker, LinkConfig, LinkNews, keep_connected};
use module_package::{BlobId, DeviceId};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Between two portions of messages.
const TICK: Duration = Duration::from_millis(10);
const BLOCKS: u32 = 64;

/// Blobs that are being delivered, for those who ask for them.
pub type KnownBlobs = Arc<Mutex<BTreeSet<BlobId>>>;

#[derive(Debug, Clone)]
pub enum Attack {
    /// Writes as fast as the connection takes it.
    Flood,
    /// Says again and again that it has just begun and lacks everything, and reports
    /// that nobody signed.
    Lie(KnownBlobs),
    /// Asks for what it need not run.
    AskWithoutRight(KnownBlobs),
    /// Asks for everything and reads one message a second.
    AnswerSlowly(KnownBlobs),
}

impl Attack {
    /// Until it is dropped.
    pub async fn run(self, link: LinkConfig, device: DeviceId, seen: Shared) -> anyhow::Result<()> {
        let (events, mut events_rx) = mpsc::channel(1);
        let _connection = AbortOnDrop(tokio::spawn(keep_connected(link, events)));
        let mut broker = None::<Box<dyn Broker>>;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut subscribed = BTreeSet::new();
        loop {
            tokio::select! {
                event = events_rx.recv() => match event {
                    Some(Event::Link(LinkNews::Connected(new))) => {
                        broker = Some(new);
                        subscribed.clear();
                        let mut seen = look(&seen);
                        seen.connected_at = Some(Instant::now());
                        seen.connections += 1;
                    }
                    Some(Event::Link(LinkNews::Disconnected)) => broker = None,
                    Some(Event::Link(LinkNews::Message { payload, .. })) => {
                        look(&seen).received_bytes += payload.len() as u64;
                        if matches!(self, Self::AnswerSlowly(_)) {
                            tokio::time::sleep(Duration::from_secs(1)).await;
                        }
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                _ = ticks.tick() => if let Some(broker) = &mut broker {
                    self.strike(broker.as_mut(), &device, &mut subscribed);
                },
            }
        }
    }

    fn strike(
        &self,
        broker: &mut dyn Broker,
        device: &DeviceId,
        subscribed: &mut BTreeSet<BlobId>,
    ) {
        let want_topic = Topic::Want(device.clone());
        match self {
            Self::Flood => while broker.publish(&want_topic, vec![0xff; 200]) {},
            Self::Lie(blobs) => {
                broker.publish(&Topic::Report(device.clone()), vec![0x84; 300]);
                for blob in known(blobs) {
                    if subscribed.insert(blob) {
                        broker.subscribe(&Topic::OwnBlob(device.clone(), blob));
                    }
                    broker.publish(&want_topic, want_of_all(blob, Some(true)));
                }
            }
            Self::AskWithoutRight(blobs) => {
                let unknown = BlobId::of(device.as_str().as_bytes());
                for blob in known(blobs).into_iter().chain([unknown]) {
                    broker.publish(&want_topic, want_of_all(blob, Some(true)));
                }
            }
            Self::AnswerSlowly(blobs) => {
                for blob in known(blobs) {
                    if subscribed.insert(blob) {
                        broker.subscribe(&Topic::Blob(blob));
                        broker.subscribe(&Topic::OwnBlob(device.clone(), blob));
                        broker.publish(&want_topic, want_of_all(blob, Some(true)));
                    }
                }
            }
        }
    }
}

fn known(blobs: &KnownBlobs) -> BTreeSet<BlobId> {
    blobs.lock().unwrap_or_else(|e| e.into_inner()).clone()
}

fn want_of_all(blob: BlobId, restarted: Option<bool>) -> Vec<u8> {
    let want = Want {
        version: MESSAGE_VERSION,
        blob,
        missing: Some(Bitmap::full(BLOCKS)),
        abilities: Some(Want::READS_DEFLATE | Want::HAS_OWN_TOPIC),
        restarted,
        site: None,
    };
    // Cannot fail: a vector takes every byte.
    minicbor::to_vec(want).unwrap_or_default()
}
