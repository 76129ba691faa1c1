//! WASI programs in the executor, natively and emulated: input, output, their end, and
//! that nothing differs between two runs.

use aot_compiler::{CompileOptions, compile};
use executor::{ExecuteError, Executor, GuestInput, Machine, Returned};
use target_spec::Registry;

const MACHINES: [Machine; 2] = [Machine::X86_64_HARDWARE, Machine::RISCV64_SOFTWARE];

/// The body of `_start` between imports and a memory of one page.
fn try_run(machine: &Machine, input: GuestInput, body: &str) -> Result<Returned, ExecuteError> {
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
          (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_sync" (func $sync (param i32) (result i32)))
          (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (func $vector (param i32 i32)
            (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)))
          (func $print (param i32 i32 i32)
            (call $vector (local.get 1) (local.get 2))
            (drop (call $write (local.get 0) (i32.const 0) (i32.const 1) (i32.const 8))))
          (func (export "_start") {body}))"#
    );
    let wasm = wat::parse_str(text).unwrap();
    let target = Registry::built_in().find(machine.target_id).unwrap().clone();
    let options = CompileOptions::new(machine.bounds_checks);
    let mut executor = Executor::start(machine)?;
    executor.load(0, compile(&wasm, &target, &options).unwrap().aot)?;
    executor.instantiate_with(0, 0, input)?;
    executor.call(0, "_start", &[])
}

fn run(machine: &Machine, input: GuestInput, body: &str) -> Returned {
    try_run(machine, input, body).unwrap_or_else(|error| panic!("{}: {error}", machine.name))
}

#[test]
fn standard_input_is_read_to_its_end_and_output_and_errors_are_kept_apart() {
    let body = "
        (call $vector (i32.const 1000) (i32.const 4))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
        (call $print (i32.const 1) (i32.const 1000) (i32.load (i32.const 16)))
        (call $vector (i32.const 1000) (i32.const 100))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
        (call $print (i32.const 2) (i32.const 1000) (i32.load (i32.const 16)))
        (call $vector (i32.const 1000) (i32.const 100))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
        (if (i32.load (i32.const 16)) (then unreachable))";
    for machine in MACHINES {
        let input = GuestInput { stdin: b"abcdef".to_vec(), ..GuestInput::default() };
        let returned = run(&machine, input, body);
        assert_eq!((returned.output, returned.errors), (b"abcd".to_vec(), b"ef".to_vec()));
        assert_eq!(returned.exit_code, None);
    }
}

#[test]
fn arguments_arrive_with_their_final_nuls() {
    let body = "
        (drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
        (drop (call $args_get (i32.const 100) (i32.const 200)))
        (call $print (i32.const 1) (i32.const 16) (i32.const 8))
        (call $print (i32.const 1) (i32.load (i32.const 104)) (i32.const 3))";
    for machine in MACHINES {
        let arguments = vec!["program".to_owned(), "-x".to_owned()];
        let returned = run(&machine, GuestInput { arguments, ..GuestInput::default() }, body);
        assert_eq!(returned.output, b"\x02\0\0\0\x0b\0\0\0-x\0");
    }
}

#[test]
fn a_program_that_exits_ends_there_with_its_code_and_what_it_printed() {
    let body = "
        (i32.store (i32.const 1000) (i32.const 0x21216b6f))
        (call $print (i32.const 1) (i32.const 1000) (i32.const 4))
        (call $exit (i32.const 42))
        (call $print (i32.const 1) (i32.const 1000) (i32.const 4))";
    for machine in MACHINES {
        let returned = run(&machine, GuestInput::default(), body);
        assert_eq!((returned.exit_code, returned.output), (Some(42), b"ok!!".to_vec()));
    }
}

#[test]
fn time_and_chance_are_the_same_in_every_run_and_waiting_is_over_at_once() {
    let body = "
        (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 100)))
        (drop (call $random (i32.const 108) (i32.const 13)))
        (i64.store (i32.const 200) (i64.const 77))
        (i64.store (i32.const 224) (i64.const 3600000000000))
        (drop (call $poll (i32.const 200) (i32.const 124) (i32.const 1) (i32.const 156)))
        (call $print (i32.const 1) (i32.const 100) (i32.const 60))";
    let [first, second] = MACHINES.map(|machine| run(&machine, GuestInput::default(), body).output);
    assert_eq!(first, second);
    assert_ne!(first[8..21], [0; 13]);
    assert_eq!((first[24], first[56]), (77, 1));
}

#[test]
fn what_is_not_there_answers_with_its_error_number() {
    let body = "
        (i32.store (i32.const 100) (call $sync (i32.const 1)))
        (i32.store (i32.const 104) (call $seek (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 8)))
        (i32.store (i32.const 108) (call $read (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 8)))
        (call $print (i32.const 1) (i32.const 100) (i32.const 12))";
    for machine in MACHINES {
        let returned = run(&machine, GuestInput::default(), body);
        // nosys, spipe, badf
        assert_eq!(returned.output, [52, 0, 0, 0, 70, 0, 0, 0, 8, 0, 0, 0]);
    }
}

#[test]
fn an_address_beyond_the_memory_is_a_trap() {
    for body in [
        "(drop (call $random (i32.const 65530) (i32.const 7)))",
        "(drop (call $random (i32.const -1) (i32.const -1)))",
        "(call $print (i32.const 1) (i32.const -4) (i32.const 8))",
        "(drop (call $poll (i32.const -8) (i32.const 0) (i32.const -1) (i32.const 0)))",
    ] {
        match try_run(&Machine::X86_64_HARDWARE, GuestInput::default(), body) {
            Err(ExecuteError::Trapped { reason, .. }) => {
                assert!(reason.contains("out of bounds memory access"), "{reason}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}
