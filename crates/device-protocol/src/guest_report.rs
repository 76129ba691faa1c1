//! What a module did through the guest API, as a report tells it.
//!
//! Functions go by number (`worker_protocol::GuestCall`) and entries are arrays: this
//! is said again in every report.

use minicbor::{Decode, Encode};
use module_package::ArtifactId;
use module_traps::TrapKind;

#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct GuestReport {
    /// Of the functions that were called at all, over all workers since the agent's
    /// start.
    #[n(0)]
    pub host_calls: Vec<HostCallReport>,
    /// The module's own numbers.
    #[n(1)]
    pub metrics: Vec<MetricReport>,
    /// Of a module that may store something.
    #[n(2)]
    pub storage: Option<StorageReport>,
    /// Of a module that subscribes to something.
    #[cbor(n(3), skip_if = "Vec::is_empty")]
    pub inboxes: Vec<InboxReport>,
}

/// Messages on one channel that a module subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct InboxReport {
    #[n(0)]
    pub channel: String,
    /// That wait now.
    #[n(1)]
    pub depth: u32,
    /// Since the worker started, with those that were dropped.
    #[n(2)]
    pub received: u64,
    #[n(3)]
    pub dropped: u64,
}

/// How a module trapped the last time.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TrapReport {
    #[n(0)]
    pub export: String,
    #[n(1)]
    pub kind: Option<TrapKind>,
    /// Where, as its code left it; the gateway reads it by the module
    /// (`aot_compiler::trap_place`).
    #[n(2)]
    pub place: Option<u32>,
    /// Whose code.
    #[n(3)]
    pub artifact: ArtifactId,
    #[n(4)]
    pub detail: String,
}

/// Messages of a module on one channel that it publishes on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct OutletReport {
    #[n(0)]
    pub channel: String,
    /// That wait in the agent for the connection.
    #[n(1)]
    pub depth: u32,
    /// Since the agent's start: accepted from the module, and not.
    #[n(2)]
    pub published: u64,
    /// Refused for rate or size, or dropped because too many waited.
    #[n(3)]
    pub dropped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct StorageReport {
    #[n(0)]
    pub used_bytes: u64,
    #[n(1)]
    pub quota_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct HostCallReport {
    #[n(0)]
    pub number: u8,
    #[n(1)]
    pub calls: u64,
    /// Of the module's memory that were read and written.
    #[n(2)]
    pub bytes: u64,
    #[n(3)]
    pub time_ns: u64,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(array)]
pub struct MetricReport {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Agents in the field write these bytes.
    #[test]
    fn the_bytes_are_what_they_have_been() {
        let report = GuestReport {
            host_calls: vec![HostCallReport { number: 4, calls: 500, bytes: 2, time_ns: 3 }],
            metrics: vec![MetricReport { name: "rpm".into(), value: 1.5 }],
            storage: Some(StorageReport { used_bytes: 5, quota_bytes: 6 }),
            inboxes: vec![],
        };
        let inboxes = vec![InboxReport { channel: "a".into(), depth: 1, received: 30, dropped: 2 }];
        let bytes = minicbor::to_vec(GuestReport { inboxes, ..GuestReport::default() }).unwrap();
        assert_eq!(hex::encode(bytes), "a300800180038184616101181e02");
        let bytes = minicbor::to_vec(report).unwrap();
        assert_eq!(
            hex::encode(bytes),
            "a3008184041901f402030181826372706dfb3ff800000000000002820506"
        );
    }
}
