//! What a deployment gives its module beside sensors and channels to publish on.

use crate::WasiProvisions;
use minicbor::{Decode, Encode};

/// Most entries of a configuration, and the bytes of a key, of a value, and of all keys
/// and values together. A manifest has 16 KiB for all applications.
pub const CONFIG_ENTRIES_MAX: usize = 32;
pub const CONFIG_KEY_BYTES_MAX: usize = 64;
pub const CONFIG_VALUE_BYTES_MAX: usize = 512;
pub const CONFIG_BYTES_MAX: usize = 4 * 1024;
/// Most that an application may store on a device.
pub const STORAGE_BYTES_MAX: u32 = 256 * 1024;

/// Most channels that a module may subscribe to, and the bytes of a name.
pub const SUBSCRIPTIONS_MAX: usize = 16;
pub const ACTUATORS_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Provisions {
    /// Text that the module can look up by its key.
    #[cbor(n(0), skip_if = "Vec::is_empty")]
    pub config: Vec<ConfigEntry>,
    /// What it may store; nothing where it is not said.
    #[n(1)]
    pub storage_bytes: Option<u32>,
    /// Channels whose messages it gets.
    #[cbor(n(2), skip_if = "Vec::is_empty")]
    pub subscriptions: Vec<String>,
    /// Actuators that it may set, by the names of the device's own list.
    #[cbor(n(3), skip_if = "Vec::is_empty")]
    pub actuators: Vec<String>,
    /// What it may reach through WASI, where it may anything.
    #[n(30)]
    pub wasi: Option<WasiProvisions>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct ConfigEntry {
    #[n(0)]
    pub key: String,
    #[n(1)]
    pub value: String,
}

impl Provisions {
    /// `None` for what gives nothing, so that it takes no room.
    pub fn non_empty(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }

    /// What is beyond its bounds, in words.
    pub fn check(&self) -> Result<(), String> {
        check_config(&self.config)?;
        check_names("subscription", &self.subscriptions, SUBSCRIPTIONS_MAX)?;
        check_names("actuator", &self.actuators, ACTUATORS_MAX)?;
        self.wasi.as_ref().map_or(Ok(()), WasiProvisions::check)?;
        match self.storage_bytes {
            Some(bytes) if bytes > STORAGE_BYTES_MAX => Err(format!(
                "it asks for {bytes} bytes of storage; the most is {STORAGE_BYTES_MAX}"
            )),
            _ => Ok(()),
        }
    }
}

fn check_names(what: &str, names: &[String], count_max: usize) -> Result<(), String> {
    if names.len() > count_max {
        return Err(format!("{} {what}s; the most is {count_max}", names.len()));
    }
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
            return Err(format!(
                "the name of a {what} has {} bytes; it needs 1 to {NAME_BYTES_MAX} without \
                 control characters",
                name.len()
            ));
        }
        if names[..index].contains(name) {
            return Err(format!("the {what} {name:?} is named twice"));
        }
    }
    Ok(())
}

fn check_config(config: &[ConfigEntry]) -> Result<(), String> {
    if config.len() > CONFIG_ENTRIES_MAX {
        return Err(format!(
            "the configuration has {} entries; the most is {CONFIG_ENTRIES_MAX}",
            config.len()
        ));
    }
    let mut bytes = 0;
    for (index, ConfigEntry { key, value }) in config.iter().enumerate() {
        if key.is_empty() || key.len() > CONFIG_KEY_BYTES_MAX || key.contains(char::is_control) {
            return Err(format!(
                "a key of the configuration has {} bytes; it needs 1 to {CONFIG_KEY_BYTES_MAX} \
                 without control characters",
                key.len()
            ));
        }
        if value.len() > CONFIG_VALUE_BYTES_MAX {
            return Err(format!(
                "the configuration's value of {key:?} has {} bytes; the most is \
                 {CONFIG_VALUE_BYTES_MAX}",
                value.len()
            ));
        }
        if config[..index].iter().any(|other| other.key == *key) {
            return Err(format!("the configuration has {key:?} twice"));
        }
        bytes += key.len() + value.len();
    }
    if bytes > CONFIG_BYTES_MAX {
        return Err(format!("the configuration has {bytes} bytes; the most is {CONFIG_BYTES_MAX}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str) -> ConfigEntry {
        ConfigEntry { key: key.into(), value: value.into() }
    }

    fn check(config: Vec<ConfigEntry>) -> Result<(), String> {
        Provisions { config, ..Provisions::default() }.check()
    }

    #[test]
    fn the_bytes_are_what_they_have_been() {
        let bytes = |provisions: Provisions| hex::encode(minicbor::to_vec(provisions).unwrap());
        assert_eq!(bytes(Provisions::default()), "a0");
        let config = vec![entry("unit", "K"), entry("high", "30")];
        assert_eq!(
            bytes(Provisions { config, ..Provisions::default() }),
            "a100828264756e6974614b826468696768623330"
        );
    }

    #[test]
    fn storage_has_a_bound() {
        let of = |storage_bytes| Provisions { storage_bytes, ..Provisions::default() };
        assert_eq!(of(Some(STORAGE_BYTES_MAX)).check(), Ok(()));
        assert!(of(Some(STORAGE_BYTES_MAX + 1)).check().is_err());
        assert_eq!(hex::encode(minicbor::to_vec(of(Some(5))).unwrap()), "a10105");
    }

    #[test]
    fn subscriptions_are_bounded_and_named_once() {
        let check = |names: Vec<String>| {
            Provisions { subscriptions: names, ..Provisions::default() }.check()
        };
        let numbered = |count: usize| (0..count).map(|number| number.to_string()).collect();
        assert_eq!(check(numbered(SUBSCRIPTIONS_MAX)), Ok(()));
        assert!(check(numbered(SUBSCRIPTIONS_MAX + 1)).unwrap_err().contains("the most is 16"));
        assert!(check(vec!["a".into(), "a".into()]).unwrap_err().contains("twice"));
        assert!(check(vec![String::new()]).is_err() && check(vec!["x".repeat(65)]).is_err());
        let subscriptions = vec!["speed".to_owned()];
        let bytes = minicbor::to_vec(Provisions { subscriptions, ..Provisions::default() });
        assert_eq!(hex::encode(bytes.unwrap()), "a10281657370656564");
        let actuators = vec!["fan".to_owned()];
        let bytes = minicbor::to_vec(Provisions { actuators, ..Provisions::default() });
        assert_eq!(hex::encode(bytes.unwrap()), "a103816366616e");
    }

    #[test]
    fn a_configuration_has_bounds() {
        let text = |bytes| "x".repeat(bytes);
        assert_eq!(check(vec![entry(&text(64), &text(512))]), Ok(()));
        assert!(check(vec![entry(&text(65), "")]).unwrap_err().contains("65 bytes"));
        assert!(check(vec![entry("", "")]).is_err());
        assert!(check(vec![entry("a\n", "")]).is_err());
        assert!(check(vec![entry("a", &text(513))]).unwrap_err().contains("\"a\""));
        assert!(check(vec![entry("a", ""), entry("a", "")]).unwrap_err().contains("twice"));
        let many = |count: usize, bytes| -> Vec<ConfigEntry> {
            (0..count).map(|n| entry(&format!("{n:02}"), &text(bytes))).collect()
        };
        assert_eq!(check(many(32, 126)), Ok(()));
        assert!(check(many(33, 0)).unwrap_err().contains("33 entries"));
        assert!(check(many(32, 127)).unwrap_err().contains("4128 bytes"));
    }
}
