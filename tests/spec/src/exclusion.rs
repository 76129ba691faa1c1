//! Why a directive is not a test of this compiler on this runtime. There are no other
//! reasons.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusion {
    /// A module imports from another module of the script, or is registered for that;
    /// no instance on a device is linked to another.
    Linked,
    /// WAMR gives AoT modules imported functions and nothing else.
    OtherImport,
    /// Named as the compiler's refusal names it.
    ProposalOff(&'static str),
    ProposalOffOn {
        proposal: &'static str,
        arch: &'static str,
    },
    /// With the test that reproduces it.
    WamrBug {
        what: &'static str,
        reproducer: &'static str,
    },
}

impl Exclusion {
    /// WAMR ends a name at its first NUL. Exports with such names are taken out of
    /// their module, and what calls them is excluded.
    pub const NUL_NAME: Self = Self::WamrBug {
        what: "it ends names at a NUL",
        reproducer: "crates/wamr/tests/wamr_bugs.rs",
    };

    /// WebAssembly allows a table of 2^32 - 1 entries.
    pub const HUGE_TABLE: Self = Self::WamrBug {
        what: "it allocates no instance of 4 GiB or more, with 8 bytes for a table's entry",
        reproducer: "crates/wamr/tests/wamr_bugs.rs",
    };
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linked => write!(f, "it links instances to each other"),
            Self::OtherImport => {
                write!(f, "it imports a memory, table or global, which WAMR cannot host")
            }
            Self::ProposalOff(proposal) => write!(f, "the proposal {proposal} is off"),
            Self::ProposalOffOn { proposal, arch } => {
                write!(f, "the proposal {proposal} is off on {arch}")
            }
            Self::WamrBug { what, reproducer } => {
                write!(f, "a bug of WAMR: {what} ({reproducer})")
            }
        }
    }
}
