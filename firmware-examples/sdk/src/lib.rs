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
//! The README beside this crate says what each function promises.

#![cfg_attr(target_arch = "wasm32", no_std)]

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
    /// No such sensor or channel is granted to this module.
    Denied,
    /// The handle is not one of `Sensor::open`.
    Handle,
    /// The message is longer than 1,024 bytes.
    TooLong,
    /// More messages in this second than this module may publish.
    TooMany,
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

/// Sends a message on a channel that the module may publish on.
pub fn publish(channel: &str, payload: &[u8]) -> Result<(), Error> {
    Error::check(host::publish(channel.as_bytes(), payload)).map(drop)
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

#[cfg(target_arch = "wasm32")]
mod host {
    // An address is an i32 on this target, which is what the API takes.
    mod imports {
        #[link(wasm_import_module = "farrier")]
        unsafe extern "C" {
            pub fn log(level: i32, text: *const u8, text_len: usize);
            pub safe fn clock_monotonic_ns() -> i64;
            pub fn sensor_open(name: *const u8, name_len: usize) -> i32;
            pub fn sensor_read(handle: i32, sample: *mut u8) -> i32;
            pub fn publish(
                channel: *const u8,
                channel_len: usize,
                payload: *const u8,
                payload_len: usize,
            ) -> i32;
        }
    }

    pub use imports::clock_monotonic_ns;

    pub fn log(level: i32, text: &[u8]) {
        // SAFETY: the host reads exactly these bytes, during the call.
        unsafe { imports::log(level, text.as_ptr(), text.len()) }
    }

    pub fn sensor_open(name: &[u8]) -> i32 {
        // SAFETY: the host reads exactly these bytes, during the call.
        unsafe { imports::sensor_open(name.as_ptr(), name.len()) }
    }

    pub fn sensor_read(handle: i32, sample: &mut [u8; 8]) -> i32 {
        // SAFETY: the host writes eight bytes there, during the call.
        unsafe { imports::sensor_read(handle, sample.as_mut_ptr()) }
    }

    pub fn publish(channel: &[u8], payload: &[u8]) -> i32 {
        // SAFETY: the host reads exactly these bytes, during the call.
        unsafe {
            imports::publish(channel.as_ptr(), channel.len(), payload.as_ptr(), payload.len())
        }
    }
}

/// Lets a module's own unit tests run where it is developed: nothing is granted.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    const DENIED: i32 = -2;

    pub fn log(_level: i32, _text: &[u8]) {}

    pub fn clock_monotonic_ns() -> i64 {
        0
    }

    pub fn sensor_open(_name: &[u8]) -> i32 {
        DENIED
    }

    pub fn sensor_read(_handle: i32, _sample: &mut [u8; 8]) -> i32 {
        DENIED
    }

    pub fn publish(_channel: &[u8], _payload: &[u8]) -> i32 {
        DENIED
    }
}
