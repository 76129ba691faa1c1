//! Modules that others published.
//!
//! One must have the hash of the list, so it makes no difference where the client of a
//! registry was told to look. Nothing of a package is executed.

use crate::list::Published;
use anyhow::{Context, ensure};
use guest_toolchains::Registry;
use sha2::{Digest, Sha256};

/// The module of a package.
pub fn module(registry: Registry, published: &Published) -> anyhow::Result<Vec<u8>> {
    let folder = guest_toolchains::unpacked(
        &crate::cache(),
        registry,
        &published.package,
        &published.version,
    )?;
    let path = folder.join(&published.file);
    let module = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let hash = hex::encode(Sha256::digest(&module));
    ensure!(
        hash == published.sha256,
        "{} of {} {} has the hash {hash}, the list says {}",
        published.file,
        published.package,
        published.version,
        published.sha256
    );
    Ok(module)
}
