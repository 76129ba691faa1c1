//! What a device gets to reach the broker with: its certificate, and whom to trust
//! there. Given at enrolment, and again to whoever shows that it holds an enrolled
//! device's key.
//!
//! A renewal needs neither a certificate nor the right time, so a device that was
//! away for a year, or whose clock stands at 1970, finds back by it. A repeated
//! request is of no use to a thief: what it brings is good with the key alone.

use super::{App, AppError};
use device_protocol::{
    MESSAGE_VERSION, RENEWAL_BYTES_MAX, RenewRequest, RenewResponse, Renewal, decode_sealed,
    encode_sealed,
};
use gateway_api::ProblemCode;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use module_package::{
    DOCUMENT_VERSION, DeviceId, Domain, Membership, NONCE_BYTES, PublicKey, RootId, SealError,
    TrustedRoot, open,
};
use std::num::NonZeroU32;

/// Renewals in a second, and in one go: a fleet may ask for the time all at once.
const RENEWALS_PER_S: NonZeroU32 = NonZeroU32::new(50).unwrap();
const RENEWALS_BURST: NonZeroU32 = NonZeroU32::new(2_000).unwrap();

/// Bounds what strangers make the gateway compute.
pub(super) fn renewal_limiter() -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_second(RENEWALS_PER_S).allow_burst(RENEWALS_BURST))
}

/// How devices verify the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerTrust {
    /// Of which the broker's certificate descends; without any, no device gets a
    /// certificate either.
    pub certificates: Vec<Vec<u8>>,
    /// The name in the broker's certificate, if not the host of its address.
    pub name: Option<String>,
}

impl App {
    /// The sealed membership of a device whose key the caller has verified.
    pub(super) fn membership(
        &self,
        root: &TrustedRoot,
        device: &DeviceId,
        key: &PublicKey,
        nonce: Option<[u8; NONCE_BYTES]>,
    ) -> Result<String, AppError> {
        let addresses = self.addresses()?;
        let trust = &addresses.broker_trust;
        let certificate = match trust.certificates.is_empty() {
            true => None,
            false => {
                let issued = self.rooms.authority.issue_to_device(device.as_str(), key);
                Some(issued.map_err(|e| AppError::Bug(format!("issue a certificate: {e}")))?)
            }
        };
        let (certificate, not_after_ms) = certificate.map(|c| (c.der, c.not_after_ms)).unzip();
        let membership = Membership {
            version: DOCUMENT_VERSION,
            device: device.clone(),
            issued_at_ms: self.now_ms(),
            broker_url: addresses.mqtt_url.clone(),
            broker_ca: trust.certificates.iter().cloned().map(Into::into).collect(),
            broker_name: trust.name.clone(),
            certificate: certificate.map(Into::into),
            certificate_not_after_ms: not_after_ms,
            nonce,
        };
        let payload = crate::store::record::to_cbor(&membership);
        let sealed = self.rooms.signing.seal_by_assign_key(root, Domain::Membership, payload);
        sealed.map(|sealed| encode_sealed(&sealed)).ok_or_else(|| {
            AppError::conflict(
                "The root document that the device trusts names no assign key of this gateway: \
                 enrol the device again.",
            )
        })
    }

    /// The one that the device trusts, which may be an old one: it walks on over MQTT,
    /// which it reaches only with the answer.
    fn root_with_version(&self, version: u32) -> Result<TrustedRoot, AppError> {
        let sealed = self.sealed_root(version)?;
        TrustedRoot::pinned(&sealed, RootId::of(&sealed))
            .map_err(|e| AppError::Bug(format!("our own root document: {e}")))
    }

    pub fn renew_membership(&self, request: &RenewRequest) -> Result<RenewResponse, AppError> {
        if self.renewals.check().is_err() {
            return Err(AppError::refused(
                ProblemCode::RateLimited,
                "Too many devices ask at once; try again in a while.",
            ));
        }
        let refuse = |what: &str| AppError::bad_request(format!("The renewal {what}."));
        if request.statement.len() > RENEWAL_BYTES_MAX * 4 / 3 + 4 {
            return Err(refuse("is too long"));
        }
        let sealed = decode_sealed(&request.statement)
            .ok_or_else(|| refuse("is not base64url without padding"))?;
        // The seal names its key; whose that is, is known here.
        let mut owner = None;
        let payload = open(Domain::Renewal, &sealed, RENEWAL_BYTES_MAX, |id| {
            owner = self.device_of_key(id);
            owner.as_ref().map(|(_, key)| *key).ok_or(SealError::UnknownKey(*id))
        });
        let payload = match payload {
            Ok(payload) => payload,
            Err(SealError::UnknownKey(_)) => {
                return Err(AppError::refused(
                    ProblemCode::Forbidden,
                    "No enrolled device has this key: it was never enrolled here, or was revoked \
                     or removed. Enrol the device again.",
                ));
            }
            Err(error) => return Err(refuse(&format!("is not sealed by the device: {error}"))),
        };
        let renewal: Renewal =
            minicbor::decode(&payload).map_err(|e| refuse(&format!("cannot be read: {e}")))?;
        if renewal.version != MESSAGE_VERSION {
            return Err(refuse("has a version that this gateway does not read"));
        }
        let Some((device, key)) = owner.filter(|(device, _)| *device == renewal.device) else {
            return Err(refuse("is for another device"));
        };
        let root = self.root_with_version(renewal.root_version)?;
        let membership = self.membership(&root, &device, &key, Some(renewal.nonce))?;
        tracing::info!(device.id = %device, "renewed the device's membership");
        Ok(RenewResponse { membership })
    }
}
