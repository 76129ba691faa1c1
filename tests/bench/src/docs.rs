//! The results as a page of the documentation.

use anyhow::Context;

const PATH: &str = "docs/benchmark-compiler.md";

const INTRODUCTION: &str = "\
# How good the compiled code is

Written by `cargo xtask bench compiler --write-docs`; do not edit.

Each program (`tests/bench/kernels`) is the same Rust source, at opt-level 3 without
link-time optimisation: natively for x86-64-v2, and as one WebAssembly module for each
program, with `simd128` for those of the kind SIMD. All engines must give the same
checksum. They take turns in one process and on one thread; what is compared is CPU
time within a round. wasmtime is built on the same Cranelift as our compiler and held
to the CPU features of our target; \"v3\" is both at x86-64-v3. The interpreter is
WAMR's fast one, built for size like the runtime on devices, in a process of its own.
Compile time is the CPU time of all threads; ours and wasmtime's both use one.

What the ratios to native code hide: a module allocates by dlmalloc and the native
program by the C library's malloc, and LLVM saw both sources, so it may vectorise the
native one.

";

pub fn write(machine: &str, report: &str) -> anyhow::Result<()> {
    let text = format!("{INTRODUCTION}```text\n{machine}\n```\n\n{report}");
    std::fs::write(PATH, text).with_context(|| format!("write {PATH}"))
}
