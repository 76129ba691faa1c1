//! What a device has for modules to use, and what its owner says of it.
//!
//! It comes with some reports, because it hardly ever changes; the gateway keeps the last
//! one. Names are the owner's. The gateway places modules by it and the device checks again.

use minicbor::{Decode, Encode};

/// Most entries of each list.
pub const CAPABILITIES_MAX: usize = 64;

/// Longest name, key or value.
pub const CAPABILITY_BYTES_MAX: usize = 64;

/// Longest reason.
pub const REASON_BYTES_MAX: usize = 200;

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Capabilities {
    #[n(0)]
    pub sensors: Vec<String>,
    #[n(1)]
    pub actuators: Vec<String>,
    #[n(2)]
    pub accelerators: Vec<String>,
    /// By key.
    #[n(3)]
    pub labels: Vec<Label>,
    /// Of the sensors and actuators, those that are declared and not there.
    #[n(4)]
    pub unavailable: Vec<Unavailable>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Label {
    #[n(0)]
    pub key: String,
    #[n(1)]
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Unavailable {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub why: String,
}

impl Capabilities {
    /// Whether it is of a size that a device of ours could have sent.
    pub fn is_bounded(&self) -> bool {
        let lists = [&self.sensors, &self.actuators, &self.accelerators];
        let is_short = |text: &String| text.len() <= CAPABILITY_BYTES_MAX;
        lists.iter().all(|list| list.len() <= CAPABILITIES_MAX && list.iter().all(is_short))
            && self.labels.len() <= CAPABILITIES_MAX
            && self.labels.iter().all(|label| is_short(&label.key) && is_short(&label.value))
            && self.unavailable.len() <= 2 * CAPABILITIES_MAX
            && self.unavailable.iter().all(|u| is_short(&u.name) && u.why.len() <= REASON_BYTES_MAX)
    }

    pub fn has_label(&self, key: &str, value: &str) -> bool {
        self.labels.iter().any(|label| label.key == key && label.value == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_has_a_size() {
        let some = Capabilities {
            sensors: vec!["probe".into()],
            actuators: vec!["lamp".into()],
            accelerators: vec!["npu:x".into()],
            labels: vec![Label { key: "room".into(), value: "hall".into() }],
            unavailable: vec![Unavailable { name: "lamp".into(), why: "no chip".into() }],
        };
        let bytes = minicbor::to_vec(&some).unwrap();
        assert_eq!(minicbor::decode::<Capabilities>(&bytes).unwrap(), some);
        assert_eq!(
            hex::encode(&bytes),
            "a50081657072 6f6265 0181646c616d70 0281656e70753a78 03818264726f6f6d6468616c6c \
             048182646c616d70676e6f2063686970"
                .replace(' ', ""),
            "the golden bytes: a device in the field writes these"
        );
        assert!(some.is_bounded() && some.has_label("room", "hall"));
        assert!(!some.has_label("room", "cellar"));
        let many = Capabilities { sensors: vec![String::new(); 65], ..some.clone() };
        let long = Capabilities { accelerators: vec!["x".repeat(65)], ..some };
        assert!(!many.is_bounded() && !long.is_bounded());
    }
}
