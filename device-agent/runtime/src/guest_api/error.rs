//! Answers below zero.

use super::host_call::Answer;
use wamr::Value;
use worker_protocol::Outcome;

/// Part of the API: numbers are only ever added.
#[derive(Debug, Clone, Copy)]
pub enum GuestError {
    /// The name is not UTF-8, is empty, or is longer than 64 bytes.
    Name = -1,
    /// Nothing of this name is granted to the module.
    Denied = -2,
    /// `sensor_open` never returned this handle.
    Handle = -3,
    /// More bytes than the function takes.
    TooLong = -4,
    /// More of this in this second than the module may do.
    TooMany = -5,
    /// The device cannot do it now.
    Unavailable = -6,
    /// There is nothing under this key.
    Absent = -7,
    /// The number is not finite, or out of its range.
    Value = -8,
    /// No room for one more.
    Full = -9,
}

impl From<Outcome> for GuestError {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Denied => Self::Denied,
            Outcome::TooMany => Self::TooMany,
            Outcome::Full => Self::Full,
            Outcome::OutOfRange => Self::Value,
            // The first two where something else was to come.
            Outcome::Done | Outcome::Number(_) | Outcome::Unavailable => Self::Unavailable,
        }
    }
}

impl From<GuestError> for Answer {
    fn from(error: GuestError) -> Self {
        Ok(Some(Value::I32(error as i32)))
    }
}
