//! The executor's programs over real WAMR, native and emulated, with modules from our
//! own compiler. They are built by `cargo xtask executors`.

use aot_compiler::{CompileOptions, compile};
use executor::{ExecuteError, Executor, Machine, Mode, RefusalKind, Value};
use sha2::{Digest, Sha256};
use std::time::Duration;
use target_spec::{BoundsChecks, Registry};

fn start(machine: &Machine) -> Executor {
    Executor::start(machine).unwrap_or_else(|error| panic!("{error}"))
}

/// What this machine loads: an AoT file, or the module itself.
fn build(machine: &Machine, text: &str) -> Vec<u8> {
    let wasm = wat::parse_str(text).unwrap();
    if machine.mode == Mode::Interpreter {
        return wasm;
    }
    let mut target = Registry::built_in().find(machine.target_id).unwrap().clone();
    // Devices of the other architectures have software checks; the tests run both.
    target.bounds_checks = vec![BoundsChecks::Hardware, BoundsChecks::Software];
    compile(&wasm, &target, &CompileOptions::new(machine.bounds_checks)).unwrap().aot
}

/// An executor with one instance, number 0, of this module.
fn running(machine: &Machine, text: &str) -> Executor {
    let mut executor = start(machine);
    executor.load(0, build(machine, text)).unwrap();
    executor.instantiate(0, 0, None).unwrap();
    executor
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ExecuteError>) -> RefusalKind {
    match result {
        Err(ExecuteError::Refused(refusal)) => refusal.kind,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn every_machine_is_what_its_name_says() {
    for machine in Machine::ALL {
        let description = start(&machine).describe().unwrap();
        assert_eq!(description.target, machine.target_id);
        assert_eq!(description.bounds_checks, machine.bounds_checks.as_str());
        assert_eq!(description.mode, machine.mode.as_str());
        assert_eq!(description.imports[1], "spectest.print_i32");
    }
}

#[test]
fn every_kind_of_value_comes_back_on_every_machine() {
    let module = r#"
        (module
          (func (export "numbers") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
            local.get 3 local.get 2 local.get 1 local.get 0)
          (func $f (export "refs") (param externref funcref) (result funcref externref)
            local.get 1 local.get 0)
          (elem declare func $f)
          (func (export "own") (result funcref) ref.func $f))"#;
    // Not with hardware checks under qemu: without a memory it cannot map the guard.
    let machines = [
        Machine::X86_64_HARDWARE,
        Machine::X86_64_SOFTWARE,
        Machine::AARCH64_SOFTWARE,
        Machine::RISCV64_SOFTWARE,
        Machine::X86_64_INTERPRETER,
    ];
    for machine in machines {
        let mut executor = running(&machine, module);
        let (i32, i64) = (Value::I32(i32::MIN), Value::I64(-2));
        let (f32, f64) = (Value::F32(0x7fa0_1234), Value::F64(1 << 63));
        let returned = executor.call(0, "numbers", &[i32, i64, f32, f64]).unwrap();
        assert_eq!(returned.values, [f64, f32, i64, i32], "{}", machine.name);
        let (object, null) = (Value::ExternRef(Some(u64::from(u32::MAX))), Value::FuncRef(None));
        let returned = executor.call(0, "refs", &[object, null]).unwrap();
        assert_eq!(returned.values, [null, object], "{}", machine.name);
        let returned = executor.call(0, "own", &[]).unwrap();
        assert_eq!(returned.values, [Value::FuncRef(Some(1))], "{}", machine.name);
    }
}

#[test]
fn a_function_that_only_a_tables_initial_value_names_has_code() {
    let module = r#"
        (module
          (type $answer (func (result i32)))
          (func $answer (type $answer) (i32.const 42))
          (table 2 (ref func) (ref.func $answer))
          (func (export "ask") (result i32) (call_indirect (type $answer) (i32.const 1))))"#;
    let mut executor = running(&Machine::X86_64_SOFTWARE, module);
    assert_eq!(executor.call(0, "ask", &[]).unwrap().values, [Value::I32(42)]);
}

#[test]
fn instances_of_one_module_have_state_of_their_own() {
    let module = r#"
        (module
          (import "spectest" "print_i32" (func $print (param i32)))
          (memory (export "memory") 1)
          (global $count (export "count") (mut i32) (i32.const 0))
          (func (export "count_up") (param i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1)))
            (i32.store (i32.const 8) (local.get 0))
            (call $print (local.get 0))))"#;
    for machine in Machine::ALL {
        let mut executor = running(&machine, module);
        executor.instantiate(0, 1, None).unwrap();
        executor.drop_module(0).unwrap();
        let returned = executor.call(1, "count_up", &[Value::I32(7)]).unwrap();
        assert_eq!(returned.output, b"print_i32(7)\n", "{}", machine.name);
        assert_eq!(executor.global(0, "count").unwrap(), Value::I32(0));
        assert_eq!(executor.global(1, "count").unwrap(), Value::I32(1));
        executor.set_global(0, "count", Value::I32(9)).unwrap();
        executor.call(0, "count_up", &[Value::I32(5)]).unwrap();
        assert_eq!(executor.global(0, "count").unwrap(), Value::I32(10));
        assert_eq!(executor.read_memory(1, 8, 4).unwrap(), [7, 0, 0, 0]);
        let mut memory = vec![0; 65_536];
        memory[8] = 5;
        let expected = (65_536, Sha256::digest(&memory).to_vec());
        assert_eq!(executor.hash_memory(0).unwrap(), expected, "{}", machine.name);
        executor.write_memory(0, 65_535, &[1]).unwrap();
        assert_ne!(executor.hash_memory(0).unwrap(), expected);
        executor.drop_instance(1).unwrap();
        assert_eq!(refusal(executor.global(1, "count")), RefusalKind::BadSlot);
    }
}

#[test]
fn a_memory_grows_and_ends_where_it_says_on_every_machine() {
    let module = r#"
        (module
          (memory 1 3)
          (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
          (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))"#;
    for machine in Machine::ALL {
        let mut executor = running(&machine, module);
        let mut call = |name, argument| {
            let returned = executor.call(0, name, &[Value::I32(argument)]);
            returned.map(|returned| returned.values).map_err(|error| error.to_string())
        };
        let out_of_bounds = Err("trap: out of bounds memory access".to_owned());
        assert_eq!(call("load", 65_532), Ok(vec![Value::I32(0)]), "{}", machine.name);
        assert_eq!(call("load", 65_533), out_of_bounds, "{}", machine.name);
        assert_eq!(call("grow", 2), Ok(vec![Value::I32(1)]));
        assert_eq!(call("load", 3 * 65_536 - 4), Ok(vec![Value::I32(0)]), "{}", machine.name);
        assert_eq!(call("load", 3 * 65_536 - 3), out_of_bounds, "{}", machine.name);
        assert_eq!(call("load", -1), out_of_bounds, "{}", machine.name);
        assert_eq!(call("grow", 1), Ok(vec![Value::I32(-1)]));
    }
}

#[test]
fn what_is_wrong_is_told_apart_and_the_executor_goes_on() {
    for machine in Machine::ALL {
        let mut executor = start(&machine);
        assert_eq!(refusal(executor.load(0, b"nonsense".to_vec())), RefusalKind::WrongProfile);
        let other = match machine.mode {
            Mode::Interpreter => Machine::X86_64_HARDWARE,
            Mode::Aot => Machine::X86_64_INTERPRETER,
        };
        let file = build(&other, "(module)");
        assert_eq!(refusal(executor.load(0, file)), RefusalKind::WrongProfile);
        let unknown = build(&machine, r#"(module (import "no" "where" (func)))"#);
        assert_eq!(refusal(executor.load(0, unknown)), RefusalKind::UnknownImport);
        let segment = r#"(module (memory 1) (data (i32.const 65536) "x"))"#;
        executor.load(0, build(&machine, segment)).unwrap();
        assert_eq!(refusal(executor.instantiate(0, 0, None)), RefusalKind::NotInstantiated);
        let sum = r#"(module (memory 2) (func (export "trap") (param i32) unreachable))"#;
        executor.load(0, build(&machine, sum)).unwrap();
        let limit = Some(65_536);
        assert_eq!(refusal(executor.instantiate(0, 0, limit)), RefusalKind::OverLimit);
        assert_eq!(refusal(executor.call(0, "trap", &[])), RefusalKind::BadSlot);
        executor.instantiate(0, 0, None).unwrap();
        assert_eq!(refusal(executor.call(0, "none", &[])), RefusalKind::NoSuchFunction);
        assert_eq!(refusal(executor.call(0, "trap", &[])), RefusalKind::WrongArguments);
        assert_eq!(refusal(executor.global(0, "trap")), RefusalKind::NoSuchGlobal);
        assert_eq!(refusal(executor.read_memory(0, 131_071, 2)), RefusalKind::OutOfBounds);
        assert_eq!(refusal(executor.read_memory(0, 0, u32::MAX)), RefusalKind::OutOfBounds);
        let trapped = executor.call(0, "trap", &[Value::I32(0)]).unwrap_err();
        assert_eq!(trapped.to_string(), "trap: unreachable", "{}", machine.name);
    }
}

/// The file with every instruction replaced by a breakpoint, which nothing handles.
fn with_breakpoints(mut file: Vec<u8>) -> Vec<u8> {
    const TEXT_SECTION: u32 = 2;
    let u32_at = |file: &[u8], at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut at = 8;
    while u32_at(&file, at) != TEXT_SECTION {
        at = (at + 8 + u32_at(&file, at + 4) as usize).next_multiple_of(4);
    }
    let end = at + 8 + u32_at(&file, at + 4) as usize;
    let literal_size = u32_at(&file, at + 8) as usize;
    file[at + 12 + literal_size..end].fill(0xcc);
    file
}

#[test]
fn a_crash_is_an_error_with_the_signal() {
    let machine = Machine::X86_64_SOFTWARE;
    let mut executor = start(&machine);
    let module = r#"(module (func (export "f")))"#;
    executor.load(0, with_breakpoints(build(&machine, module))).unwrap();
    executor.instantiate(0, 0, None).unwrap();
    let error = executor.call(0, "f", &[]).unwrap_err();
    assert!(error.is_fatal());
    assert!(error.to_string().contains("SIGTRAP"), "{error}");
    let error = executor.describe().unwrap_err();
    assert!(matches!(error, ExecuteError::Died { .. }), "{error}");
}

#[test]
fn an_endless_call_is_killed_after_its_time() {
    for machine in [Machine::X86_64_HARDWARE, Machine::AARCH64_SOFTWARE] {
        let module = r#"(module (func (export "f") (loop (br 0))))"#;
        let mut executor = running(&machine, module);
        executor.set_timeout(Duration::from_millis(300));
        let error = executor.call(0, "f", &[]).unwrap_err();
        assert!(matches!(error, ExecuteError::TimedOut { .. }), "{error}");
        let error = executor.describe().unwrap_err();
        assert!(matches!(error, ExecuteError::Died { .. }), "{error}");
    }
}

#[test]
fn a_large_file_and_a_large_answer_pass() {
    let machine = Machine::X86_64_INTERPRETER;
    let data = "a".repeat(3 << 20);
    let module = format!("(module (memory 64) (data (i32.const 4096) \"{data}\"))");
    let mut executor = running(&machine, &module);
    assert_eq!(executor.read_memory(0, 4096, 3 << 20).unwrap(), data.as_bytes());
}

/// WAMR would call it with the wrong convention; `aot-compiler/src/entered_imports.rs`.
#[test]
fn an_imported_function_that_is_exported_can_be_called_on_every_machine() {
    let module = r#"
        (module
          (import "spectest" "print" (func $none))
          (import "spectest" "print_i32_f32" (func $both (param i32 f32)))
          (export "both" (func $both)) (export "again" (func $both))
          (memory 1) (start $none))"#;
    for machine in Machine::ALL {
        let mut executor = start(&machine);
        executor.load(0, build(&machine, module)).unwrap();
        let printed = executor.instantiate(0, 0, None).unwrap().output;
        // WAMR's interpreter runs no start function that is imported.
        let is_run = machine.mode == Mode::Aot;
        let expected: &[u8] = if is_run { b"print()\n" } else { b"" };
        assert_eq!(printed, expected, "{}", machine.name);
        for name in ["both", "again"] {
            let arguments = [Value::I32(-7), Value::F32(1.5f32.to_bits())];
            let returned = executor.call(0, name, &arguments).unwrap();
            assert_eq!(returned.output, b"print_i32_f32(-7, 0x3fc00000)\n", "{}", machine.name);
        }
    }
}
