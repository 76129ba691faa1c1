//! The real compile worker: a process that answers, and whose excess stays its own.

use farrier_gateway::app::CompileInput;
use farrier_gateway::compile::{CompileLimits, CompileProcess};

fn worker(memory_bytes: u64) -> CompileProcess {
    let limits = CompileLimits { wall_s: 60, memory_bytes };
    CompileProcess { program: env!("CARGO_BIN_EXE_farrier-gateway").into(), limits }
}

fn input(wasm: Vec<u8>, target: &str) -> CompileInput {
    CompileInput { wasm, target: target.into(), bounds_checks: "software".into() }
}

#[tokio::test]
async fn it_compiles_for_every_target_with_equal_bytes_each_time() {
    let wasm = wat::parse_str("(module (func (export \"answer\") (result i32) i32.const 42))");
    let wasm = wasm.unwrap();
    let worker = worker(4 << 30);
    for target in target_spec::Registry::built_in().all() {
        let compile = || worker.compile(input(wasm.clone(), target.id.as_str()));
        let aot = compile().await.unwrap();
        assert!(aot.starts_with(b"\0aot"), "{}", target.id);
        assert_eq!(compile().await.unwrap(), aot, "{}", target.id);
    }
}

#[tokio::test]
async fn a_refusal_of_the_compiler_comes_back_as_its_words() {
    let refusal = worker(4 << 30).compile(input(b"no wasm".to_vec(), "x86_64-linux")).await;
    assert!(refusal.unwrap_err().contains("not a WebAssembly module"));
    let refusal = worker(4 << 30).compile(input(vec![], "sparc-linux")).await;
    assert!(refusal.unwrap_err().contains("known are"));
}

#[tokio::test]
async fn a_worker_without_memory_is_a_refused_compile() {
    // More than the worker may have, before a byte of it is compiled.
    let refusal = worker(64 << 20).compile(input(vec![0; 60 << 20], "x86_64-linux")).await;
    let refusal = refusal.unwrap_err();
    assert!(refusal.contains("compile_memory_bytes_max"), "{refusal}");
}
