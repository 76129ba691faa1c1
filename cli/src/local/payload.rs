//! Payloads as people write them: `u8:1`, `f64:20.5`, `text:open`, `hex:0a0b`, or several
//! of them with spaces in between, one after the other without gaps.

use std::str::FromStr;

/// A payload and how it was written, so that another one can be shown the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    kind: Kind,
    bytes: Vec<u8>,
}

/// Numbers are little-endian, as WebAssembly stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number(&'static str),
    Text,
    Hex,
}

macro_rules! numbers {
    ($($name:ident),*) => {
        const NUMBERS: &[&str] = &[$(stringify!($name)),*];

        fn number_bytes(kind: &str, number: &str) -> Option<Vec<u8>> {
            match kind {
                $(stringify!($name) => {
                    number.parse::<$name>().ok().map(|number| number.to_le_bytes().to_vec())
                })*
                _ => None,
            }
        }

        fn number_text(kind: &str, bytes: &[u8]) -> Option<String> {
            match kind {
                $(stringify!($name) => {
                    bytes.try_into().ok().map(|bytes| $name::from_le_bytes(bytes).to_string())
                })*
                _ => None,
            }
        }
    };
}

numbers!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = vec![];
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (kind, after) = rest.split_once(':').ok_or_else(|| refuse(rest))?;
            if kind == "text" {
                // A text may have spaces, so it is the last.
                parts.push(Part { kind: Kind::Text, bytes: after.as_bytes().to_vec() });
                break;
            }
            let (value, next) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
            parts.push(Part::read(kind, value).ok_or_else(|| refuse(rest))?);
            rest = next.trim_start();
        }
        Ok(Self { parts })
    }
}

fn refuse(what: &str) -> String {
    format!(
        "{:?} is no payload: write {} or hex with a colon and the value, several with spaces \
         between them, and text:… as the last",
        what.chars().take(40).collect::<String>(),
        NUMBERS.join(", ")
    )
}

impl Part {
    fn read(kind: &str, value: &str) -> Option<Self> {
        if kind == "hex" {
            return hex::decode(value).ok().map(|bytes| Self { kind: Kind::Hex, bytes });
        }
        let name = NUMBERS.iter().find(|name| **name == kind)?;
        let bytes = number_bytes(name, value)?;
        Some(Self { kind: Kind::Number(name), bytes })
    }
}

impl Payload {
    pub fn bytes(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|part| part.bytes.iter().copied()).collect()
    }

    /// Other bytes in the spelling of this one, as far as they fit it.
    pub fn spell(&self, bytes: &[u8]) -> String {
        let mut rest = bytes;
        let mut words = vec![];
        for (index, part) in self.parts.iter().enumerate() {
            let is_last = index + 1 == self.parts.len();
            let is_open = part.kind == Kind::Text || (part.kind == Kind::Hex && is_last);
            let len = if is_open { rest.len() } else { part.bytes.len() };
            let Some((own, after)) = rest.split_at_checked(len) else { return plain(bytes) };
            let Some(word) = part.kind.spell(own) else { return plain(bytes) };
            words.push(word);
            rest = after;
        }
        if rest.is_empty() && !words.is_empty() { words.join(" ") } else { plain(bytes) }
    }
}

impl Kind {
    fn spell(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Number(kind) => number_text(kind, bytes).map(|number| format!("{kind}:{number}")),
            Self::Text => std::str::from_utf8(bytes).ok().map(|text| format!("text:{text}")),
            Self::Hex => Some(format!("hex:{}", hex::encode(bytes))),
        }
    }
}

/// Where nothing is known of what was meant.
pub fn plain(bytes: &[u8]) -> String {
    let is_text = |text: &&str| !text.is_empty() && !text.contains(char::is_control);
    match std::str::from_utf8(bytes).ok().filter(is_text) {
        Some(text) => format!("text:{text}"),
        None => format!("hex:{}", hex::encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(text: &str) -> Vec<u8> {
        text.parse::<Payload>().unwrap().bytes()
    }

    #[test]
    fn payloads_are_numbers_bytes_and_text_one_after_the_other() {
        assert_eq!(bytes_of("u8:255"), [255]);
        assert_eq!(bytes_of("i16:-2"), [0xfe, 0xff]);
        assert_eq!(bytes_of("f64:1.5"), 1.5f64.to_le_bytes());
        assert_eq!(bytes_of("u8:1  u16:2 hex:0a0b"), [1, 2, 0, 10, 11]);
        assert_eq!(bytes_of("u8:1 text:a b:c"), *b"\x01a b:c");
        assert_eq!(bytes_of(""), *b"");
        for wrong in ["5", "u8", "u8:", "u8:256", "u8:-1", "u9:1", "hex:0", "hex:zz", "f64:x"] {
            let refused = wrong.parse::<Payload>().unwrap_err();
            assert!(refused.contains(wrong) && refused.contains("u8, i8"), "{refused}");
        }
    }

    #[test]
    fn other_bytes_are_shown_in_the_spelling_that_was_expected() {
        let spell =
            |expected: &str, found: &[u8]| expected.parse::<Payload>().unwrap().spell(found);
        assert_eq!(spell("f64:1", &2.5f64.to_le_bytes()), "f64:2.5");
        assert_eq!(spell("u8:1 i16:5", &[7, 0xff, 0xff]), "u8:7 i16:-1");
        assert_eq!(spell("u8:1 text:open", b"\x02closed"), "u8:2 text:closed");
        assert_eq!(spell("hex:00", &[1, 2]), "hex:0102");
        // Too short, too long, or no text.
        assert_eq!(spell("f64:1", b"warm"), "text:warm");
        assert_eq!(spell("u8:1", &[1, 2]), "hex:0102");
        assert_eq!(spell("text:a", &[0xff]), "hex:ff");
        assert_eq!(spell("", &[1]), "hex:01");
    }
}
