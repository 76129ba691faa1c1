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
    #[cbor(n(6), skip_if = "Vec::is_empty")]
    pub directories: Vec<WasiDirectory>,
}

/// Most directories of one module.
pub const WASI_DIRECTORIES_MAX: usize = 8;
/// Longest path by which a program finds one.
pub const WASI_GUEST_PATH_BYTES_MAX: usize = 128;
/// Most that one of a module's own may hold.
pub const WASI_DIRECTORY_BYTES_MAX: u32 = 64 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct WasiDirectory {
    /// Where the program finds it.
    #[n(0)]
    pub guest: String,
    #[n(1)]
    pub place: WasiPlace,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum WasiPlace {
    /// Of this module alone, on the device's disk.
    #[n(0)]
    Private {
        #[n(0)]
        bytes_max: u32,
    },
    /// One that the device's owner has given this name.
    #[n(1)]
    Host {
        #[n(0)]
        name: String,
        #[n(1)]
        read_only: bool,
    },
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
        check_directories(&self.directories)
    }
}

fn check_directories(directories: &[WasiDirectory]) -> Result<(), String> {
    if directories.len() > WASI_DIRECTORIES_MAX {
        let count = directories.len();
        return Err(format!("there are {count} directories; the most is {WASI_DIRECTORIES_MAX}"));
    }
    for (index, WasiDirectory { guest, place }) in directories.iter().enumerate() {
        if !is_guest_path(guest) {
            return Err(format!(
                "{guest:?} is no path for a directory: it begins with '/', has at most \
                 {WASI_GUEST_PATH_BYTES_MAX} bytes, and no part of it is empty, '.' or '..'"
            ));
        }
        if directories[..index].iter().any(|other| other.guest == *guest) {
            return Err(format!("there are two directories at {guest:?}"));
        }
        match place {
            WasiPlace::Private { bytes_max }
                if !(1..=WASI_DIRECTORY_BYTES_MAX).contains(bytes_max) =>
            {
                return Err(format!(
                    "the directory {guest:?} is to hold {bytes_max} bytes; it needs 1 to \
                     {WASI_DIRECTORY_BYTES_MAX}"
                ));
            }
            WasiPlace::Host { name, .. } if name.is_empty() || name.len() > 64 => {
                return Err(format!("the directory {guest:?} needs a name of 1 to 64 bytes"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The root, or names after slashes.
fn is_guest_path(path: &str) -> bool {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(char::is_control);
    let Some(rest) = path.strip_prefix('/') else { return false };
    path.len() <= WASI_GUEST_PATH_BYTES_MAX && (rest.is_empty() || rest.split('/').all(is_name))
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
            directories: vec![],
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
    fn directories_have_paths_names_and_bounds() {
        let private = |guest: &str, bytes_max| WasiDirectory {
            guest: guest.into(),
            place: WasiPlace::Private { bytes_max },
        };
        let host = |name: &str| WasiDirectory {
            guest: "/h".into(),
            place: WasiPlace::Host { name: name.into(), read_only: true },
        };
        let of = |directories| WasiProvisions { directories, ..WasiProvisions::default() };
        let check = |directories| of(directories).check();
        assert_eq!(check(vec![private("/data", 1), private("/", 64 << 20), host("site")]), Ok(()));
        for wrong in
            ["", "data", "/data/", "/a//b", "/a/../b", "/.", &format!("/{}", "x".repeat(128))]
        {
            assert!(check(vec![private(wrong, 1)]).is_err(), "{wrong}");
        }
        assert!(check(vec![private("/a", 0)]).is_err() && check(vec![host("")]).is_err());
        assert!(check(vec![private("/a", (64 << 20) + 1)]).unwrap_err().contains("67108865"));
        assert!(check(vec![private("/a", 1), private("/a", 1)]).unwrap_err().contains("two"));
        let many = (0..9).map(|n| private(&format!("/{n}"), 1)).collect();
        assert!(check(many).unwrap_err().contains("9 directories"));
        let bytes = minicbor::to_vec(of(vec![private("/d", 5), host("s")])).unwrap();
        assert_eq!(hex::encode(bytes), "a1068282622f648200810582622f688201826173f5");
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
