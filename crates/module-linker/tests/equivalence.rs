//! Random pairs of modules do the same linked into one as in two instances that another
//! engine's own linker has connected.

use module_linker::{Library, LinkError, link};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use std::fmt::Write;
use wasmi::{Engine, Extern, Instance, Linker, Module, Store, Val};

const CASES: u32 = 200;

/// What a function body does, one after the other; each leaves an i32 in `$a`.
#[derive(Debug, Clone)]
enum Step {
    Add(i32),
    Multiply(i32),
    /// One of the functions before, of this module or the other.
    Call(u8),
    CallByTable(u8),
    ReadGlobal(u8),
    WriteGlobal(u8),
    Load(u8),
    Store(u8),
    Grow,
    InitMemory(u8),
    RefIsNull(u8),
    If(i32),
    Log,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<i32>().prop_map(Step::Add),
        any::<i32>().prop_map(Step::Multiply),
        any::<u8>().prop_map(Step::Call),
        any::<u8>().prop_map(Step::CallByTable),
        any::<u8>().prop_map(Step::ReadGlobal),
        any::<u8>().prop_map(Step::WriteGlobal),
        any::<u8>().prop_map(Step::Load),
        any::<u8>().prop_map(Step::Store),
        Just(Step::Grow),
        any::<u8>().prop_map(Step::InitMemory),
        any::<u8>().prop_map(Step::RefIsNull),
        any::<i32>().prop_map(Step::If),
        Just(Step::Log),
    ]
}

#[derive(Debug, Clone)]
struct Shape {
    functions: Vec<Vec<Step>>,
    globals: Vec<i32>,
    table: Vec<u8>,
    data: u8,
    has_start: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        proptest::collection::vec(proptest::collection::vec(step(), 0..8), 1..5),
        proptest::collection::vec(any::<i32>(), 1..4),
        proptest::collection::vec(any::<u8>(), 1..4),
        any::<u8>(),
        any::<bool>(),
    )
        .prop_map(|(functions, globals, table, data, has_start)| Shape {
            functions,
            globals,
            table,
            data,
            has_start,
        })
}

/// Which of the two has the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Main,
    Library,
    /// The library's, which the main module imports.
    Both,
}

fn body(text: &mut String, steps: &[Step], before: usize, shape: &Shape, has_memory: bool) {
    let pick = |choice: u8, of: usize| usize::from(choice) % of.max(1);
    for step in steps {
        let written = match step {
            Step::Add(value) => {
                write!(text, "(local.set $a (i32.add (local.get $a) (i32.const {value})))")
            }
            Step::Multiply(value) => {
                write!(text, "(local.set $a (i32.mul (local.get $a) (i32.const {value})))")
            }
            Step::Call(choice) if before > 0 => {
                let callee = pick(*choice, before);
                write!(text, "(local.set $a (call {callee} (local.get $a)))")
            }
            Step::CallByTable(choice) => write!(
                text,
                "(if (i32.lt_u (global.get $depth) (i32.const 3)) (then
                   (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
                   (local.set $a (call_indirect $t (type $step) (local.get $a) (i32.const {})))))",
                pick(*choice, shape.table.len() + 1)
            ),
            Step::ReadGlobal(choice) => write!(
                text,
                "(local.set $a (i32.xor (local.get $a) (global.get $g{})))",
                pick(*choice, shape.globals.len())
            ),
            Step::WriteGlobal(choice) => {
                write!(text, "(global.set $g{} (local.get $a))", pick(*choice, shape.globals.len()))
            }
            Step::Load(place) if has_memory => {
                write!(text, "(local.set $a (i32.load8_u (i32.const {place})))")
            }
            Step::Store(place) if has_memory => {
                write!(text, "(i32.store8 (i32.const {place}) (local.get $a))")
            }
            Step::Grow if has_memory => {
                write!(text, "(local.set $a (i32.add (memory.grow (i32.const 1)) (memory.size)))")
            }
            Step::InitMemory(place) if has_memory => {
                write!(text, "(memory.init $late (i32.const {place}) (i32.const 0) (i32.const 2))")
            }
            Step::RefIsNull(choice) => write!(
                text,
                "(local.set $a (ref.is_null (table.get $t (i32.const {}))))",
                pick(*choice, shape.table.len() + 1)
            ),
            Step::If(value) => write!(
                text,
                "(if (i32.lt_s (local.get $a) (i32.const {value}))
                   (then (local.set $a (i32.const {value}))))"
            ),
            Step::Log => write!(text, "(call $log (local.get $a))"),
            _ => Ok(()),
        };
        written.expect("a String takes what it is given");
    }
}

/// `imported` is what it takes from the other one, whose shape this is.
fn module(shape: &Shape, imported: Option<&Shape>, memory: Memory) -> String {
    let is_main = imported.is_some();
    let mut text = "(module (type $step (func (param i32) (result i32)))".to_owned();
    text +=
        r#"(type $unused (func (param i64 f32))) (import "farrier" "log" (func $log (param i32)))"#;
    let mut before = 1;
    for (number, _) in imported.iter().flat_map(|other| &other.functions).enumerate() {
        text += &format!(r#"(import "lib" "f{number}" (func (type $step)))"#);
        before += 1;
    }
    let has_memory = memory == Memory::Both || (memory == Memory::Main) == is_main;
    if is_main {
        text += r#"(import "lib" "constant" (global $constant i32))
            (import "lib" "g0" (global $theirs (mut i32)))"#;
    }
    match has_memory {
        true if is_main && memory == Memory::Both => {
            text += r#"(import "lib" "memory" (memory 1))"#;
        }
        true => text += r#"(memory (export "memory") 1 5)"#,
        false => {}
    }
    for (number, value) in shape.globals.iter().enumerate() {
        text +=
            &format!(r#"(global $g{number} (export "g{number}") (mut i32) (i32.const {value}))"#);
    }
    text += "(global $depth (mut i32) (i32.const 0))";
    // Functions are counted with the import before them; `f0` logs nothing of its own.
    let first_own = before;
    let offset = if is_main {
        text += "(global $more i32 (i32.mul (global.get $constant) (i32.const 3)))";
        "(global.get $constant)"
    } else {
        text += r#"(global (export "constant") i32 (i32.const 1))"#;
        "(i32.const 1)"
    };
    text += &format!("(table $t {} funcref)", shape.table.len() + 1);
    text += &format!("(elem (table $t) (offset {offset}) func");
    for entry in &shape.table {
        text += &format!(" {}", first_own + usize::from(*entry) % shape.functions.len());
    }
    text += ")";
    if has_memory {
        // Of two that share a memory each has a place of its own.
        let place = 300 + if is_main { 20 } else { 0 };
        text += &format!(r#"(data (i32.const {place}) "\{:02x}") (data $late "ab")"#, shape.data);
    }
    for (number, steps) in shape.functions.iter().enumerate() {
        text += &format!(r#"(func (export "f{number}") (type $step) (local $a i32)"#);
        text += "(local.set $a (local.get 0))";
        if is_main {
            text += "(local.set $a (i32.add (local.get $a) (global.get $theirs)))";
        }
        // The first function is the log, which has another type.
        let steps: Vec<Step> = steps.iter().map(|step| shift(step, before)).collect();
        body(&mut text, &steps, before, shape, has_memory);
        text += "(local.get $a))";
        before += 1;
    }
    if shape.has_start {
        text += &format!(
            "(func $s (global.set $depth (i32.const 0)) (drop (call {first_own} (i32.const 5)))) (start $s)"
        );
    }
    text + ")"
}

/// A call of anything but the log.
fn shift(step: &Step, before: usize) -> Step {
    match step {
        Step::Call(_) if before < 2 => Step::Add(1),
        // Cannot overflow: at most ten functions are there.
        Step::Call(choice) => Step::Call(1 + (usize::from(*choice) % (before - 1)) as u8),
        other => other.clone(),
    }
}

type Log = Vec<i32>;

fn host(engine: &Engine) -> Linker<Log> {
    let mut linker = Linker::new(engine);
    linker
        .func_wrap("farrier", "log", |mut caller: wasmi::Caller<'_, Log>, value: i32| {
            caller.data_mut().push(value)
        })
        .expect("one function of this name");
    linker
}

/// Everything that can be seen of an instance: what calls return or that they trap, what
/// was logged, the globals and the memory.
fn observe(store: &mut Store<Log>, instance: &Instance, shape: &Shape) -> String {
    let mut seen = String::new();
    for number in 0..shape.functions.len() {
        for argument in [0, -7] {
            let function = instance.get_func(&*store, &format!("f{number}")).expect("an export");
            let mut results = [Val::I32(0)];
            let called = function.call(&mut *store, &[Val::I32(argument)], &mut results);
            seen += &match called {
                Ok(()) => format!("{:?} ", results[0].i32()),
                Err(error) => format!("{error} "),
            };
        }
    }
    for number in 0..shape.globals.len() {
        let global = instance.get_global(&*store, &format!("g{number}")).expect("an export");
        seen += &format!("{:?} ", global.get(&*store).i32());
    }
    if let Some(memory) = instance.get_export(&*store, "memory").and_then(Extern::into_memory) {
        let bytes = memory.data(&*store);
        seen += &format!("{} {:?}", bytes.len(), &bytes[..400]);
    }
    seen + &format!("{:?}", store.data())
}

fn as_one(linked: &[u8], shape: &Shape) -> Result<String, String> {
    let engine = Engine::default();
    let module = Module::new(&engine, linked).expect("the result is valid");
    assert!(module.imports().all(|import| import.module() == "farrier"));
    let mut store = Store::new(&engine, Log::new());
    let instance = host(&engine).instantiate_and_start(&mut store, &module);
    let instance = instance.map_err(|error| error.to_string())?;
    Ok(observe(&mut store, &instance, shape))
}

fn as_two(main: &[u8], lib: &[u8], shape: &Shape) -> Result<String, String> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, Log::new());
    let mut linker = host(&engine);
    let lib = Module::new(&engine, lib).map_err(|error| error.to_string())?;
    let lib = linker.instantiate_and_start(&mut store, &lib).map_err(|error| error.to_string())?;
    linker.instance(&mut store, "lib", lib).map_err(|error| error.to_string())?;
    let main = Module::new(&engine, main).map_err(|error| error.to_string())?;
    let main = linker.instantiate_and_start(&mut store, &main);
    let main = main.map_err(|error| error.to_string())?;
    Ok(observe(&mut store, &main, shape))
}

#[test]
fn linked_modules_do_what_two_instances_do() {
    let memory = prop_oneof![Just(Memory::Main), Just(Memory::Library), Just(Memory::Both)];
    let config = ProptestConfig { cases: CASES, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let started = Cell::new(0);
    let result = runner.run(&(shape(), shape(), memory), |(main, lib, memory)| {
        let fail = |error: String| TestCaseError::fail(error);
        let binary = |text: &str| wat::parse_str(text).map_err(|e| fail(e.to_string()));
        let main_wasm = binary(&module(&main, Some(&lib), memory))?;
        let lib_wasm = binary(&module(&lib, None, memory))?;
        let linked = link(&main_wasm, &[Library { name: "lib", wasm: &lib_wasm }]);
        let linked = linked.map_err(|error| fail(error.to_string()))?;
        match (as_one(&linked, &main), as_two(&main_wasm, &lib_wasm, &main)) {
            // Start functions that trap do so in both, each with its own words around it.
            (Err(_), Err(_)) => {}
            (one, two) => {
                started.set(started.get() + 1);
                prop_assert_eq!(one, two);
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(started.get() > CASES / 2, "only {} of {CASES} pairs ran at all", started.get());
}

proptest! {
    #[test]
    fn changed_modules_are_linked_or_refused(
        main in shape(),
        lib in shape(),
        changes in proptest::collection::vec((any::<bool>(), any::<u16>(), any::<u8>()), 1..4),
    ) {
        let binary = |text: &str| wat::parse_str(text).map_err(|e| TestCaseError::fail(e.to_string()));
        let mut main_wasm = binary(&module(&main, Some(&lib), Memory::Both))?;
        let mut lib_wasm = binary(&module(&lib, None, Memory::Both))?;
        for (of_main, place, byte) in changes {
            let wasm = if of_main { &mut main_wasm } else { &mut lib_wasm };
            let place = usize::from(place) % wasm.len();
            wasm[place] = byte;
        }
        // The result is validated before it is given out.
        let linked = link(&main_wasm, &[Library { name: "lib", wasm: &lib_wasm }]);
        let is_bug = matches!(&linked, Err(LinkError::Bug { .. }));
        prop_assert!(!is_bug, "{:?}", linked);
    }
}
