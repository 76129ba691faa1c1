//! What a module did through the guest API, beyond the plain counters of `Usage`.

use minicbor::{Decode, Encode};

#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct GuestUsage {
    /// Of the functions that were called at all.
    #[n(0)]
    pub host_calls: Vec<HostCallUsage>,
    /// The module's own, in the order of their first use.
    #[n(1)]
    pub metrics: Vec<Metric>,
    /// Of a module that was granted one.
    #[n(2)]
    pub storage: Option<StorageUsage>,
    /// Of each channel that it subscribes to.
    #[n(3)]
    pub inboxes: Vec<InboxUsage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct InboxUsage {
    #[n(0)]
    pub channel: String,
    /// Messages that wait.
    #[n(1)]
    pub depth: u32,
    /// All, with those that were dropped.
    #[n(2)]
    pub received: u64,
    #[n(3)]
    pub dropped: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct StorageUsage {
    #[n(0)]
    pub used_bytes: u64,
    #[n(1)]
    pub quota_bytes: u64,
}

/// Calls of one function of the guest API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct HostCallUsage {
    /// See `GuestCall::number`.
    #[n(0)]
    pub number: u8,
    #[n(1)]
    pub calls: u64,
    /// Of the module's memory that were read and written.
    #[n(2)]
    pub bytes: u64,
    /// From its start to its end, on the clock.
    #[n(3)]
    pub time_ns: u64,
}

/// A number that the module keeps up to date for people.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(array)]
pub struct Metric {
    #[n(0)]
    pub name: String,
    /// Neither NaN nor infinite.
    #[n(1)]
    pub value: f64,
}
