//! What a deployment gives its module through WASI preview 1.

use crate::ConfigEntry;
use minicbor::{Decode, Encode};

/// Most arguments and variables, and the bytes of one, and of each kind together. A
/// manifest has 16 KiB for all applications.
pub const WASI_STRINGS_MAX: usize = 32;
pub const WASI_STRING_BYTES_MAX: usize = 512;
pub const WASI_STRINGS_BYTES_MAX: usize = 4 * 1024;

/// Everything that is not named here is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WasiProvisions {
    /// After the module's name.
    #[cbor(n(0), skip_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Variables by their names.
    #[cbor(n(1), skip_if = "Vec::is_empty")]
    pub environment: Vec<ConfigEntry>,
    /// Standard output and standard error go into its log.
    #[n(2)]
    pub log: Option<bool>,
    #[n(3)]
    pub clock: Option<bool>,
    #[n(4)]
    pub random: Option<bool>,
    /// What follows the end of a program, where it is not the usual.
    #[n(5)]
    pub restart: Option<WasiRestart>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum WasiRestart {
    /// Run again after a delay if it failed.
    #[default]
    #[n(0)]
    OnFailure,
    #[n(1)]
    Never,
    /// The same, and at its interval if all was well.
    #[n(2)]
    Always,
}

impl WasiProvisions {
    /// What is beyond its bounds, in words.
    pub fn check(&self) -> Result<(), String> {
        check_strings("argument", self.arguments.iter().map(|text| (text.as_str(), "")))?;
        let variables = self.environment.iter().map(|v| (v.key.as_str(), v.value.as_str()));
        check_strings("variable", variables)?;
        for (index, ConfigEntry { key, .. }) in self.environment.iter().enumerate() {
            if key.is_empty() || key.contains('=') {
                return Err(format!(
                    "{key:?} is no name for a variable of the environment: it needs one \
                     character or more, and no '='"
                ));
            }
            if self.environment[..index].iter().any(|other| other.key == *key) {
                return Err(format!("the environment has {key:?} twice"));
            }
        }
        Ok(())
    }
}

fn check_strings<'a>(
    what: &str,
    strings: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), String> {
    let (mut count, mut bytes) = (0, 0);
    for (first, second) in strings {
        let len = first.len() + second.len();
        (count, bytes) = (count + 1, bytes + len);
        if len > WASI_STRING_BYTES_MAX {
            return Err(format!("the {what} has {len} bytes; the most is {WASI_STRING_BYTES_MAX}"));
        }
        if first.contains('\0') || second.contains('\0') {
            return Err(format!("the {what} {first:?} has a NUL in it, which ends strings"));
        }
    }
    if count > WASI_STRINGS_MAX {
        return Err(format!("there are {count} {what}s; the most is {WASI_STRINGS_MAX}"));
    }
    if bytes > WASI_STRINGS_BYTES_MAX {
        return Err(format!(
            "the {what}s have {bytes} bytes together; the most is {WASI_STRINGS_BYTES_MAX}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Provisions;

    #[test]
    fn the_bytes_are_what_they_have_been() {
        let wasi = WasiProvisions {
            arguments: vec!["-v".into()],
            environment: vec![ConfigEntry { key: "TZ".into(), value: "UTC".into() }],
            log: Some(true),
            clock: None,
            random: Some(true),
            restart: Some(WasiRestart::Always),
        };
        let bytes = minicbor::to_vec(&wasi).unwrap();
        assert_eq!(hex::encode(&bytes), "a50081622d7601818262545a6355544302f504f50502");
        assert_eq!(minicbor::decode::<WasiProvisions>(&bytes).unwrap(), wasi);
        let provisions = Provisions { wasi: Some(wasi), ..Provisions::default() };
        let bytes = minicbor::to_vec(&provisions).unwrap();
        assert!(hex::encode(&bytes).starts_with("a1181ea5"));
        assert_eq!(minicbor::decode::<Provisions>(&bytes).unwrap(), provisions);
    }

    #[test]
    fn strings_have_bounds() {
        let arguments = |arguments: Vec<String>| {
            WasiProvisions { arguments, ..WasiProvisions::default() }.check()
        };
        assert_eq!(arguments(vec!["x".repeat(128); 32]), Ok(()));
        assert!(arguments(vec!["x".repeat(129); 32]).unwrap_err().contains("4128 bytes"));
        assert!(arguments(vec!["x".repeat(513)]).unwrap_err().contains("513 bytes"));
        assert!(arguments(vec![String::new(); 33]).unwrap_err().contains("33 arguments"));
        assert!(arguments(vec!["a\0".into()]).unwrap_err().contains("NUL"));
        let environment = |names: &[&str]| {
            let entry = |name: &&str| ConfigEntry { key: (*name).into(), value: "1".into() };
            let environment = names.iter().map(entry).collect();
            WasiProvisions { environment, ..WasiProvisions::default() }.check()
        };
        assert_eq!(environment(&["A", "B"]), Ok(()));
        assert!(environment(&["A", "A"]).unwrap_err().contains("twice"));
        assert!(environment(&[""]).is_err() && environment(&["A=B"]).is_err());
    }
}
