//! The wrapper over real WAMR, with modules from our own compiler.

use aot_compiler::{CompileOptions, compile};
use std::cell::RefCell;
use std::rc::Rc;
use target_spec::Registry;
use wamr::{
    CallError, FuncType, HostFunction, Instance, InstanceConfig, InstantiateError, LoadError,
    Module, Profile, RegisterError, Runtime, Trap, Value, ValueType,
};

/// Compiles for this build and runs `body` on a WAMR thread.
fn with_runtime(body: impl FnOnce(&Runtime) + Send + 'static) {
    Runtime::spawn("test", 256 * 1024, body).unwrap().join().unwrap().unwrap();
}

fn compiled(wat: &str) -> Vec<u8> {
    let profile = Profile::of_this_build();
    let target = Registry::built_in().find(&profile.target).unwrap();
    let options = CompileOptions::new(profile.bounds_checks);
    compile(&wat::parse_str(wat).unwrap(), target, &options).unwrap().aot
}

fn with_instance(wat: &'static str, body: impl FnOnce(&mut Instance<'_>) + Send + 'static) {
    with_runtime(move |runtime| {
        let module = Module::load(runtime, &compiled(wat)).unwrap();
        body(&mut Instance::new(&module, InstanceConfig::default()).unwrap());
    });
}

fn trap(reason: &str) -> Result<Vec<Value>, CallError> {
    Err(CallError::Trap(Trap::new(reason)))
}

/// Loading and running change nothing of the bytes that it was loaded from.
#[test]
fn a_module_knows_the_bytes_that_it_was_loaded_from() {
    with_runtime(|runtime| {
        let artifact = compiled(
            r#"(module (memory 1) (data (i32.const 0) "twelve bytes") (table 2 funcref)
              (global $g (mut i64) (i64.const 7))
              (func $f (export "f") (result i64)
                (i64.store (i32.const 0) (i64.const -1))
                (global.set $g (i64.add (global.get $g) (i64.load (i32.const 4))))
                (global.get $g))
              (elem (i32.const 0) $f))"#,
        );
        let module = Module::load(runtime, &artifact).unwrap();
        Instance::new(&module, InstanceConfig::default()).unwrap().call("f", &[]).unwrap();
        assert!(module.is_of(&artifact));
        for index in 0..artifact.len() {
            let mut other = artifact.clone();
            other[index] ^= 1;
            assert!(!module.is_of(&other), "byte {index}");
        }
        assert!(!module.is_of(&artifact[..artifact.len() - 1]));
        assert!(!module.is_of(&[artifact.as_slice(), &[0]].concat()));
    });
}

#[test]
fn every_type_goes_in_and_comes_out() {
    let module = r#"
        (module
          (func (export "numbers") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
            local.get 3 local.get 2 local.get 1 local.get 0)
          (func $f (export "refs") (param externref funcref) (result funcref externref)
            local.get 1 local.get 0)
          (elem declare func $f)
          (func (export "null") (result externref) ref.null extern)
          (func (export "own") (result funcref) ref.func $f))"#;
    with_instance(module, |instance| {
        let (i32, i64) = (Value::I32(i32::MIN), Value::I64(-2));
        // A signalling NaN with a payload, and a negative zero.
        let (f32, f64) = (Value::F32(0x7fa0_1234), Value::F64((-0.0f64).to_bits()));
        assert_eq!(instance.call("numbers", &[i32, i64, f32, f64]), Ok(vec![f64, f32, i64, i32]));
        for number in [None, Some(0), Some(5), Some(u64::from(u32::MAX))] {
            let (object, function) = (Value::ExternRef(number), Value::FuncRef(None));
            assert_eq!(instance.call("refs", &[object, function]), Ok(vec![function, object]));
        }
        assert_eq!(instance.call("null", &[]), Ok(vec![Value::ExternRef(None)]));
        assert!(matches!(instance.call("own", &[]).as_deref(), Ok([Value::FuncRef(Some(_))])));
    });
}

/// Vectors in each place where a value can be: WAMR packs them without alignment.
#[test]
#[cfg(not(target_arch = "riscv64"))] // WAMR has no vectors there.
fn vectors_cross_every_boundary() {
    let module = r#"
        (module
          (type $pair (func (param v128 i32 v128) (result v128 v128 i64 v128)))
          (table funcref (elem $turn))
          (global $odd i32 (i32.const 5))
          (global $vector (export "vector") (mut v128) (v128.const i64x2 11 22))
          (func $turn (type $pair)
            (local.get 2) (local.get 0) (i64.extend_i32_s (local.get 1)) (global.get $vector))
          (func (export "turn") (type $pair)
            (call $turn (local.get 0) (local.get 1) (local.get 2)))
          (func (export "turn_by_table") (type $pair)
            (call_indirect (type $pair)
              (local.get 0) (local.get 1) (local.get 2) (i32.const 0)))
          (func (export "set") (param v128) (global.set $vector (local.get 0)))
          (func (export "zero") (result v128) (local v128) (local.get 0)))"#;
    with_instance(module, |instance| {
        let (first, second) = (Value::V128(u128::MAX - 7), Value::V128(0x0123_4567 << 90));
        let initial = Value::V128(22 << 64 | 11);
        assert_eq!(instance.global("vector"), Some(initial));
        for name in ["turn", "turn_by_table"] {
            let found = instance.call(name, &[first, Value::I32(-3), second]);
            assert_eq!(found, Ok(vec![second, first, Value::I64(-3), initial]), "{name}");
        }
        assert_eq!(instance.call("set", &[second]), Ok(vec![]));
        assert_eq!(instance.global("vector"), Some(second));
        assert!(instance.set_global("vector", first));
        assert_eq!(instance.call("zero", &[]), Ok(vec![Value::V128(0)]));
    });
}

/// Beyond the eight registers WAMR puts vectors at any multiple of 8 on the stack,
/// and the calling conventions at multiples of 16 only.
#[test]
#[cfg(not(target_arch = "riscv64"))]
fn vectors_on_the_stack_are_where_wamr_puts_them() {
    // Nine integers beside the environment, so that an odd number is on the stack
    // whether six or eight registers take them.
    let params = format!("{} {} f32 v128 i64 v128", "i64 ".repeat(9), "v128 ".repeat(7));
    let gets: String = (0..20).map(|index| format!("local.get {index} ")).collect();
    let module = format!(
        r#"(module
             (func $inner (param {params}) (result {params}) {gets})
             (func (export "mirror") (param {params}) (result {params}) {gets} call $inner))"#
    );
    with_runtime(move |runtime| {
        let module = Module::load(runtime, &compiled(&module)).unwrap();
        let mut instance = Instance::new(&module, InstanceConfig::default()).unwrap();
        let vector = |number: u128| Value::V128(number << 64 | 0x7ff4_0000_0000_0001);
        let mut args: Vec<_> = (0..9).map(|number| Value::I64(number << 40)).collect();
        args.extend((100..107).map(vector));
        args.extend([Value::F32(7), vector(200), Value::I64(-1), vector(300)]);
        assert_eq!(instance.call("mirror", &args), Ok(args.clone()));
    });
}

#[test]
fn a_call_may_have_more_than_64_cells() {
    let params = "i64 ".repeat(40);
    let gets: String = (0..40).map(|index| format!("local.get {index} ")).collect();
    let module =
        format!(r#"(module (func (export "mirror") (param {params}) (result {params}) {gets}))"#);
    with_runtime(move |runtime| {
        let module = Module::load(runtime, &compiled(&module)).unwrap();
        let mut instance = Instance::new(&module, InstanceConfig::default()).unwrap();
        let args: Vec<_> = (0..40).map(|number| Value::I64(number << 33)).collect();
        assert_eq!(instance.call("mirror", &args), Ok(args.clone()));
    });
}

#[test]
fn wrong_calls_are_refused_before_wamr() {
    let module = r#"(module (func (export "f") (param i32)) (memory (export "m") 1))"#;
    with_instance(module, |instance| {
        for (name, args) in [("f", vec![]), ("f", vec![Value::F32(0)])] {
            assert!(matches!(instance.call(name, &args), Err(CallError::Arguments { .. })));
        }
        for name in ["m", "g", "", "f\0"] {
            let no_such = CallError::NoSuchFunction(name.to_owned());
            assert_eq!(instance.call(name, &[]), Err(no_such));
        }
    });
}

#[test]
fn traps_have_their_reason_and_leave_the_instance_callable() {
    let module = r#"
        (module
          (memory 1 2)
          (table 1 funcref)
          (func (export "unreachable") unreachable)
          (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
          (func (export "load") (param i32) (result i32) (i32.load offset=4 (local.get 0)))
          (func (export "call") (param i32) (call_indirect (local.get 0)))
          (func $deep (export "deep") (call $deep) (call $deep)))"#;
    with_instance(module, |instance| {
        for _ in 0..2 {
            assert_eq!(instance.call("unreachable", &[]), trap("unreachable"));
            assert_eq!(instance.call("divide", &[Value::I32(0)]), trap("integer divide by zero"));
            for address in [65_529, 65_533, 70_000, -1, i32::MIN] {
                let found = instance.call("load", &[Value::I32(address)]);
                assert_eq!(found, trap("out of bounds memory access"), "{address}");
            }
            assert_eq!(instance.call("call", &[Value::I32(0)]), trap("uninitialized element"));
            assert_eq!(instance.call("call", &[Value::I32(1)]), trap("undefined element"));
            assert_eq!(instance.call("deep", &[]), trap("native stack overflow"));
            assert_eq!(instance.call("divide", &[Value::I32(1)]), Ok(vec![Value::I32(1)]));
            assert_eq!(instance.call("load", &[Value::I32(65_528)]), Ok(vec![Value::I32(0)]));
        }
    });
}

#[test]
fn memory_and_globals_are_reached_from_outside() {
    let module = r#"
        (module
          (memory (export "memory") 1 3)
          (data (i32.const 65534) "ab")
          (global (export "byte") (mut i32) (i32.const 3))
          (global (export "wide") (mut i64) (i64.const -4))
          (global (export "half") f32 (f32.const 1.5))
          (global (export "real") (mut f64) (f64.const 2.5))
          (func (export "grow") (result i32) (memory.grow (i32.const 1)))
          (func (export "wide_now") (result i64) (global.get 1)))"#;
    with_instance(module, |instance| {
        assert_eq!(instance.read_memory(65_534, 2), Ok(b"ab".to_vec()));
        let refusal = instance.read_memory(65_534, 3).unwrap_err().to_string();
        assert_eq!(refusal, "3 bytes at 65534 are beyond the memory of 65536 bytes");
        assert!(instance.write_memory(u32::MAX, b"x").is_err());
        assert_eq!(instance.call("grow", &[]), Ok(vec![Value::I32(1)]));
        assert_eq!(instance.memory_bytes(), 2 * 65_536);
        assert_eq!(instance.write_memory(131_070, b"yz"), Ok(()));
        assert_eq!(instance.read_memory(131_070, 2), Ok(b"yz".to_vec()));

        assert_eq!(instance.global("byte"), Some(Value::I32(3)));
        assert_eq!(instance.global("half"), Some(Value::F32(1.5f32.to_bits())));
        assert_eq!(instance.global("real"), Some(Value::F64(2.5f64.to_bits())));
        assert!(instance.set_global("wide", Value::I64(9)));
        assert_eq!(instance.global("wide"), Some(Value::I64(9)));
        assert_eq!(instance.call("wide_now", &[]), Ok(vec![Value::I64(9)]));
        assert!(!instance.set_global("half", Value::F32(0)), "it is not mutable");
        assert!(!instance.set_global("byte", Value::I64(0)), "it has another type");
        assert_eq!(instance.global("memory"), None);
    });
}

#[test]
fn a_memory_limit_holds_at_the_start_and_when_growing() {
    with_runtime(|runtime| {
        let wat = r#"(module (memory 2) (func (export "grow") (param i32) (result i32)
            (memory.grow (local.get 0))))"#;
        let module = Module::load(runtime, &compiled(wat)).unwrap();
        let instance = |memory_bytes_max| {
            let config =
                InstanceConfig { memory_bytes_max: Some(memory_bytes_max), ..Default::default() };
            Instance::new(&module, config)
        };
        let (initial, limit) = (131_072, 131_071);
        assert_eq!(instance(limit).err(), Some(InstantiateError::OverLimit { initial, limit }));
        let mut small = instance(4 * 65_536 - 1).unwrap();
        assert_eq!(small.call("grow", &[Value::I32(2)]), Ok(vec![Value::I32(-1)]));
        assert_eq!(small.call("grow", &[Value::I32(1)]), Ok(vec![Value::I32(2)]));
        assert_eq!(small.call("grow", &[Value::I32(1)]), Ok(vec![Value::I32(-1)]));
    });
}

#[test]
fn host_functions_get_their_arguments_their_memory_and_their_state() {
    with_runtime(|runtime| {
        use ValueType::{F32, F64, I32, I64};
        let seen: Rc<RefCell<Vec<Value>>> = Rc::default();
        let seen_inside = Rc::clone(&seen);
        let note = HostFunction::new(
            "test",
            "note",
            FuncType::new([I32, F32, I64, F64], []),
            move |_, args| {
                seen_inside.borrow_mut().extend(args);
                Ok(None)
            },
        );
        let half = HostFunction::new("test", "half", FuncType::new([F32], [F32]), |_, args| {
            let [Value::F32(bits)] = args else { return Err(Trap::new("no float")) };
            Ok(Some(Value::F32((f32::from_bits(*bits) / 2.0).to_bits())))
        });
        let count =
            HostFunction::new("test", "count", FuncType::new([I32], [I64]), |caller, args| {
                let [Value::I32(address)] = args else { return Err(Trap::new("no address")) };
                let byte = caller.slice(address.cast_unsigned(), 1)?[0];
                let total = caller.state::<u64>().ok_or(Trap::new("no state"))?;
                *total += u64::from(byte);
                Ok(Some(Value::I64(total.cast_signed())))
            });
        let refuse = HostFunction::new("test", "refuse", FuncType::new([], []), |_, _| {
            Err(Trap::new("refused, ".repeat(40)))
        });
        for function in [note, half, count, refuse] {
            runtime.register(function).unwrap();
        }
        let again = HostFunction::new("test", "half", FuncType::new([], []), |_, _| Ok(None));
        assert!(matches!(runtime.register(again), Err(RegisterError::Twice { .. })));

        let wat = r#"
            (module
              (import "test" "note" (func $note (param i32 f32 i64 f64)))
              (import "test" "half" (func $half (param f32) (result f32)))
              (import "test" "count" (func $count (param i32) (result i64)))
              (import "test" "refuse" (func $refuse))
              (memory 1)
              (data (i32.const 8) "\05")
              (func (export "note") (param i32 f32 i64 f64)
                local.get 0 local.get 1 local.get 2 local.get 3 call $note)
              (func (export "half") (param f32) (result f32) local.get 0 call $half)
              (func (export "count") (param i32) (result i64) local.get 0 call $count)
              (func (export "refuse") call $refuse)
              (export "direct" (func $half)))"#;
        let module = Module::load(runtime, &compiled(wat)).unwrap();
        let config = InstanceConfig { state: Box::new(100u64), ..Default::default() };
        let mut instance = Instance::new(&module, config).unwrap();

        let args = [Value::I32(-1), Value::F32(7), Value::I64(1 << 40), Value::F64(9)];
        assert_eq!(instance.call("note", &args), Ok(vec![]));
        assert_eq!(*seen.borrow(), args);
        let quarter = Value::F32(0.25f32.to_bits());
        assert_eq!(instance.call("half", &[Value::F32(0.5f32.to_bits())]), Ok(vec![quarter]));
        assert_eq!(instance.call("count", &[Value::I32(8)]), Ok(vec![Value::I64(105)]));
        assert_eq!(instance.call("count", &[Value::I32(8)]), Ok(vec![Value::I64(110)]));
        assert_eq!(instance.state::<u64>(), Some(&mut 110));
        // Longer than WAMR's own buffer for a reason.
        assert_eq!(instance.call("refuse", &[]), trap(&"refused, ".repeat(40)));
        let reason = "out of bounds memory access: 1 bytes at 65536 passed to a host function";
        assert_eq!(instance.call("count", &[Value::I32(65_536)]), trap(reason));
        assert_eq!(instance.call("count", &[Value::I32(8)]), Ok(vec![Value::I64(115)]));
    });
}

#[test]
fn a_host_function_is_not_entered_without_stack_for_it() {
    with_runtime(|runtime| {
        let touch = HostFunction::new("test", "touch", FuncType::new([], []), |_, _| {
            let mut buffer = [0u8; 16 * 1024];
            std::hint::black_box(&mut buffer);
            Ok(None)
        });
        runtime.register(touch).unwrap();
        let wat = r#"
            (module
              (import "test" "touch" (func $touch))
              (func $deep (export "deep") (call $touch) (call $deep) (call $touch)))"#;
        let module = Module::load(runtime, &compiled(wat)).unwrap();
        let mut instance = Instance::new(&module, InstanceConfig::default()).unwrap();
        for _ in 0..3 {
            assert_eq!(instance.call("deep", &[]), trap("native stack overflow"));
        }
    });
}

#[test]
fn imports_are_checked_before_linking() {
    with_runtime(|runtime| {
        let log = HostFunction::new("test", "log", FuncType::new([], []), |_, _| Ok(None));
        runtime.register(log).unwrap();
        let load = |wat: &str| Module::load(runtime, &compiled(wat)).err();
        // WAMR itself would take "log" for "_log".
        let names = vec!["test._log () -> ()".to_owned(), "b.c (externref) -> ()".to_owned()];
        let offered = vec!["test.log".to_owned()];
        assert_eq!(
            load(
                r#"(module (import "test" "_log" (func)) (import "b" "c" (func (param externref))))"#
            ),
            Some(LoadError::UnknownImports { names, offered })
        );
        assert!(matches!(
            load(r#"(module (import "test" "log" (func (result i32))))"#),
            Some(LoadError::ImportType { .. })
        ));
        assert_eq!(load(r#"(module (import "test" "log" (func)))"#), None);
    });
}

#[test]
fn a_failed_instantiation_gives_the_modules_own_reason() {
    with_runtime(|runtime| {
        let reason = |wat: &str| {
            let module = Module::load(runtime, &compiled(wat)).unwrap();
            match Instance::new(&module, InstanceConfig::default()) {
                Err(InstantiateError::Failed(trap)) => trap.reason,
                other => panic!("expected a failure, got {:?}", other.err()),
            }
        };
        assert_eq!(reason("(module (func $s unreachable) (start $s))"), "unreachable");
        let segment = reason(r#"(module (memory 1) (data (i32.const 65535) "ab"))"#);
        assert!(segment.contains("out of bounds memory access"), "{segment}");
    });
}

#[test]
fn a_shared_module_lives_as_long_as_its_last_instance() {
    with_runtime(|runtime| {
        let module =
            r#"(module (data "x") (memory 1) (func (export "f") (result i32) i32.const 5))"#;
        let module = Rc::new(Module::load(runtime, &compiled(module)).unwrap());
        let mut first = Instance::of_shared(Rc::clone(&module), InstanceConfig::default()).unwrap();
        let mut second = Instance::of_shared(module, InstanceConfig::default()).unwrap();
        assert_eq!(first.call("f", &[]), Ok(vec![Value::I32(5)]));
        drop(first);
        assert_eq!(second.call("f", &[]), Ok(vec![Value::I32(5)]));
    });
}
