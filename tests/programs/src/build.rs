//! Sources of ours → modules, by the compilers of other languages.
//!
//! Their output is not kept in the repository and has no hash in the list: the
//! program's known output is what is held.

use crate::list::Source;
use crate::published;
use anyhow::Context;
use guest_toolchains::{Registry, Toolchains};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// One compiler at a time: they fetch themselves at first, and share caches.
static BUILDING: Mutex<()> = Mutex::new(());

/// The module of a program.
pub fn module(name: &str, source: &Source) -> anyhow::Result<Vec<u8>> {
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let tools = Toolchains::new(crate::cache());
    let sources = crate::folder().join("sources");
    let (built, at) = (output(name)?, |file: &str| sources.join(file));
    let built = match source {
        Source::Npm(module) => return published::module(Registry::Npm, module),
        Source::Pip(module) => return published::module(Registry::Pip, module),
        Source::Rust { folder, target } => tools.rust(&at(folder), target, &[])?,
        Source::Zig { file, target } if file.ends_with(".zig") => {
            tools.zig(&at(file), target, &[], &built)?
        }
        Source::Zig { file, target } => tools.c(&at(file), target, &["-O2", "-s"], &built)?,
        Source::AssemblyScript { file } => {
            let flags = ["-O3", "--runtime", "minimal"];
            tools.assembly_script(&at("assemblyscript"), &at(file), &flags, &built)?
        }
        Source::Go { file } => tools.go(&at(file), &built)?,
    };
    std::fs::read(&built).with_context(|| format!("read {}", built.display()))
}

/// Where a build puts its module.
fn output(name: &str) -> anyhow::Result<PathBuf> {
    let folder = crate::cache().join("built");
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder.join(format!("{name}.wasm")))
}
