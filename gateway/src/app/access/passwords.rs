//! Passwords by argon2, and how often they may be tried.
//!
//! A hash takes some 19 MiB and tens of milliseconds, so callers bound how many are made
//! at the same time, and never hold the state meanwhile.

use super::{App, AppError};
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

pub const PASSWORD_BYTES_MIN: usize = 12;
/// Nobody types more, and argon2 reads all of it.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
const SALT_BYTES: usize = 16;

/// Attempts in one go, and the time for one more: of an address, which may be that of
/// an office or of a proxy, and of a user's name.
const ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(20).unwrap();
const ADDRESS_PERIOD: Duration = Duration::from_secs(3);
const NAME_BURST: NonZeroU32 = NonZeroU32::new(10).unwrap();
const NAME_PERIOD: Duration = Duration::from_secs(10);

/// What an unknown name's password is compared with, so that it takes as long.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_with("nobody has this password", &[0; SALT_BYTES]).unwrap_or_default());

/// Names and addresses share 65,536 places each, by a hash that is another one at each
/// start: whoever sends many of them fills no memory, and hits nobody by intent.
pub struct LoginLimits {
    by_address: DefaultKeyedRateLimiter<u16>,
    by_name: DefaultKeyedRateLimiter<u16>,
    places: RandomState,
}

impl Default for LoginLimits {
    fn default() -> Self {
        // Neither period is zero.
        let quota = |period, burst| Quota::with_period(period).map(|q| q.allow_burst(burst));
        let quota = |period, burst| quota(period, burst).unwrap_or(Quota::per_minute(burst));
        Self {
            by_address: RateLimiter::keyed(quota(ADDRESS_PERIOD, ADDRESS_BURST)),
            by_name: RateLimiter::keyed(quota(NAME_PERIOD, NAME_BURST)),
            places: RandomState::new(),
        }
    }
}

impl LoginLimits {
    fn place(&self, key: impl std::hash::Hash) -> u16 {
        self.places.hash_one(key) as u16
    }

    fn check(limiter: &DefaultKeyedRateLimiter<u16>, place: u16) -> Result<(), AppError> {
        limiter.check_key(&place).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            AppError::RateLimited {
                detail: "Too many attempts to log in. Wait, and try again.".to_owned(),
                // Never too early.
                retry_after_s: wait.as_secs() + 1,
            }
        })
    }
}

impl App {
    /// Called before each look at a password or token that logs in.
    pub fn admit_login(&self, address: Option<IpAddr>, name: Option<&str>) -> Result<(), AppError> {
        let limits = &self.login_limits;
        LoginLimits::check(&limits.by_address, limits.place(address.map(network_of)))?;
        match name {
            Some(name) => LoginLimits::check(&limits.by_name, limits.place(name)),
            None => Ok(()),
        }
    }

    pub(super) fn hash_password(&self, password: &str) -> Result<String, AppError> {
        let salt = self.rooms.surroundings.random::<SALT_BYTES>();
        hash_with(password, &salt).map_err(|e| AppError::Bug(format!("hash a password: {e}")))
    }
}

fn hash_with(
    password: &str,
    salt: &[u8; SALT_BYTES],
) -> Result<String, argon2::password_hash::Error> {
    let salt = SaltString::encode_b64(salt)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
}

/// Takes as long for a user that there is not, or that has no password.
pub fn is_password(hash: Option<&str>, password: &str) -> bool {
    let Ok(known) = PasswordHash::new(hash.unwrap_or(&NOBODY)) else { return false };
    let is_it = Argon2::default().verify_password(password.as_bytes(), &known).is_ok();
    is_it && hash.is_some()
}

pub fn check_new_password(password: &str, name: &str) -> Result<(), AppError> {
    let len = password.len();
    if !(PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&len) {
        return Err(AppError::bad_request(format!(
            "A password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes, and this one {len}. \
             Several words are easy to remember."
        )));
    }
    let first = password.chars().next();
    if password.to_lowercase().contains(name) && len < name.len() + PASSWORD_BYTES_MIN
        || password.chars().all(|c| Some(c) == first)
    {
        return Err(AppError::bad_request(
            "This password is the first that anybody tries. Take several words instead.",
        ));
    }
    Ok(())
}

/// Who has one address of IPv6 has 2^64.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = u128::from(v6) >> 64 << 64;
            IpAddr::V6(bits.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let hash = hash_with("four words of mine", &[7; SALT_BYTES]).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_password(Some(&hash), "four words of mine"));
        for wrong in ["", "four words of mine ", "Four words of mine"] {
            assert!(!is_password(Some(&hash), wrong), "{wrong}");
        }
        assert!(!is_password(None, "nobody has this password"));
        assert!(!is_password(Some("no hash"), "no hash"));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
