//! Builds the example modules into a folder, compilers and all.
//!
//! ```text
//! guest-toolchains WORKSPACE TO
//! ```

use anyhow::bail;
use guest_toolchains::{Toolchains, firmware};
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [workspace, to] = arguments.as_slice() else {
        bail!("usage: guest-toolchains WORKSPACE TO");
    };
    let workspace = &std::path::absolute(workspace)?;
    // Shared with the real programs, which need the same compilers.
    let tools = Toolchains::new(workspace.join("target/programs"));
    firmware::build(workspace, &tools, to)
}
