//! Several WebAssembly modules → one, before it is compiled: WAMR links nothing that was
//! compiled ahead of time.
//!
//! A main module is linked with libraries, each under a *link name*. What a module
//! imports from a link name becomes that library's export; all other imports stay, for
//! the device to offer. The result exports what the main module exports. The same bytes
//! under the same names give the same result on every machine, so whoever has the inputs
//! can check it.
//!
//! [`link`] reads and validates all inputs (`read`), decides what each import is and in
//! which order the modules come (`resolve`), checks that modules which share a memory
//! keep apart in it (`layout`), and writes all of them with their new indices (`encode`).
//! docs/linking.md is for people who build modules.
//!
//! There is one memory at most, because WAMR has no more. It does not link object files,
//! moves nothing in memory, removes no function, and knows no host.

mod constant;
mod encode;
mod error;
mod layout;
mod names;
mod read;
mod resolve;
mod stack_pointer;

pub use error::LinkError;
pub use read::LINKABLE;

/// Most libraries of one module.
pub const LIBRARIES_MAX: usize = 16;

/// All inputs together: as much as the compiler takes of one module.
pub const INPUT_BYTES_MAX: usize = 32 << 20;

/// Longest link name.
pub const LINK_NAME_BYTES_MAX: usize = 64;

/// Link names that would hide what the device offers.
pub const RESERVED_NAMES: [&str; 2] = ["farrier", "wasi_snapshot_preview1"];

/// What constant expressions may grow by, all together: each use of another module's
/// constant is replaced with its calculation.
const CONSTANT_BYTES_MAX: usize = 1 << 20;

/// A module, and what the others call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Library<'a> {
    pub name: &'a str,
    pub wasm: &'a [u8],
}

/// One module of the main module and its libraries. Their order makes no difference.
pub fn link(main: &[u8], libraries: &[Library<'_>]) -> Result<Vec<u8>, LinkError> {
    check_inputs(main, libraries)?;
    let mut modules = Vec::new();
    let mut sorted: Vec<&Library<'_>> = libraries.iter().collect();
    sorted.sort_by_key(|library| library.name);
    for library in sorted {
        modules.push(read::read(Some(library.name), library.wasm)?);
    }
    modules.push(read::read(None, main)?);
    let plan = resolve::resolve(&modules)?;
    let (linked, constants) = encode::encode(&modules, &plan)?;
    layout::check(&modules, &plan, &constants)?;
    // What was forgotten here should not be the device's to find.
    read::validate(&linked)
        .map_err(|error| LinkError::Bug { message: error.message().to_owned() })?;
    Ok(linked)
}

fn check_inputs(main: &[u8], libraries: &[Library<'_>]) -> Result<(), LinkError> {
    if libraries.len() > LIBRARIES_MAX {
        return Err(LinkError::TooManyLibraries { count: libraries.len() });
    }
    let bytes: usize = libraries.iter().map(|library| library.wasm.len()).sum();
    if bytes.saturating_add(main.len()) > INPUT_BYTES_MAX {
        return Err(LinkError::TooLarge);
    }
    for (index, library) in libraries.iter().enumerate() {
        check_name(library.name)?;
        if libraries[..index].iter().any(|other| other.name == library.name) {
            return Err(LinkError::DuplicateName { name: library.name.to_owned() });
        }
    }
    Ok(())
}

/// Whether a library may be called so.
pub fn check_name(name: &str) -> Result<(), LinkError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if name.is_empty() || name.len() > LINK_NAME_BYTES_MAX || !name.chars().all(is_plain) {
        return Err(LinkError::BadName { name: error::shorten(name) });
    }
    if RESERVED_NAMES.contains(&name) {
        return Err(LinkError::ReservedName { name: name.to_owned() });
    }
    Ok(())
}
