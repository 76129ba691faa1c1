//! Why a file cannot be read: in which section, at which byte, what is wrong there.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the AoT file's {section} is damaged at byte {offset:#x}: {problem}")]
pub struct Damage {
    /// "text section"
    pub section: &'static str,
    /// From the start of the file.
    pub offset: usize,
    pub problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the file is not an AoT file: it does not start with \\0aot")]
    NotAot,
    #[error("the file has AoT version {0}, and this reads version {own}", own = crate::AOT_VERSION)]
    Version(u32),
    #[error("the AoT file has no {0}")]
    Missing(&'static str),
    #[error(transparent)]
    Damaged(#[from] Damage),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It ends inside of this.
    Ends(&'static str),
    /// A value which the format does not have.
    Value { what: &'static str, found: u64 },
    /// An index or offset that leads nowhere.
    OutOfRange { what: &'static str, found: u64, limit: u64 },
    /// A name without its final NUL, or not UTF-8.
    Name,
    /// Bytes after the last item.
    Trailing,
    /// A section that may not stand here.
    Order,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends(what) => write!(f, "it ends inside {what}"),
            Self::Value { what, found } => write!(f, "there is no {what} {found:#x}"),
            Self::OutOfRange { what, found, limit } => {
                write!(f, "{what} {found} is beyond {limit}")
            }
            Self::Name => f.write_str("a name is not UTF-8 text that ends with NUL"),
            Self::Trailing => f.write_str("bytes are left after its last item"),
            Self::Order => f.write_str("it stands in the wrong place; sections 0 to 5 come once each, in order, and then custom ones"),
        }
    }
}
