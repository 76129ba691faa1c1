//! Brings packages into `target/programs` by their names, once.
//!
//! A module must have the hash of the list, so it makes no difference where the
//! client of a registry was told to look. Nothing of a package is executed.

use crate::list::Published;
use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, Clone, Copy)]
pub enum Registry {
    Npm,
    Pip,
}

/// The module of a package.
pub fn module(registry: Registry, published: &Published) -> anyhow::Result<Vec<u8>> {
    let folder = unpacked(registry, &published.package, &published.version)?;
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

/// The folder with a package's files, fetched if it is not there yet.
pub fn unpacked(registry: Registry, package: &str, version: &str) -> anyhow::Result<PathBuf> {
    let plain = package.replace(['@', '/'], "-");
    let folder = crate::cache().join("packages").join(format!("{plain}-{version}"));
    if folder.exists() {
        return Ok(folder);
    }
    let new = folder.with_extension(format!("new-{}", std::process::id()));
    std::fs::create_dir_all(&new).with_context(|| format!("create {}", new.display()))?;
    match registry {
        Registry::Npm => fetch_npm(package, version, &new)?,
        Registry::Pip => fetch_pip(package, version, &new)?,
    }
    std::fs::rename(&new, &folder).with_context(|| format!("rename {}", new.display()))?;
    Ok(folder)
}

fn fetch_npm(package: &str, version: &str, folder: &Path) -> anyhow::Result<()> {
    let name = format!("{package}@{version}");
    let archives = folder.join("archive");
    std::fs::create_dir(&archives).with_context(|| format!("create {}", archives.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "--ignore-scripts", &name, "--pack-destination"]).arg(&archives);
    run(&format!("fetch {name} from npm"), &mut npm)?;
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(only_file(&archives)?).arg("-C").arg(folder);
    run(&format!("unpack {name}"), &mut tar)?;
    std::fs::remove_dir_all(&archives).with_context(|| format!("remove {}", archives.display()))
}

fn fetch_pip(package: &str, version: &str, folder: &Path) -> anyhow::Result<()> {
    let name = format!("{package}=={version}");
    let archives = folder.join("archive");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]);
    pip.arg("--dest").arg(&archives).arg(&name);
    run(&format!("fetch {name} by pip"), &mut pip)?;
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(only_file(&archives)?).arg(folder);
    run(&format!("unpack {name}"), &mut unzip)?;
    std::fs::remove_dir_all(&archives).with_context(|| format!("remove {}", archives.display()))
}

fn only_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut files = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let file = files.next().with_context(|| format!("{} is empty", folder.display()))?;
    Ok(file.with_context(|| format!("{}", folder.display()))?.path())
}

/// Runs a program and, if it fails, says what it said.
pub fn run(what: &str, command: &mut Command) -> anyhow::Result<()> {
    eprintln!("▸ {what}");
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("{what}: start {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        bail!("{what}: {program} ended with {}: {said}", output.status);
    }
    Ok(())
}
