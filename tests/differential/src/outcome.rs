//! What can be seen of one step, in words that all engines share.

use executor::Value;
use std::fmt;

/// Kinds of traps. The specification's texts tell more of them apart than engines do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrapKind {
    Unreachable,
    Memory,
    Table,
    UninitializedElement,
    IndirectCallType,
    DivisionByZero,
    IntegerOverflow,
    ConversionToInteger,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Returned(Vec<Value>),
    Trapped(TrapKind),
    /// By a segment out of range or a trap of the start function, which WAMR tells in
    /// words of its own. The script is at its end.
    NotInstantiated,
    /// A limit of the engine, such as its stack: nothing can be compared from here on.
    Limit(String),
    /// What no engine should do: it died, timed out or refused.
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub ending: Ending,
    pub printed: Vec<u8>,
    pub globals: Vec<Value>,
    pub memory_bytes: u64,
    pub memory_sha256: Vec<u8>,
}

impl Seen {
    /// With nothing to look at behind it.
    pub fn only(ending: Ending) -> Self {
        let (printed, globals, memory_sha256) = (Vec::new(), Vec::new(), Vec::new());
        Self { ending, printed, globals, memory_bytes: 0, memory_sha256 }
    }

    pub fn is_last(&self) -> bool {
        matches!(self.ending, Ending::Limit(_) | Ending::NotInstantiated | Ending::Failed(_))
    }

    pub fn is_limit(&self) -> bool {
        matches!(self.ending, Ending::Limit(_))
    }

    pub fn is_failure(&self) -> bool {
        matches!(self.ending, Ending::Failed(_))
    }

    pub fn is_trap(&self) -> bool {
        matches!(self.ending, Ending::Trapped(_))
    }

    /// What differs, or None.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.ending != other.ending {
            return Some(format!("{} or {}", self.ending, other.ending));
        }
        if self.printed != other.printed {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Some(format!(
                "printed {:?} or {:?}",
                text(&self.printed),
                text(&other.printed)
            ));
        }
        if self.globals != other.globals {
            return Some(format!("globals {:?} or {:?}", self.globals, other.globals));
        }
        if self.memory_bytes != other.memory_bytes {
            return Some(format!(
                "memory of {} or {} bytes",
                self.memory_bytes, other.memory_bytes
            ));
        }
        (self.memory_sha256 != other.memory_sha256).then(|| "other bytes in memory".to_owned())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned(values) => write!(f, "results {values:x?}"),
            Self::Trapped(kind) => write!(f, "trap {kind:?}"),
            Self::NotInstantiated => write!(f, "not instantiated"),
            Self::Limit(why) => write!(f, "limit ({why})"),
            Self::Failed(why) => write!(f, "failure ({why})"),
        }
    }
}

/// References of different engines have nothing in common but whether they are null.
pub fn comparable(value: Value) -> Value {
    match value {
        Value::FuncRef(Some(_)) => Value::FuncRef(Some(0)),
        Value::ExternRef(Some(_)) => Value::ExternRef(Some(0)),
        other => other,
    }
}
