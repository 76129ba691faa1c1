//! What can be said about a file before it is sent: is it Wasm at all, and is
//! it within the limit. The gateway checks everything again, and the rest.

use crate::format;

const MAGIC: [u8; 4] = *b"\0asm";
const CORE_VERSION: [u8; 4] = [1, 0, 0, 0];
/// The first bytes of a file that [`check`] wants to see.
pub const HEADER_BYTES: usize = 8;

/// `header` holds the file's first [`HEADER_BYTES`], or all if it is shorter.
pub fn check(header: &[u8], file_bytes: u64, upload_bytes_max: u64) -> Result<(), String> {
    if file_bytes == 0 {
        return Err("The file is empty.".to_owned());
    }
    let Some((magic, version)) = header.split_at_checked(MAGIC.len()) else {
        return Err("The file is too short to be a WebAssembly module.".to_owned());
    };
    if magic != MAGIC {
        let hint =
            if header.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
                " It looks like text; compile it to .wasm first."
            } else {
                ""
            };
        return Err(format!("The file is not WebAssembly: it does not begin with \\0asm.{hint}"));
    }
    if version != CORE_VERSION {
        return Err("The file is WebAssembly, but not a core module of version 1 \
                    (perhaps a component). Build a core module."
            .to_owned());
    }
    if file_bytes > upload_bytes_max {
        return Err(format!(
            "The file has {}; this gateway takes at most {}.",
            format::bytes(file_bytes),
            format::bytes(upload_bytes_max)
        ));
    }
    Ok(())
}

/// A name for the application, made from a file's name: `Sensor Filter.wasm`
/// becomes `sensor-filter`.
pub fn suggest_name(file_name: &str) -> String {
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    let mut name = String::new();
    for character in stem.chars() {
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn a_core_module_within_the_limit_may_be_sent() {
        assert_eq!(check(MODULE, 3_000, 1_000_000), Ok(()));
    }

    #[test]
    fn other_files_are_named_for_what_they_are() {
        let text = check(b"(module ", 90, 1_000_000).unwrap_err();
        assert!(text.contains("looks like text"), "{text}");
        let image = check(b"\x89PNG\r\n\x1a\n", 90, 1_000_000).unwrap_err();
        assert!(image.contains("not WebAssembly") && !image.contains("text"), "{image}");
        let component = check(b"\0asm\x0d\0\x01\0", 90, 1_000_000).unwrap_err();
        assert!(component.contains("component"), "{component}");
    }

    #[test]
    fn short_and_long_files_are_refused() {
        assert!(check(b"", 0, 10).unwrap_err().contains("empty"));
        assert!(check(b"\0as", 3, 10).unwrap_err().contains("too short"));
        assert!(check(MODULE, 2_048, 1_024).unwrap_err().contains("2.00 KiB"));
        assert!(check(b"\0asm", 4, 10).is_err());
    }

    #[test]
    fn a_name_is_suggested_from_the_file() {
        assert_eq!(suggest_name("Sensor Filter.wasm"), "sensor-filter");
        assert_eq!(suggest_name("xxhash.wasm"), "xxhash");
        assert_eq!(suggest_name("__a__b.min.wasm"), "a-b-min");
        assert_eq!(suggest_name("ümlaut"), "mlaut");
    }
}
