//! A message of the gateway to a module on one device.
//!
//! It is signed by the assign key, because a broker of somebody else's carries it, and
//! holds for one start of the agent: the device has told its `boot_id` in its signed
//! report, and takes only a counter that is higher than every one before. So none is
//! taken twice, and nothing has to be kept on the device's disk for that.

use crate::document::check_version;
use crate::{DeviceId, DocumentError, Domain, TrustedRoot, decode_exact, open};
use minicbor::{Decode, Encode};

/// Longest sealed message: the longest payload, and names.
pub const CHANNEL_MESSAGE_BYTES_MAX: usize = 2 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChannelMessage {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub device: DeviceId,
    /// Of the agent's present start.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub boot_id: [u8; 16],
    /// Grows with every message to the device.
    #[n(3)]
    pub counter: u64,
    #[n(4)]
    pub app: String,
    #[n(5)]
    pub channel: String,
    #[cbor(n(6), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

/// Checks everything about a message that needs no state of the device.
pub fn open_channel_message(
    sealed: &[u8],
    root: &TrustedRoot,
    device: &DeviceId,
) -> Result<ChannelMessage, DocumentError> {
    let find_key = |key: &crate::KeyId| root.find_assign_key(key);
    let payload = open(Domain::ChannelMessage, sealed, CHANNEL_MESSAGE_BYTES_MAX, find_key)?;
    let message: ChannelMessage = decode_exact(&payload)?;
    check_version(message.version)?;
    if message.device != *device {
        return Err(DocumentError::WrongDevice(message.device));
    }
    Ok(message)
}
