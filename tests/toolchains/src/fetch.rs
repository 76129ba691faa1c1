//! Brings packages into a folder by their names, once.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, Clone, Copy)]
pub enum Registry {
    Npm,
    Pip,
}

/// The folder with a package's files, fetched if it is not there yet.
pub fn unpacked(
    cache: &Path,
    registry: Registry,
    package: &str,
    version: &str,
) -> anyhow::Result<PathBuf> {
    let plain = package.replace(['@', '/'], "-");
    let folder = cache.join("packages").join(format!("{plain}-{version}"));
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
