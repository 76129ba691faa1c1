//! Builds the example modules into a folder, compilers and all.
//!
//! ```text
//! guest-toolchains WORKSPACE TO [--with-go]
//! ```
//!
//! Go's compiler is 75 MB to fetch and a minute of building, so it is asked for by name.

use anyhow::bail;
use guest_toolchains::{Toolchains, firmware};
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (workspace, to, with_go) = match arguments.as_slice() {
        [workspace, to] => (workspace, to, false),
        [workspace, to, option] if option == "--with-go" => (workspace, to, true),
        _ => bail!("usage: guest-toolchains WORKSPACE TO [--with-go]"),
    };
    let workspace = &std::path::absolute(workspace)?;
    // Shared with the real programs, which need the same compilers.
    let tools = Toolchains::new(workspace.join("target/programs"));
    firmware::build(workspace, &tools, to)?;
    if with_go {
        firmware::build_go(workspace, &tools, to)?;
    }
    Ok(())
}
