//! The device's membership: where the broker is, whom to trust there, and the
//! certificate that opens its door; and how it is renewed.
//!
//! It is a sealed document, kept in the file `membership` as it came and verified at
//! each start, so a damaged or foreign file is nothing worse than none. It is renewed
//! at two thirds of the certificate's life, and whenever the broker refuses the device:
//! then the certificate may have ended, or the clock may be wrong. The answer carries
//! the time bound to a nonce, by which login tokens are made from then on.

use crate::delay::Delays;
use crate::enrol::{EnrolError, post_json};
use crate::wall_clock_ms;
use device_protocol::{
    MESSAGE_VERSION, RenewRequest, RenewResponse, Renewal, decode_sealed, encode_sealed,
};
use durable_disk::{Disk, RealDisk, put_file};
use ed25519_dalek::SigningKey;
use module_package::{
    DeviceId, Domain, MEMBERSHIP_BYTES_MAX, Membership, TrustedRoot, open_membership, seal,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;

const FILE: &str = "membership";

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);
/// Looked at again at least so often, because the clock may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(3_600);

/// The root document that the device trusts now.
pub type SharedRoot = Arc<RwLock<Option<TrustedRoot>>>;

pub struct MembershipKeeper {
    pub data_dir: PathBuf,
    pub gateway_url: String,
    pub ca_file: Option<PathBuf>,
    pub device: DeviceId,
    pub key: SigningKey,
    pub root: SharedRoot,
    present: Mutex<Option<Arc<Membership>>>,
    /// What the gateway's clock is ahead of ours.
    clock_offset_ms: AtomicI64,
    /// The broker has let us in since the last renewal.
    was_connected: AtomicBool,
    wished: Notify,
    renewed: Notify,
}

impl MembershipKeeper {
    pub fn new(
        data_dir: PathBuf,
        gateway_url: String,
        ca_file: Option<PathBuf>,
        device: DeviceId,
        key: SigningKey,
        root: SharedRoot,
    ) -> Self {
        let keeper = Self {
            data_dir,
            gateway_url,
            ca_file,
            device,
            key,
            root,
            present: Mutex::default(),
            clock_offset_ms: AtomicI64::new(0),
            was_connected: AtomicBool::new(false),
            wished: Notify::new(),
            renewed: Notify::new(),
        };
        let stored = RealDisk.read(&keeper.data_dir.join(FILE), MEMBERSHIP_BYTES_MAX as u64);
        if let Some(sealed) = stored.ok().flatten() {
            match keeper.open(&sealed) {
                Ok(membership) => *keeper.present() = Some(Arc::new(membership)),
                Err(error) => tracing::warn!("the stored membership is not taken: {error}"),
            }
        }
        keeper
    }

    pub fn current(&self) -> Option<Arc<Membership>> {
        self.present().clone()
    }

    /// Our clock, corrected by what the gateway last said.
    pub fn now_ms(&self) -> u64 {
        wall_clock_ms().saturating_add_signed(self.clock_offset_ms.load(Ordering::Relaxed))
    }

    /// The broker has refused us: perhaps a new membership helps.
    pub fn wish_for_renewal(&self) {
        self.wished.notify_one();
    }

    /// The broker had let us in: whatever we ask for next is another matter.
    pub fn note_connection(&self) {
        self.was_connected.store(true, Ordering::Relaxed);
    }

    pub async fn renewed(&self) {
        self.renewed.notified().await;
    }

    /// Checks a membership and keeps it.
    pub fn accept(&self, sealed: &[u8]) -> Result<(), String> {
        let membership = self.open(sealed)?;
        put_file(&RealDisk, &self.data_dir, FILE, sealed)
            .map_err(|e| format!("write the membership: {e}"))?;
        *self.present() = Some(Arc::new(membership));
        Ok(())
    }

    fn open(&self, sealed: &[u8]) -> Result<Membership, String> {
        let root = self.root.read().unwrap_or_else(PoisonError::into_inner);
        let root = root.as_ref().ok_or("there is no root document")?;
        let membership =
            open_membership(sealed, root, &self.device).map_err(|e| format!("membership: {e}"))?;
        crate::mqtt::BrokerAddress::parse(&membership.broker_url)?;
        Ok(membership)
    }

    fn present(&self) -> std::sync::MutexGuard<'_, Option<Arc<Membership>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews when it is time or wished for, for ever.
    pub async fn keep(self: Arc<Self>) {
        let mut delays = Delays::random(RETRY_MIN, RETRY_MAX);
        // Spreads a fleet that was enrolled at the same time.
        let spread = f64::from(u16::from_le_bytes([
            self.device.as_str().as_bytes()[2],
            self.device.as_str().as_bytes()[3],
        ])) / f64::from(u16::MAX);
        loop {
            let due = match self.current() {
                None => Duration::ZERO,
                Some(membership) => time_to_renewal(&membership, self.now_ms(), spread),
            };
            let is_wished = tokio::select! {
                () = tokio::time::sleep(due.min(LOOK_AGAIN)) => false,
                () = self.wished.notified() => true,
            };
            if !is_wished && due > LOOK_AGAIN {
                continue;
            }
            // What was asked for before has helped.
            if self.was_connected.swap(false, Ordering::Relaxed) {
                delays.reset();
            }
            match self.renew().await {
                Ok(()) => {
                    tracing::info!(device.id = %self.device, "renewed the membership");
                    if !is_wished {
                        delays.reset();
                    }
                    self.renewed.notify_one();
                }
                Err(error) => {
                    let advice = error.advice();
                    tracing::warn!("renew the membership: {error}. To do: {advice}");
                }
            }
            // Also after a success: a broker that refuses for another reason must not
            // make us ask without end. The delay grows until it lets us in.
            tokio::time::sleep(delays.next_delay()).await;
        }
    }

    async fn renew(&self) -> Result<(), EnrolError> {
        let bad = |what: String| EnrolError::BadAnswer(what);
        let mut nonce = [0; module_package::NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|e| bad(e.to_string()))?;
        let root_version = {
            let root = self.root.read().unwrap_or_else(PoisonError::into_inner);
            root.as_ref().map_or(1, |root| root.document().root_version)
        };
        let renewal =
            Renewal { version: MESSAGE_VERSION, device: self.device.clone(), nonce, root_version };
        let payload = minicbor::to_vec(renewal).map_err(|e| bad(e.to_string()))?;
        let statement = encode_sealed(&seal(Domain::Renewal, payload, &self.key));
        let request = RenewRequest { statement };
        let url = format!("{}/api/v1/renew", self.gateway_url.trim_end_matches('/'));
        let ca_file = self.ca_file.clone();
        let post = move || post_json::<_, RenewResponse>(&url, &request, ca_file);
        let response =
            tokio::task::spawn_blocking(post).await.map_err(|e| bad(e.to_string()))??;
        let sealed = decode_sealed(&response.membership)
            .ok_or_else(|| bad("the membership is not base64".into()))?;
        let membership = self.open(&sealed).map_err(bad)?;
        if membership.nonce != Some(nonce) {
            return Err(bad("the membership answers another question".into()));
        }
        let ahead_ms = i128::from(membership.issued_at_ms) - i128::from(wall_clock_ms());
        self.clock_offset_ms.store(i64::try_from(ahead_ms).unwrap_or(0), Ordering::Relaxed);
        self.accept(&sealed).map_err(bad)
    }
}

/// Two thirds of the certificate's life and a little more, from its making; none
/// where the clock cannot be right.
fn time_to_renewal(membership: &Membership, now_ms: u64, spread: f64) -> Duration {
    let Some(not_after_ms) = membership.certificate_not_after_ms else { return LOOK_AGAIN * 2 };
    let issued_at_ms = membership.issued_at_ms;
    if now_ms < issued_at_ms || now_ms >= not_after_ms {
        return Duration::ZERO;
    }
    let life_ms = not_after_ms.saturating_sub(issued_at_ms);
    let due_ms = issued_at_ms + life_ms / 3 * 2 + ((life_ms / 10) as f64 * spread) as u64;
    Duration::from_millis(due_ms.saturating_sub(now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(issued_at_ms: u64, not_after_ms: Option<u64>) -> Membership {
        Membership {
            version: 1,
            device: DeviceId::of_key(&[1; 32]),
            issued_at_ms,
            broker_url: "mqtts://b:1".into(),
            broker_ca: vec![],
            broker_name: None,
            certificate: None,
            certificate_not_after_ms: not_after_ms,
            nonce: None,
        }
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life_or_when_the_clock_is_wrong() {
        let of = membership(1_000_000, Some(1_300_000));
        let due = |now_ms, spread| time_to_renewal(&of, now_ms, spread).as_millis();
        assert_eq!(due(1_000_000, 0.0), 200_000);
        assert_eq!(due(1_100_000, 1.0), 130_000);
        assert_eq!(due(1_250_000, 0.5), 0);
        assert_eq!(due(1_400_000, 0.5), 0, "ended");
        assert_eq!(due(5, 0.5), 0, "it is 1970");
        let plain = membership(1_000_000, None);
        assert!(time_to_renewal(&plain, 5, 0.5) > LOOK_AGAIN);
    }
}
