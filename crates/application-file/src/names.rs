//! Names, and the one that was probably meant.

use std::ops::RangeInclusive;

const NAME_BYTES_MAX: usize = 64;
/// Of sensors and channels.
const GRANT_NAME_BYTES_MAX: usize = 64;

pub const NAME_RULE: &str = "use 1 to 64 lower-case letters, digits or '-'";
pub const GRANT_NAME_RULE: &str = "use 1 to 64 letters, digits, '-', '_', '.' or '/'";

/// Whether it can be the name of an application or a module.
pub fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    has_length(name, 1..=NAME_BYTES_MAX) && name.chars().all(is_allowed)
}

/// Whether it can be the name of a sensor or a channel.
pub fn is_grant_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    has_length(name, 1..=GRANT_NAME_BYTES_MAX) && name.chars().all(is_allowed)
}

pub const CAPABILITY_RULE: &str = "use 1 to 64 letters, digits, '-', '_', '.', '/' or ':'";

/// Whether it can be an accelerator, or a label's key or value.
pub fn is_capability(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    has_length(text, 1..=GRANT_NAME_BYTES_MAX) && text.chars().all(is_allowed)
}

pub const LINK_NAME_RULE: &str =
    "use 1 to 64 letters, digits, '-', '_', '.' or '/', and no name of what devices offer";

/// Whether a library can be imported as this: `module_linker::check_name` says the same.
pub fn is_link_name(name: &str) -> bool {
    is_grant_name(name) && !["farrier", "wasi_snapshot_preview1"].contains(&name)
}

fn has_length(name: &str, bytes: RangeInclusive<usize>) -> bool {
    bytes.contains(&name.len())
}

/// The one that is so near that it was probably meant.
pub fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer ones are no slips, and comparing takes the product of the lengths.
    if name.len() > 2 * NAME_BYTES_MAX {
        return None;
    }
    let plain = |text: &str| text.replace('-', "_").to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&plain(name), &plain(other));
    let near = among.map(|other| (distance(other), other)).min_by_key(|(distance, _)| *distance)?;
    let is_near = near.0 <= 2 && near.0 * 2 < name.len().max(2);
    is_near.then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_what_was_meant_and_another_word_does_not() {
        let fields = ["sensors", "any_of", "interval_ms"];
        let find = |name| nearest(name, fields.into_iter());
        assert_eq!(find("sensor"), Some("sensors"));
        assert_eq!(find("any-of"), Some("any_of"));
        assert_eq!(find("interval_sm"), Some("interval_ms"));
        assert_eq!(find("colour"), None);
        assert_eq!(find(""), None);
        assert_eq!(find(&"x".repeat(10_000)), None);
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("a") && is_name("filter-2") && is_name(&"a".repeat(64)));
        assert!(!is_name("") && !is_name("A") && !is_name("a/b") && !is_name(&"a".repeat(65)));
        assert!(is_grant_name("hall/temp_1.x") && !is_grant_name("a b") && !is_grant_name("ä"));
    }
}
