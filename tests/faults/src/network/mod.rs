//! Devices in a network namespace of their own, on a link that can be made bad.
//!
//! The namespace and the host are joined by a pair of interfaces with private
//! addresses. A relay on the host's end leads from there to the gateway, which goes on
//! listening on loopback alone. The link loses packets by nftables and is made slow by
//! tbf; delay is the relay's, because not every kernel has netem.

mod namespace;
mod relay;

pub use namespace::{Namespace, missing};
pub use relay::Relay;
