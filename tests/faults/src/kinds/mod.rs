//! The kinds, each in a file with its oracle.

mod agent_kills;
mod artifact_bits;
mod broker_kills;
mod clock_jumps;
mod clones;
mod device_cuts;
mod device_prefixes;
mod documents;
mod full_disks;
mod gateway_cuts;
mod gateway_kills;
mod gateway_prefixes;
mod manifest_bits;
mod partitions;
mod replay_disk;
mod revoked_devices;
mod stored_bits;

use crate::Kind;

/// In the order in which the long run begins with them: the slow ones first, and the
/// quick ones fill what is left.
pub const KINDS: &[Kind] = &[
    agent_kills::KIND,
    gateway_kills::KIND,
    broker_kills::KIND,
    partitions::KIND,
    clock_jumps::KIND,
    revoked_devices::KIND,
    full_disks::KIND,
    clones::KIND,
    stored_bits::KIND,
    gateway_cuts::KIND,
    device_cuts::KIND,
    device_prefixes::KIND,
    gateway_prefixes::KIND,
    manifest_bits::KIND,
    artifact_bits::KIND,
];

/// Looks a kind up by name.
pub fn find(name: &str) -> Option<Kind> {
    KINDS.iter().find(|kind| kind.name == name).copied()
}
