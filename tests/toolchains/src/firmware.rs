//! The example modules of `firmware-examples`, each with its test file beside it.

use crate::Toolchains;
use anyhow::Context;
use module_linker::Library;
use std::path::Path;

const FREESTANDING: &str = "wasm32-freestanding";
const RUST_TARGET: &str = "wasm32-unknown-unknown";

/// Cargo puts flags of the command line after those of the package's configuration.
const SIMD: &[&str] =
    &["--config", "target.wasm32-unknown-unknown.rustflags=[\"-Ctarget-feature=+simd128\"]"];

/// What stands beside its modules, as `<name>.test.toml`.
pub const TESTED: [&str; 8] = [
    "anomaly",
    "debounce",
    "frame-decoder",
    "level-meter",
    "pid",
    "sensor-filter",
    "threshold",
    "threshold-simd",
];

/// Builds all into a folder.
pub fn build(workspace: &Path, tools: &Toolchains, to: &Path) -> anyhow::Result<()> {
    let examples = workspace.join("firmware-examples");
    std::fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    let at = |name: &str| to.join(name).with_extension("wasm");

    let header = format!("-I{}", examples.join("sdk").display());
    let c_flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Oz", "-nostdlib", &header];
    let link_flags = ["-Wl,--no-entry", "-Wl,--strip-all", "-Wl,-z,stack-size=4096"];
    let flags = [c_flags.as_slice(), &link_flags].concat();
    tools.c(&examples.join("debounce/debounce.c"), FREESTANDING, &flags, &at("debounce"))?;
    let level = examples.join("level-meter/level-meter.c");
    tools.c(&level, FREESTANDING, &flags, &at("level"))?;
    copy(&tools.rust(&examples.join("level-meter/signal"), RUST_TARGET, &[])?, &at("signal"))?;
    link(&at("level"), ("signal", &at("signal")), &at("level-meter"))?;

    let flags = ["-fstrip", "--stack", "4096"];
    tools.zig(&examples.join("pid/pid.zig"), FREESTANDING, &flags, &at("pid"))?;

    let anomaly = examples.join("anomaly");
    let flags = ["-Oz", "--runtime", "stub", "--noAssert"];
    tools.assembly_script(&anomaly, &anomaly.join("anomaly.ts"), &flags, &at("anomaly"))?;

    for (name, flags) in [("threshold", &[][..]), ("threshold-simd", SIMD)] {
        let built = tools.rust(&examples.join("threshold"), RUST_TARGET, flags)?;
        copy(&built, &at(name))?;
    }
    copy(&tools.rust(&examples.join("sensor-filter"), RUST_TARGET, &[])?, &at("sensor-filter"))?;

    let text = examples.join("frame-decoder/frame-decoder.wat");
    let wasm = wat::parse_file(&text)?;
    copy(&text, &to.join("frame-decoder.wat"))?;
    let binary = at("frame-decoder");
    std::fs::write(&binary, wasm).with_context(|| format!("write {}", binary.display()))?;

    for name in TESTED {
        let folder = name.trim_end_matches("-simd");
        let file = format!("{name}.test.toml");
        copy(&examples.join(folder).join(&file), &to.join(&file))?;
    }
    Ok(())
}

/// The example in Go, for whose compiler not everybody waits.
pub fn build_go(workspace: &Path, tools: &Toolchains, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    let source = workspace.join("firmware-examples/gps-track/gps-track.go");
    tools.go(&source, &to.join("gps-track.wasm")).map(drop)
}

/// As `farrier module link` does it.
fn link(main: &Path, (name, library): (&str, &Path), linked: &Path) -> anyhow::Result<()> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("read {}", path.display()));
    let library = read(library)?;
    let wasm = module_linker::link(&read(main)?, &[Library { name, wasm: &library }])
        .with_context(|| format!("link {}", main.display()))?;
    std::fs::write(linked, wasm).with_context(|| format!("write {}", linked.display()))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to)
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
