//! What the numbers were measured on.

use std::fs::read_to_string;

/// Processor, cores, memory, load and compilers, in one paragraph.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    format!(
        "processor {} ({cores} cores seen), load {load}\n\
         native: Rust source at opt-level 3 for x86-64-v2; ours: {} for x86_64-linux \
         with hardware bounds checks; wasmtime {} with the same CPU features",
        field_of("/proc/cpuinfo", "model name"),
        aot_compiler::COMPILER_ID,
        crate::wasmtime_engine::VERSION,
    )
}

/// A field of a file in /proc that has lines like `name : value`.
fn field_of(path: &str, name: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    value.map_or("unknown", |(_, value)| value.trim()).to_owned()
}
