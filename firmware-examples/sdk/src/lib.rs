//! Farrier's guest API, version 1, for modules written in Rust.
//!
//! A module is a `cdylib` for `wasm32-unknown-unknown` that exports `init` and
//! `tick`, both optional:
//!
//! ```
//! use farrier_guest::{Level, log};
//!
//! #[unsafe(no_mangle)]
//! pub extern "C" fn init() -> i32 {
//!     log(Level::Info, "hello");
//!     0
//! }
//! ```
//!
//! `docs/guest-api.md` of Farrier says what each function promises.

#![cfg_attr(target_arch = "wasm32", no_std)]

#[cfg_attr(target_arch = "wasm32", path = "host/wasm.rs")]
#[cfg_attr(not(target_arch = "wasm32"), path = "host/elsewhere.rs")]
mod host;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Level {
    Error = 0,
    Warn = 1,
    Info = 2,
    Debug = 3,
}

/// Why the host did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The name is not UTF-8, is empty, or is longer than 64 bytes.
    Name,
    /// Nothing of this name is granted to this module.
    Denied,
    /// The handle is not one of `Sensor::open`.
    Handle,
    /// More bytes than the function takes.
    TooLong,
    /// More of this in this second than this module may do.
    TooMany,
    /// The device cannot do it now.
    Unavailable,
    /// There is nothing under this key.
    Absent,
    /// The number is not finite, or out of its range.
    Value,
    /// There is no room for one more.
    Full,
    /// A number that this version of the crate does not know.
    Other(i32),
}

impl Error {
    fn check(answer: i32) -> Result<i32, Error> {
        Err(match answer {
            0.. => return Ok(answer),
            -1 => Self::Name,
            -2 => Self::Denied,
            -3 => Self::Handle,
            -4 => Self::TooLong,
            -5 => Self::TooMany,
            -6 => Self::Unavailable,
            -7 => Self::Absent,
            -8 => Self::Value,
            -9 => Self::Full,
            other => Self::Other(other),
        })
    }
}

/// Writes a line to the module's log. Too many in a second are dropped and counted.
pub fn log(level: Level, text: &str) {
    host::log(level as i32, text.as_bytes());
}

/// Nanoseconds since some fixed moment before the first call; never goes back.
pub fn clock_monotonic_ns() -> i64 {
    host::clock_monotonic_ns()
}

/// How the device knows what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockTrust {
    /// It does not: the time is a lower bound, and 0 where nothing at all is known.
    Unknown,
    /// Its owner says that its clock is right.
    Configured,
    /// The gateway told it.
    Gateway,
}

/// Milliseconds since 1970, and what they are worth.
pub fn clock_wall_ms() -> (u64, ClockTrust) {
    let mut time = [0; 8];
    let trust = match host::clock_wall_ms(&mut time) {
        1 => ClockTrust::Configured,
        2 => ClockTrust::Gateway,
        _ => ClockTrust::Unknown,
    };
    (u64::from_le_bytes(time), trust)
}

/// Fills the whole slice with random bytes, fit for keys.
pub fn random(bytes: &mut [u8]) -> Result<(), Error> {
    const AT_ONCE: usize = 256;
    bytes.chunks_mut(AT_ONCE).try_for_each(|part| Error::check(host::random(part)).map(drop))
}

/// Sets one of the module's own numbers, at most 16, which people see beside its usage.
pub fn metric_set(name: &str, value: f64) -> Result<(), Error> {
    Error::check(host::metric_set(name.as_bytes(), &value.to_le_bytes())).map(drop)
}

/// Looks a key of the deployment's configuration up; what is longer than the buffer is
/// an error.
pub fn config_get<'b>(key: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
    let len = Error::check(host::config_get(key.as_bytes(), buffer))?;
    filled(buffer, len)
}

/// Looks up what is stored under a key; what is longer than the buffer is an error.
pub fn kv_get<'b>(key: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
    let len = Error::check(host::kv_get(key.as_bytes(), buffer))?;
    filled(buffer, len)
}

/// Stores a value, which has survived a power cut once this has returned.
pub fn kv_set(key: &str, value: &[u8]) -> Result<(), Error> {
    Error::check(host::kv_set(key.as_bytes(), value)).map(drop)
}

/// Stores nothing under the key any more.
pub fn kv_delete(key: &str) -> Result<(), Error> {
    Error::check(host::kv_delete(key.as_bytes())).map(drop)
}

/// The part of a buffer that the host has filled, where the whole value fitted.
fn filled(buffer: &[u8], len: i32) -> Result<&[u8], Error> {
    buffer.get(..len as usize).ok_or(Error::TooLong)
}

/// Sends a message on a channel that the module may publish on.
pub fn publish(channel: &str, payload: &[u8]) -> Result<(), Error> {
    Error::check(host::publish(channel.as_bytes(), payload)).map(drop)
}

/// Sets an actuator of the device.
pub fn actuator_set(name: &str, value: f64) -> Result<(), Error> {
    Error::check(host::actuator_set(name.as_bytes(), &value.to_le_bytes())).map(drop)
}

/// The oldest message that waits on a channel that the module subscribes to, or none. One
/// that is longer than the buffer is an error, and goes on waiting.
pub fn receive<'b>(channel: &str, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
    match Error::check(host::receive(channel.as_bytes(), buffer)) {
        Ok(len) => filled(buffer, len).map(Some),
        Err(Error::Absent) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A sensor that the module may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sensor(i32);

impl Sensor {
    pub fn open(name: &str) -> Result<Self, Error> {
        Error::check(host::sensor_open(name.as_bytes())).map(Self)
    }

    /// The next sample, in the sensor's own unit.
    pub fn read(self) -> Result<f64, Error> {
        let mut sample = [0; 8];
        Error::check(host::sensor_read(self.0, &mut sample))?;
        Ok(f64::from_le_bytes(sample))
    }
}
