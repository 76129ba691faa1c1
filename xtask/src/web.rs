//! Turns `web-ui` into the folder `target/web-dist` that the gateway serves.
//!
//! cargo compiles the dashboard to WebAssembly, wasm-bindgen (as a library, so
//! that its version cannot differ from the one in the lock file) writes the
//! JavaScript beside it, and this file names every asset after its content and
//! adds `.br` and `.gz` siblings. There is no wasm-opt: it makes the transfer
//! larger, and old ones break the module in a way that only a browser shows.
//!
//! The folder is written under another name and renamed when whole. A stamp of
//! all inputs skips the work when nothing changed. It does not serve anything.

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebProfile {
    /// Small and compressed: what the gateway ships.
    Release,
    /// Unoptimised and not compressed, for the warm loop.
    Dev,
}

impl WebProfile {
    fn cargo_name(self) -> &'static str {
        match self {
            Self::Release => "web",
            Self::Dev => "web-dev",
        }
    }
}

/// The promise of the README for a browser's first visit.
const FIRST_VISIT_BYTES_MAX: u64 = 250_000;

/// Goes into the stamp: a change of what this file does must rebuild the folder.
const RECIPE: &str = "1";

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Builds the dashboard and returns the folder to serve.
pub fn build(workspace: &Path, profile: WebProfile) -> anyhow::Result<PathBuf> {
    let started = Instant::now();
    ensure_wasm_target(workspace)?;
    let wasm_path = compile(workspace, profile)?;
    let sources = Sources::read(&workspace.join("web-ui/assets"))?;
    let wasm = fs::read(&wasm_path).with_context(|| format!("read {}", wasm_path.display()))?;

    let dist = workspace.join("target/web-dist");
    let stamp_path = workspace.join("target/web-dist.stamp");
    let stamp = sources.stamp(profile, &wasm);
    if dist.join("index.html").exists()
        && fs::read_to_string(&stamp_path).is_ok_and(|last| last == stamp)
    {
        eprintln!("web: {} is up to date", dist.display());
        return Ok(dist);
    }

    let glue = bind(&wasm_path, profile)?;
    // A stamp must never name a folder that is only half there.
    remove_if_present(&stamp_path)?;
    let sizes = write_dist(&dist, profile, &sources, &glue)?;
    let first_visit_bytes = print_sizes(&sizes, started);
    // Before the stamp is there: what is too large is too large at the next run too.
    ensure!(
        profile == WebProfile::Dev || first_visit_bytes <= FIRST_VISIT_BYTES_MAX,
        "a first visit takes {first_visit_bytes} B, over the {FIRST_VISIT_BYTES_MAX} B that the \
         README promises. What is new in web-ui is not worth that, or can be had for less: \
         a part that hides its type (`into_any`) is there once, and `model` reads JSON without \
         a reader for each type."
    );
    fs::write(&stamp_path, stamp).with_context(|| format!("write {}", stamp_path.display()))?;
    Ok(dist)
}

fn ensure_wasm_target(workspace: &Path) -> anyhow::Result<()> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .current_dir(workspace)
        .output()
        .context("run rustc")?;
    let folder = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && Path::new(folder.trim()).is_dir(),
        "the Rust target {WASM_TARGET} is not installed: run `rustup target add {WASM_TARGET}`"
    );
    Ok(())
}

fn compile(workspace: &Path, profile: WebProfile) -> anyhow::Result<PathBuf> {
    // Its own target folder: the cargo that runs this program may hold the lock
    // of the usual one, and the two builds share nothing.
    let target_dir = std::env::var_os("FARRIER_WEB_TARGET_DIR")
        .map_or_else(|| workspace.join("target/web"), PathBuf::from);
    eprintln!("web: compiling web-ui to WebAssembly, profile {}", profile.cargo_name());
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--package", "web-ui", "--target", WASM_TARGET])
        .args(["--profile", profile.cargo_name(), "--target-dir"])
        .arg(&target_dir)
        .current_dir(workspace)
        // The flags of the host's build are not for the browser's code. With
        // components of erased type the download is an eighth smaller.
        .env("RUSTFLAGS", "--cfg erase_components")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "the dashboard does not compile");
    Ok(target_dir.join(WASM_TARGET).join(profile.cargo_name()).join("web-ui.wasm"))
}

/// The files of `web-ui/assets`, which a person writes.
struct Sources {
    index: String,
    boot: Vec<u8>,
    style: Vec<u8>,
    icon: Vec<u8>,
}

impl Sources {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).with_context(|| format!("read {}", path.display()))
        };
        Ok(Self {
            index: String::from_utf8(read("index.html")?).context("index.html is not UTF-8")?,
            boot: read("boot.js")?,
            style: read("style.css")?,
            icon: read("favicon.svg")?,
        })
    }

    fn stamp(&self, profile: WebProfile, wasm: &[u8]) -> String {
        let mut hash = Sha256::new();
        let parts: [&[u8]; 7] = [
            RECIPE.as_bytes(),
            profile.cargo_name().as_bytes(),
            self.index.as_bytes(),
            &self.boot,
            &self.style,
            &self.icon,
            wasm,
        ];
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hex::encode(hash.finalize())
    }
}

/// What wasm-bindgen makes of the compiled module.
struct Glue {
    script: Vec<u8>,
    wasm: Vec<u8>,
}

fn bind(wasm_path: &Path, profile: WebProfile) -> anyhow::Result<Glue> {
    let folder = wasm_path.with_file_name("bound");
    remove_if_present(&folder)?;
    let dev = profile == WebProfile::Dev;
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(wasm_path)
        .web(true)?
        .typescript(false)
        .debug(dev)
        .remove_name_section(!dev)
        .remove_producers_section(true)
        .out_name("app")
        .generate(&folder)
        .context("run wasm-bindgen")?;
    // Such a folder holds JavaScript of some dependency, which nobody here reviewed.
    if folder.join("snippets").exists() {
        bail!("a dependency of web-ui brings its own JavaScript; see {}", folder.display());
    }
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).with_context(|| format!("read {}", path.display()))
    };
    Ok(Glue { script: read("app.js")?, wasm: read("app_bg.wasm")? })
}

/// What one file weighs.
struct Size {
    name: String,
    raw_bytes: u64,
    /// As a browser that accepts brotli gets it.
    wire_bytes: u64,
}

fn write_dist(
    dist: &Path,
    profile: WebProfile,
    sources: &Sources,
    glue: &Glue,
) -> anyhow::Result<Vec<Size>> {
    let fresh = dist.with_extension("new");
    remove_if_present(&fresh)?;
    fs::create_dir_all(fresh.join("assets"))
        .with_context(|| format!("create {}", fresh.display()))?;
    let mut sizes = Vec::new();
    let mut asset = |stem: &str, extension: &str, bytes: &[u8]| -> anyhow::Result<String> {
        let hash = hex::encode(Sha256::digest(bytes));
        let name = format!("assets/{stem}-{}.{extension}", &hash[..12]);
        sizes.push(write_compressed(&fresh, &name, bytes, profile)?);
        Ok(format!("/{name}"))
    };
    let index = sources
        .index
        .replace("{{style}}", &asset("style", "css", &sources.style)?)
        .replace("{{icon}}", &asset("favicon", "svg", &sources.icon)?)
        .replace("{{boot}}", &asset("boot", "js", &sources.boot)?)
        .replace("{{app}}", &asset("app", "js", &glue.script)?)
        .replace("{{wasm}}", &asset("app", "wasm", &glue.wasm)?);
    ensure!(!index.contains("{{"), "index.html names an asset that does not exist");
    sizes.push(write_compressed(&fresh, "index.html", index.as_bytes(), profile)?);

    remove_if_present(dist)?;
    fs::rename(&fresh, dist).with_context(|| format!("rename to {}", dist.display()))?;
    Ok(sizes)
}

/// Writes a file, and its compressed siblings where they are smaller.
fn write_compressed(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    profile: WebProfile,
) -> anyhow::Result<Size> {
    let write = |suffix: &str, content: &[u8]| {
        let path = folder.join(format!("{name}{suffix}"));
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))
    };
    write("", bytes)?;
    let mut wire_bytes = bytes.len() as u64;
    if profile == WebProfile::Release {
        let gzip = compress_gzip(bytes)?;
        if gzip.len() < bytes.len() {
            write(".gz", &gzip)?;
        }
        let brotli = compress_brotli(bytes)?;
        if brotli.len() < bytes.len() {
            write(".br", &brotli)?;
            wire_bytes = brotli.len() as u64;
        }
    }
    Ok(Size { name: name.to_owned(), raw_bytes: bytes.len() as u64, wire_bytes })
}

fn compress_gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn compress_brotli(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    const BUFFER_BYTES: usize = 4096;
    const QUALITY: u32 = 11;
    // 16 MiB, the most that a browser must accept.
    const WINDOW_BITS: u32 = 24;
    let mut compressed = Vec::new();
    brotli::CompressorWriter::new(&mut compressed, BUFFER_BYTES, QUALITY, WINDOW_BITS)
        .write_all(bytes)?;
    Ok(compressed)
}

/// Returns what a first visit takes.
fn print_sizes(sizes: &[Size], started: Instant) -> u64 {
    for size in sizes {
        eprintln!("web: {:>9} B, {:>8} B sent  {}", size.raw_bytes, size.wire_bytes, size.name);
    }
    let first_visit_bytes = sizes.iter().map(|size| size.wire_bytes).sum();
    let seconds = started.elapsed().as_secs_f32();
    eprintln!("web: first visit {first_visit_bytes} B, built in {seconds:.1} s");
    first_visit_bytes
}

fn remove_if_present(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
