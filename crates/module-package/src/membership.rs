//! The membership: what a device needs to reach the broker, said by the gateway to
//! one device at its enrolment and at each renewal.
//!
//! It travels over HTTP, perhaps without TLS, so it is sealed by an assign key like
//! a manifest: whoever stands on the wire can lead the device to no other broker and
//! make it trust no other authority.

use crate::document::check_version;
use crate::{DeviceId, DocumentError, Domain, KeyId, NONCE_BYTES, TrustedRoot, decode_exact, open};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Longest sealed membership: two certificates of half a kilobyte, with much room.
pub const MEMBERSHIP_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Membership {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub device: DeviceId,
    /// Milliseconds since 1970 by the gateway's clock.
    #[n(2)]
    pub issued_at_ms: u64,
    /// As `mqtts://broker.example:8883`.
    #[n(3)]
    pub broker_url: String,
    /// Certificates (DER) of which the broker's must descend; empty for `mqtt`.
    #[n(4)]
    pub broker_ca: Vec<ByteVec>,
    /// The name in the broker's certificate, if not the host of its address.
    #[n(5)]
    pub broker_name: Option<String>,
    /// The device's own certificate (DER), and when it ends.
    #[n(6)]
    pub certificate: Option<ByteVec>,
    #[n(7)]
    pub certificate_not_after_ms: Option<u64>,
    /// The nonce of the device's question.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub nonce: Option<[u8; NONCE_BYTES]>,
}

/// Checks everything about a membership that needs no state of the device.
pub fn open_membership(
    sealed: &[u8],
    root: &TrustedRoot,
    device: &DeviceId,
) -> Result<Membership, DocumentError> {
    let find_key = |key: &KeyId| root.find_assign_key(key);
    let payload = open(Domain::Membership, sealed, MEMBERSHIP_BYTES_MAX, find_key)?;
    let membership: Membership = decode_exact(&payload)?;
    check_version(membership.version)?;
    if membership.device != *device {
        return Err(DocumentError::WrongDevice(membership.device));
    }
    Ok(membership)
}
