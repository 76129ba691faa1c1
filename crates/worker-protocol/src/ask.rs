//! What a worker asks of its starter in the middle of a call, because it has no files
//! itself. One question at a time, and the module waits for the answer.

use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(array)]
pub struct Asked {
    /// Counts the worker's questions.
    #[n(0)]
    pub id: u32,
    #[n(1)]
    pub ask: Ask,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Ask {
    /// Keep this value; answered once it survives a power cut.
    #[n(0)]
    Keep(#[n(0)] StoredValue),
    /// Keep nothing under this key any more; no error if nothing was.
    #[n(1)]
    Forget {
        #[n(0)]
        key: String,
    },
    /// The present value of a sensor of [`crate::SensorSource::Device`]. Answered by a number.
    #[n(2)]
    ReadSensor {
        #[n(0)]
        name: String,
    },
    #[n(3)]
    SetActuator {
        #[n(0)]
        name: String,
        #[n(1)]
        value: f64,
    },
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(array)]
pub struct Answer {
    #[n(0)]
    pub id: u32,
    #[n(1)]
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Encode, Decode)]
pub enum Outcome {
    #[n(0)]
    Done,
    #[n(1)]
    Denied,
    #[n(2)]
    TooMany,
    #[n(3)]
    Full,
    /// The device could not do it.
    #[n(4)]
    Unavailable,
    #[n(5)]
    Number(#[n(0)] f64),
    /// The value is not one that the actuator takes.
    #[n(6)]
    OutOfRange,
}

/// One key of a module's storage.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct StoredValue {
    #[n(0)]
    pub key: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub value: Vec<u8>,
}

/// Longest value of one key.
pub const STORED_VALUE_BYTES_MAX: usize = 4 * 1024;
/// Changes of its storage that a module may make in a second: each is a file that is
/// written and synced.
pub const STORES_PER_S_MAX: u32 = 20;
/// Reads of the device's own sensors in a second, and settings of its actuators.
pub const SENSOR_READS_PER_S_MAX: u32 = 100;
pub const ACTUATIONS_PER_S_MAX: u32 = 20;
/// What every key costs beside its own bytes and those of its value.
const STORED_KEY_BYTES: usize = 16;

/// What a key takes of the quota.
pub fn stored_bytes(key: &str, value: &[u8]) -> usize {
    STORED_KEY_BYTES + key.len() + value.len()
}
