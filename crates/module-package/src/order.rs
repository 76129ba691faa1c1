//! Which manifest may follow which: the rule against rollback and replay.

use crate::{Manifest, ManifestId};

/// The highest manifest that a device has ever accepted. It is persisted before
/// anything of the manifest is acted on, and never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    pub epoch: u32,
    pub seq: u64,
    pub manifest: ManifestId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Newer than anything seen: go on.
    Newer,
    /// The same again: answer with the present state.
    Repeat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    #[error(
        "generation {seq} of epoch {epoch} is older than generation {stored_seq} of epoch {stored_epoch}, which this device has"
    )]
    Rollback { epoch: u32, seq: u64, stored_epoch: u32, stored_seq: u64 },
    #[error("generation {seq} of epoch {epoch} came with two different contents")]
    Equivocation { epoch: u32, seq: u64 },
}

pub fn order_manifest(
    stored: Option<&Accepted>,
    manifest: &Manifest,
    id: ManifestId,
) -> Result<Order, OrderRefusal> {
    let Some(stored) = stored else { return Ok(Order::Newer) };
    let (epoch, seq) = (manifest.epoch, manifest.seq);
    match (epoch, seq).cmp(&(stored.epoch, stored.seq)) {
        std::cmp::Ordering::Greater => Ok(Order::Newer),
        std::cmp::Ordering::Equal if id == stored.manifest => Ok(Order::Repeat),
        std::cmp::Ordering::Equal => Err(OrderRefusal::Equivocation { epoch, seq }),
        std::cmp::Ordering::Less => Err(OrderRefusal::Rollback {
            epoch,
            seq,
            stored_epoch: stored.epoch,
            stored_seq: stored.seq,
        }),
    }
}
