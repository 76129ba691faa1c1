//! Whether a device may log in to the broker.
//!
//! The password is a token that the device has just signed: its own id, the time
//! and a nonce. It is good once and for a few minutes, so one that was read on the wire
//! opens nothing later. The nonces of used tokens are in memory, so
//! tokens from before the gateway's start are refused; a device whose clock is behind
//! asks for the time by a renewal and counts from there.

use super::App;
use device_protocol::{LOGIN_TOKEN_BYTES_MAX, Login, MESSAGE_VERSION, decode_sealed};
use module_package::{DeviceId, Domain, SealError, open};
use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;
use std::time::Duration;

const CLOCK_DIFFERENCE_MS_MAX: u64 = 5 * 60 * 1_000;

/// What a token's time may be ahead. A device whose clock is further ahead is refused
/// and asks for the time. So a token that an earlier gateway has seen, whose nonce this
/// one does not know, names no time later than this after the start.
const AHEAD_MS_MAX: u64 = 500;

/// Logins of one device while its tokens are good: one each half second.
const LOGINS_PER_DEVICE_MAX: usize = 1_200;

#[derive(Default)]
pub struct Logins {
    /// By [`App::steady_ms`], like the times of the nonces.
    started_ms: u64,
    /// Nonces of tokens that are still good, by device, oldest first.
    seen: HashMap<DeviceId, VecDeque<(u64, [u8; 16])>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    #[error("the client id is no device id")]
    NoDeviceId,
    #[error("the device is not enrolled here")]
    Unknown,
    #[error("the password is no login token")]
    Malformed,
    #[error("the login token is not sealed by the device's key: {0}")]
    Seal(SealError),
    #[error("the login token is for another device")]
    OtherDevice,
    #[error("the login token's time differs by {difference_ms} ms: check the device's clock")]
    Time { difference_ms: u64 },
    #[error("the login token is from before the gateway's start: the device asks for the time")]
    BeforeStart,
    #[error("the login token was used before")]
    Repeated,
    #[error("the device logs in too often")]
    TooMany,
}

impl App {
    pub fn check_login(&self, client_id: &str, password: &[u8]) -> Result<DeviceId, LoginRefusal> {
        let device: DeviceId = client_id.parse().map_err(|_| LoginRefusal::NoDeviceId)?;
        let key = self.device_key(&device).ok_or(LoginRefusal::Unknown)?;
        if password.len() > LOGIN_TOKEN_BYTES_MAX {
            return Err(LoginRefusal::Malformed);
        }
        let text = std::str::from_utf8(password).map_err(|_| LoginRefusal::Malformed)?;
        let sealed = decode_sealed(text).ok_or(LoginRefusal::Malformed)?;
        let payload = open(Domain::Login, &sealed, LOGIN_TOKEN_BYTES_MAX, |id| {
            if key.id() == *id { Ok(key) } else { Err(SealError::UnknownKey(*id)) }
        })
        .map_err(LoginRefusal::Seal)?;
        let login: Login = minicbor::decode(&payload).map_err(|_| LoginRefusal::Malformed)?;
        if login.version != MESSAGE_VERSION {
            return Err(LoginRefusal::Malformed);
        }
        if login.device != device {
            return Err(LoginRefusal::OtherDevice);
        }
        let now_ms = self.now_ms();
        let difference_ms = login.time_ms.abs_diff(now_ms);
        let is_ahead = login.time_ms > now_ms.saturating_add(AHEAD_MS_MAX);
        if is_ahead || difference_ms > CLOCK_DIFFERENCE_MS_MAX {
            return Err(LoginRefusal::Time { difference_ms });
        }
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let steady_ms = self.steady_ms();
        // As a difference of two times, so that it holds also if the calendar was set since.
        let age_ms_max = now_ms.saturating_add(AHEAD_MS_MAX).saturating_sub(login.time_ms);
        if age_ms_max >= steady_ms.saturating_sub(logins.started_ms) {
            return Err(LoginRefusal::BeforeStart);
        }
        logins.note(&device, login.nonce, steady_ms)?;
        Ok(device)
    }

    /// After the start every login is refused for so long: the broker need not listen.
    pub fn time_to_first_login(&self) -> Duration {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let since_start_ms = self.steady_ms().saturating_sub(logins.started_ms);
        Duration::from_millis((AHEAD_MS_MAX + 1).saturating_sub(since_start_ms))
    }
}

impl Logins {
    pub fn starting_at(started_ms: u64) -> Self {
        Self { started_ms, ..Self::default() }
    }

    /// A token is good until its time plus the difference, and its time is at most
    /// the difference ahead: after twice that, its nonce can be forgotten.
    fn note(
        &mut self,
        device: &DeviceId,
        nonce: [u8; 16],
        now_ms: u64,
    ) -> Result<(), LoginRefusal> {
        let seen = self.seen.entry(device.clone()).or_default();
        while seen.front().is_some_and(|(at_ms, _)| at_ms + 2 * CLOCK_DIFFERENCE_MS_MAX < now_ms) {
            seen.pop_front();
        }
        if seen.iter().any(|(_, earlier)| *earlier == nonce) {
            return Err(LoginRefusal::Repeated);
        }
        if seen.len() >= LOGINS_PER_DEVICE_MAX {
            return Err(LoginRefusal::TooMany);
        }
        seen.push_back((now_ms, nonce));
        Ok(())
    }
}
