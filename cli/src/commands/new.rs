//! `farrier new`: a module to begin with, and a test of it.

use crate::console::Console;
use crate::failure::{Exit, Failure};
use clap::{Args, ValueEnum};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const NAME_BYTES_MAX: usize = 64;

#[derive(Debug, Args)]
#[command(after_help = "\
Makes a folder with a module that reads a sensor and publishes on a channel, the guest
API's bindings for the language, a test file for `farrier test` and a README that says how
to build it. Nothing is fetched or overwritten.

Examples:
  farrier new --lang rust leak-detector
  farrier new --lang c leak-detector --to firmware/leaks")]
pub struct NewArgs {
    /// The module's name: lower-case letters, digits and hyphens
    name: String,
    /// The language to write it in
    #[arg(long, value_name = "LANGUAGE")]
    lang: Language,
    /// The folder to make [default: the name, here]
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
enum Language {
    Rust,
    C,
    Zig,
    AssemblyScript,
    /// WebAssembly's own text format
    Wat,
}

/// Path in the folder, and the text with its placeholders.
type Template = (&'static str, &'static str);

/// The SDK's own says that it is a workspace, which another package cannot contain.
const SDK_MANIFEST: &str = include_str!("../../templates/rust/guest.toml.in");
const SDK: &str = include_str!("../../../firmware-examples/sdk/src/lib.rs");
const SDK_ON_WASM: &str = include_str!("../../../firmware-examples/sdk/src/host/wasm.rs");
const SDK_ELSEWHERE: &str = include_str!("../../../firmware-examples/sdk/src/host/elsewhere.rs");
const HEADER: &str = include_str!("../../../firmware-examples/sdk/farrier.h");

impl Language {
    fn templates(self) -> &'static [Template] {
        match self {
            Self::Rust => &[
                ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml.in")),
                (".cargo/config.toml", include_str!("../../templates/rust/config.toml")),
                (".gitignore", "/target\n"),
                ("src/lib.rs", include_str!("../../templates/rust/lib.rs")),
                ("farrier-guest/Cargo.toml", SDK_MANIFEST),
                ("farrier-guest/src/lib.rs", SDK),
                ("farrier-guest/src/host/wasm.rs", SDK_ON_WASM),
                ("farrier-guest/src/host/elsewhere.rs", SDK_ELSEWHERE),
            ],
            Self::C => &[
                ("Makefile", include_str!("../../templates/c/Makefile")),
                (".gitignore", "*.wasm\n"),
                ("main.c", include_str!("../../templates/c/main.c")),
                ("farrier.h", HEADER),
            ],
            Self::Zig => &[
                ("Makefile", include_str!("../../templates/zig/Makefile")),
                (".gitignore", "*.wasm\n*.wasm.o\n"),
                ("main.zig", include_str!("../../templates/zig/main.zig")),
            ],
            Self::AssemblyScript => &[
                ("package.json", include_str!("../../templates/assemblyscript/package.json")),
                (".gitignore", "node_modules\n*.wasm\n"),
                ("main.ts", include_str!("../../templates/assemblyscript/main.ts")),
            ],
            Self::Wat => &[("__name__.wat", include_str!("../../templates/wat/main.wat"))],
        }
    }

    /// Where the build leaves the module.
    fn module(self) -> &'static str {
        match self {
            Self::Rust => "target/wasm32-unknown-unknown/release/__crate__.wasm",
            Self::Wat => "__name__.wat",
            Self::C | Self::Zig | Self::AssemblyScript => "__name__.wasm",
        }
    }

    fn build(self) -> &'static str {
        match self {
            Self::Rust => "cargo build --release",
            Self::C | Self::Zig => "make",
            Self::AssemblyScript => "npm install && npm run build",
            Self::Wat => "wat2wasm __name__.wat     # to push it; run and test take the text",
        }
    }

    fn needs(self) -> &'static str {
        match self {
            Self::Rust => "Rust with `rustup target add wasm32-unknown-unknown`",
            Self::C => {
                "make and clang with its linker for WebAssembly (Debian: clang and lld), or \
                 `make CC=\"zig cc -target wasm32-freestanding\"`"
            }
            Self::Zig => {
                "make and Zig 0.17 (`pip install ziglang`, then `make ZIG=\"python3 -m ziglang\"`)"
            }
            Self::AssemblyScript => "Node with npm",
            Self::Wat => "nothing to try it, and wat2wasm (Debian: wabt) to push it",
        }
    }
}

pub fn run(args: &NewArgs, console: &Console) -> Result<(), Failure> {
    check_name(&args.name)?;
    let folder = args.to.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let fill = |text: &str| {
        text.replace("__build__", args.lang.build())
            .replace("__needs__", args.lang.needs())
            .replace("__module__", args.lang.module())
            .replace("__name__", &args.name)
            .replace("__crate__", &args.name.replace('-', "_"))
    };
    make_folder(&folder)?;
    let shared = [
        ("README.md", include_str!("../../templates/README.md")),
        ("__name__.test.toml", include_str!("../../templates/test.toml")),
    ];
    for (path, text) in args.lang.templates().iter().chain(&shared) {
        write_new(&folder.join(fill(path)), &fill(text))?;
    }
    console.line(&folder.display().to_string())?;
    console.note(format!("README.md in it says how to build it: {}", fill(args.lang.build())));
    Ok(())
}

fn check_name(name: &str) -> Result<(), Failure> {
    let is_fine = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.len() <= NAME_BYTES_MAX;
    if is_fine {
        return Ok(());
    }
    let message = format!("{name:?} is no name for a module");
    Err(Failure::new(Exit::Usage, message).or_try(format!(
        "a lower-case letter, then up to {} lower-case letters, digits and hyphens",
        NAME_BYTES_MAX - 1
    )))
}

/// An empty folder that is there already will do.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    let failure = |error: io::Error| {
        Failure::new(Exit::Failed, format!("make {}", folder.display())).because(&error)
    };
    fs::create_dir_all(folder).map_err(failure)?;
    if fs::read_dir(folder).map_err(failure)?.next().is_some() {
        let message = format!("{} is not empty", folder.display());
        return Err(Failure::new(Exit::Failed, message).or_try("another folder with --to"));
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|error: io::Error| {
        Failure::new(Exit::Failed, format!("write {}", path.display())).because(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_files_and_crates_can_be_called() {
        for name in ["a", "leak-detector", "pid2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "2a", "-a", "A", "a_b", "a/b", "..", "ä", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
