//! The note that metering leaves in a module, and the compiler passes on in the file.
//!
//! The compiler's metering pass writes it into the Wasm module as a custom section
//! called [`SECTION_NAME`], then into the AoT file under the same name; `wamr` reads
//! it there, so that a host knows what instantiation costs before it happens.
//!
//! ```text
//! farrier-metering 1
//! cost-table 1
//! charge-function 12
//! used-global 3
//! limit-global 4
//! instantiation-gas 8192
//! start yes
//! ```
//!
//! The note is no proof that a module is metered: that is the signed policy.

/// Of the custom section, in the Wasm module and in the AoT file.
pub const SECTION_NAME: &str = "farrier.metering";

/// Exported mutable i64: gas used since instantiation, and with it.
pub const EXPORT_GAS_USED: &str = "farrier_gas_used";
/// Exported mutable i64: code runs until more than this is used. 0 at first, so that
/// nothing runs before the host has set it.
pub const EXPORT_GAS_LIMIT: &str = "farrier_gas_limit";
/// The module's start function, which the host calls once it has set the limit.
pub const EXPORT_START: &str = "farrier_start";

/// Names that a module to be metered must not export itself.
pub const RESERVED_EXPORTS: [&str; 3] = [EXPORT_GAS_USED, EXPORT_GAS_LIMIT, EXPORT_START];

/// The highest limit. The sum of it and of one charge, at most 2^45, cannot wrap
/// around 2^64, so an unlimited module stays so and a limited one never starts anew.
pub const GAS_LIMIT_MAX: u64 = i64::MAX as u64;

/// Longest note that is read.
pub const NOTE_BYTES_MAX: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeteringNote {
    pub cost_table_version: u32,
    /// Index of the function that takes a charge.
    pub charge_function: u32,
    pub used_global: u32,
    pub limit_global: u32,
    /// What `farrier_gas_used` starts with: the charge for memory, tables and segments.
    pub instantiation_gas: u64,
    /// Whether there is a start function, exported as [`EXPORT_START`].
    pub has_start: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeteringNoteError {
    #[error("the metering note is {0} bytes, more than {NOTE_BYTES_MAX}")]
    TooLong(usize),
    #[error("the metering note is not UTF-8 text")]
    NotText,
    #[error("line {line} of the metering note should be \"{expected} …\" with a value that fits")]
    Line { line: usize, expected: &'static str },
    #[error("the metering note has the unknown version {0:?}; this build reads version 1")]
    Version(String),
}

impl MeteringNote {
    pub fn to_bytes(&self) -> Vec<u8> {
        format!(
            "farrier-metering 1\ncost-table {}\ncharge-function {}\nused-global {}\n\
             limit-global {}\ninstantiation-gas {}\nstart {}\n",
            self.cost_table_version,
            self.charge_function,
            self.used_global,
            self.limit_global,
            self.instantiation_gas,
            if self.has_start { "yes" } else { "no" }
        )
        .into_bytes()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MeteringNoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(MeteringNoteError::TooLong(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| MeteringNoteError::NotText)?;
        let mut lines = Lines { lines: text.split('\n'), line: 0 };
        let version = lines.value("farrier-metering")?;
        if version != "1" {
            return Err(MeteringNoteError::Version(version.to_owned()));
        }
        Ok(Self {
            cost_table_version: lines.number("cost-table")?,
            charge_function: lines.number("charge-function")?,
            used_global: lines.number("used-global")?,
            limit_global: lines.number("limit-global")?,
            instantiation_gas: lines.number("instantiation-gas")?,
            has_start: match lines.value("start")? {
                "yes" => true,
                "no" => false,
                _ => return Err(lines.error("start")),
            },
        })
    }
}

struct Lines<'a> {
    lines: std::str::Split<'a, char>,
    line: usize,
}

impl<'a> Lines<'a> {
    fn value(&mut self, key: &'static str) -> Result<&'a str, MeteringNoteError> {
        self.line += 1;
        let value = self.lines.next().and_then(|line| line.strip_prefix(key)?.strip_prefix(' '));
        value.ok_or_else(|| self.error(key))
    }

    fn number<T: std::str::FromStr>(&mut self, key: &'static str) -> Result<T, MeteringNoteError> {
        let value = self.value(key)?;
        value.parse().map_err(|_| self.error(key))
    }

    fn error(&self, expected: &'static str) -> MeteringNoteError {
        MeteringNoteError::Line { line: self.line, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> MeteringNote {
        MeteringNote {
            cost_table_version: 1,
            charge_function: 12,
            used_global: 3,
            limit_global: 4,
            instantiation_gas: u64::MAX,
            has_start: true,
        }
    }

    #[test]
    fn a_note_survives_the_round_trip() {
        for note in [example(), MeteringNote { has_start: false, ..example() }] {
            assert_eq!(MeteringNote::from_bytes(&note.to_bytes()), Ok(note));
        }
    }

    #[test]
    fn a_damaged_note_is_refused_by_line() {
        let text = String::from_utf8(example().to_bytes()).unwrap();
        let refusal = |from: &str, to: &str| {
            MeteringNote::from_bytes(text.replace(from, to).as_bytes()).unwrap_err().to_string()
        };
        let line = |line, key: &str| {
            format!("line {line} of the metering note should be \"{key} …\" with a value that fits")
        };
        assert_eq!(refusal("used-global 3", "used 3"), line(4, "used-global"));
        assert_eq!(refusal("limit-global 4", "limit-global -4"), line(5, "limit-global"));
        assert_eq!(refusal("start yes", "start maybe"), line(7, "start"));
        assert!(refusal("metering 1", "metering 2").contains("unknown version \"2\""));
        assert!(MeteringNote::from_bytes(b"").is_err());
        assert!(MeteringNote::from_bytes(&[b'a'; NOTE_BYTES_MAX + 1]).is_err());
    }
}
