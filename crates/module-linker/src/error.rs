//! Why modules cannot be linked: which of them, what in it, and what to do.

use crate::{INPUT_BYTES_MAX, LIBRARIES_MAX, LINK_NAME_BYTES_MAX};
use std::fmt;

/// Longest part of a foreign name in a message.
const SHOWN_CHARS_MAX: usize = 80;

/// Most names of a list in a message.
const LISTED_MAX: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("{count} libraries are too many: {LIBRARIES_MAX} are the most")]
    TooManyLibraries { count: usize },
    #[error("the modules have more than {INPUT_BYTES_MAX} bytes together; strip or split them")]
    TooLarge,
    #[error(
        "{name:?} is no link name: use 1 to {LINK_NAME_BYTES_MAX} letters, digits, '-', '_', '.' or '/'"
    )]
    BadName { name: String },
    #[error("the link name {name:?} is what devices offer themselves; choose another one")]
    ReservedName { name: String },
    #[error("two libraries have the link name {name:?}; give each another one")]
    DuplicateName { name: String },
    #[error("{module} does not begin as a WebAssembly module does, with \\0asm")]
    NotWasm { module: Who },
    #[error("{module} is not valid: {message} (at offset {offset:#x})")]
    Invalid { module: Who, message: String, offset: u64 },
    #[error(
        "{module} is an object file, which has addresses still to be filled in; make a module of it \
         with wasm-ld first"
    )]
    ObjectFile { module: Who },
    #[error(
        "{module} is a position-independent shared library (it has a section dylink.0); build it at \
         an address of its own instead, with --import-memory and --global-base"
    )]
    DynamicLibrary { module: Who },
    #[error("no module imports anything from {name:?}; imports are from {}", list(.from))]
    NotImported { name: String, from: Vec<String> },
    #[error(
        "{module} imports {kind} {import:?} from {library:?}, which does not export it; it exports {}",
        list(.exports)
    )]
    Unresolved {
        module: Who,
        kind: &'static str,
        import: String,
        library: String,
        exports: Vec<String>,
    },
    #[error(
        "{module} imports {import:?} from {library:?} as {wanted}, and there it is {found}; declare \
         it as it is there"
    )]
    TypeMismatch { module: Who, import: String, library: String, wanted: String, found: String },
    #[error(
        "modules import from each other in a circle: {}; put what both need into a module of its own",
        .circle.join(" from ")
    )]
    Cyclic { circle: Vec<String> },
    #[error(
        "{first} and {second} each have a memory of their own, and one module has one; build one of \
         them with --import-memory, --no-stack-first and a --global-base behind the other's memory"
    )]
    TwoMemories { first: Who, second: Who },
    #[error(
        "{module} imports its memory as {import}, and no module has one of its own; build the main \
         module with a memory"
    )]
    NoMemory { module: Who, import: String },
    #[error(
        "the memory has to have {required_pages} pages at least for {module}, and {limited_by} lets \
         it have {allowed_pages} at most"
    )]
    MemoryTooSmall { module: Who, required_pages: u64, limited_by: Who, allowed_pages: u64 },
    #[error(
        "{first} and {second} are in each other's way in the memory that they share: {first} has \
         bytes {} to {}, {second} has {} to {}; build the library with --global-base={advised} or more",
        .first_range.0, .first_range.1, .second_range.0, .second_range.1
    )]
    Overlap {
        first: Who,
        first_range: (u64, u64),
        second: Who,
        second_range: (u64, u64),
        advised: u64,
    },
    #[error(
        "{module} shares a memory and has its stack before its data, so that nobody can say where \
         the stack ends; build it with --no-stack-first and a --global-base of its own"
    )]
    StackFirst { module: Who },
    #[error(
        "{module} shares a memory and has a stack, and nothing says where that ends; build it with \
         --export=__data_end and --export=__heap_base"
    )]
    StackUnknown { module: Who },
    #[error(
        "{module} shares a memory and puts data at an address that is not a constant; build it at an \
         address of its own, with --global-base"
    )]
    AddressUnknown { module: Who },
    #[error(
        "the constants of the modules use each other so often that they would become too large"
    )]
    ConstantsTooLarge,
    #[error("a bug of the linker: {message}; report it, with the modules")]
    Bug { message: String },
}

/// The main module or a library, in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who(pub(crate) Option<String>);

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("the main module"),
            Some(name) => write!(f, "the library {name:?}"),
        }
    }
}

/// Names come from strangers and can have megabytes.
pub fn shorten(name: &str) -> String {
    match name.char_indices().nth(SHOWN_CHARS_MAX) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

fn list(names: &[String]) -> String {
    let shown: Vec<String> =
        names.iter().take(LISTED_MAX).map(|name| format!("{:?}", shorten(name))).collect();
    match names.len() {
        0 => "nothing".to_owned(),
        count if count > LISTED_MAX => format!("{} and more", shown.join(", ")),
        _ => shown.join(", "),
    }
}
