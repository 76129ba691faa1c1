//! The heartbeat: what time it is and which manifest is the newest, said by the
//! gateway to one device.
//!
//! A device without a clock believes the time only of a heartbeat that echoes the
//! nonce of its own last question, because any other may be an old one. Without a
//! nonce a heartbeat still tells that newer documents exist: a device that hears of
//! them and gets none is being frozen.

use crate::document::check_version;
use crate::{DeviceId, DocumentError, Domain, ManifestId, TrustedRoot, decode_exact, open};
use minicbor::{Decode, Encode};

/// Longest sealed heartbeat.
pub const HEARTBEAT_BYTES_MAX: usize = 1024;

/// Length of the nonce that a device asks for the time with.
pub const NONCE_BYTES: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Heartbeat {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub device: DeviceId,
    /// Milliseconds since 1970 by the gateway's clock.
    #[n(2)]
    pub time_ms: u64,
    /// Of the device's newest manifest; 0, 0 and none before the first.
    #[n(3)]
    pub epoch: u32,
    #[n(4)]
    pub seq: u64,
    #[n(5)]
    pub manifest: Option<ManifestId>,
    /// Of the newest root document.
    #[n(6)]
    pub root_version: u32,
    /// The nonce of the device's report that this answers.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub nonce: Option<[u8; NONCE_BYTES]>,
}

/// Checks everything about a heartbeat that needs no state of the device.
pub fn open_heartbeat(
    sealed: &[u8],
    root: &TrustedRoot,
    device: &DeviceId,
) -> Result<Heartbeat, DocumentError> {
    let find_key = |key: &crate::KeyId| root.find_assign_key(key);
    let payload = open(Domain::Heartbeat, sealed, HEARTBEAT_BYTES_MAX, find_key)?;
    let heartbeat: Heartbeat = decode_exact(&payload)?;
    check_version(heartbeat.version)?;
    if heartbeat.device != *device {
        return Err(DocumentError::WrongDevice(heartbeat.device));
    }
    Ok(heartbeat)
}
