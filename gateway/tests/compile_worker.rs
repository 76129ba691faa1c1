//! The real compile worker: a process that answers, and whose excess stays its own.

use farrier_gateway::app::{CompileInput, CompileOutcome};
use farrier_gateway::compile::{CompileLimits, CompileProcess};
use farrier_gateway::config::CompileSandbox;
use module_package::{CompilePolicy, METERING_GAS, NAN_CANONICAL};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::Command;

fn worker(memory_bytes: u64) -> CompileProcess {
    let limits = CompileLimits { wall_s: 60, memory_bytes };
    let program = env!("CARGO_BIN_EXE_farrier-gateway").into();
    CompileProcess { program, limits, sandbox: CompileSandbox::Required }
}

fn input(wasm: Vec<u8>, target: &str) -> CompileInput {
    CompileInput {
        wasm,
        target: target.into(),
        bounds_checks: "software".into(),
        threads: 2,
        policy: CompilePolicy::default(),
    }
}

async fn compile(worker: &CompileProcess, input: CompileInput) -> CompileOutcome {
    worker.compile(input, |_, _| ()).await
}

#[tokio::test]
async fn it_compiles_for_every_target_with_equal_bytes_each_time() {
    let wasm = wat::parse_str("(module (func (export \"answer\") (result i32) i32.const 42))");
    let wasm = wasm.unwrap();
    let worker = worker(4 << 30);
    for target in target_spec::Registry::built_in().all() {
        let once = || compile(&worker, input(wasm.clone(), target.id.as_str()));
        let first = once().await;
        assert!(first.log.contains("ms of CPU time"), "{}", first.log);
        let compiled = first.result.unwrap();
        assert!(compiled.aot.starts_with(b"\0aot"), "{}", target.id);
        assert!(compiled.code_bytes > 0 && compiled.function_count == 1, "{compiled:?}");
        assert_eq!(once().await.result.unwrap().aot, compiled.aot, "{}", target.id);
    }
}

#[tokio::test]
async fn a_refusal_of_the_compiler_comes_back_as_its_words() {
    let no_wasm = input(b"no wasm".to_vec(), "x86_64-linux");
    let refusal = compile(&worker(4 << 30), no_wasm).await.result.unwrap_err();
    assert!(refusal.contains("not a WebAssembly module"), "{refusal}");
    let no_target = input(vec![], "sparc-linux");
    let refusal = compile(&worker(4 << 30), no_target).await.result.unwrap_err();
    assert!(refusal.contains("known are"), "{refusal}");
}

#[tokio::test]
async fn a_worker_without_memory_is_a_refused_compile() {
    // More than the worker may have, before a byte of it is compiled.
    let large = input(vec![0; 60 << 20], "x86_64-linux");
    let refusal = compile(&worker(64 << 20), large).await.result.unwrap_err();
    assert!(refusal.contains("compile_memory_bytes_max"), "{refusal}");
}

/// So many functions that each take some time.
fn many_functions(count: usize) -> Vec<u8> {
    let body = "(i32.add (i32.mul (local.get 0) (i32.const 7)) (i32.const 3)) (local.set 0)";
    let function = format!("(func (param i32) (result i32) {} (local.get 0))", body.repeat(40));
    // Each can be reached, so each needs code.
    let all: String = (0..count).map(|index| format!(" {index}")).collect();
    let declared = format!("(elem declare func{all})");
    wat::parse_str(format!("(module {} {declared})", function.repeat(count))).unwrap()
}

#[tokio::test]
async fn its_threads_change_no_byte_and_it_tells_how_far_it_is() {
    let worker = worker(4 << 30);
    let wasm = many_functions(1_500);
    let mut told = Vec::new();
    let alone = CompileInput { threads: 1, ..input(wasm.clone(), "x86_64-linux") };
    let alone = worker.compile(alone, |done, total| told.push((done, total))).await;
    // As many as the memory is for.
    let many = CompileInput { threads: 64, ..input(wasm, "x86_64-linux") };
    let many = compile(&worker, many).await;
    println!("1 thread: {} ms; {} threads: {} ms", alone.compile_ms, many.threads, many.compile_ms);
    println!("{}; {}; told {told:?}", alone.log, many.log);
    assert_eq!((alone.threads, many.threads), (1, 16));
    assert_eq!(alone.result.unwrap().aot, many.result.unwrap().aot);
    let in_order = told.is_sorted() && told.iter().all(|(done, total)| done <= total);
    assert!(!told.is_empty() && in_order, "{told:?}");
    assert!(told.iter().any(|(done, total)| *done > 0 && *total == 1_500), "{told:?}");
}

/// What a confined worker says of each try.
fn probe(arguments: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_farrier-gateway");
    let output = Command::new(program).arg("confinement-probe").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this machine cannot confine: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_has_no_network_and_no_files_but_threads() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("release.key"), "secret").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let _unix = UnixListener::bind(path("socket")).unwrap();
    let tries = [
        format!("--read={}", path("release.key")),
        "--read=/etc/passwd".to_owned(),
        "--read=/proc/self/maps".to_owned(),
        format!("--create={}", path("new")),
        format!("--connect={addr}"),
        format!("--connect-unix={}", path("socket")),
        "--start=/bin/true".to_owned(),
    ];
    let tries: Vec<&str> = tries.iter().map(String::as_str).collect();
    let said = probe(&tries);
    println!("{said}");
    assert_eq!(said.lines().filter(|line| line.contains(": denied: ")).count(), 8, "{said}");
    assert!(said.ends_with("start threads: allowed\n"), "{said}");
    // Each layer holds without the limit of descriptors too. Only a socket that is a
    // file of somebody else's Landlock leaves to that limit.
    let with_descriptors = [&tries[..], &["--open-files-max=64"]].concat();
    let said = probe(&with_descriptors);
    println!("{said}");
    let allowed: Vec<&str> = said.lines().filter(|line| line.ends_with(": allowed")).collect();
    let socket = format!("connect {}: allowed", path("socket"));
    assert!(allowed.iter().all(|l| *l == socket || l.starts_with("start threads")), "{said}");
    assert!(!std::path::Path::new(&path("new")).exists());
}

#[tokio::test]
async fn the_policy_of_a_job_is_what_the_file_says() {
    let wasm =
        wat::parse_str("(module (func (export \"tick\") (result i32) i32.const 0))").unwrap();
    let policy =
        CompilePolicy { metering: METERING_GAS.into(), nan_canonicalization: NAN_CANONICAL.into() };
    let job = CompileInput { policy, ..input(wasm.clone(), "x86_64-linux") };
    let metered = compile(&worker(4 << 30), job).await.result.unwrap().aot;
    let plain =
        compile(&worker(4 << 30), input(wasm.clone(), "x86_64-linux")).await.result.unwrap().aot;
    let says = |aot: &[u8], text: &[u8]| aot.windows(text.len()).any(|bytes| bytes == text);
    assert!(says(&metered, b"farrier.metering") && !says(&plain, b"farrier.metering"));
    assert!(says(&metered, b"canonical") && !says(&plain, b"canonical"));
    let policy = CompilePolicy { metering: "gas-99".into(), ..CompilePolicy::default() };
    let job = CompileInput { policy, ..input(wasm, "x86_64-linux") };
    let refusal = compile(&worker(4 << 30), job).await.result.unwrap_err();
    assert!(refusal.contains("gas-99"), "{refusal}");
}
