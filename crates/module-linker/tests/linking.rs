//! What becomes of modules that are linked, and why others are not.

use expect_test::{Expect, expect};
use module_linker::{Library, LinkError, link};
use wasmi::{Engine, Linker, Module, Store, Val};

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's module is valid text")
}

fn link_text(main: &str, libraries: &[(&str, &str)]) -> Result<Vec<u8>, LinkError> {
    let binaries: Vec<_> = libraries.iter().map(|(name, text)| (*name, wasm(text))).collect();
    let libraries: Vec<_> = binaries.iter().map(|(name, wasm)| Library { name, wasm }).collect();
    link(&wasm(main), &libraries)
}

/// Calls an export without parameters; `farrier.log` collects what it is given.
fn call(linked: &[u8], export: &str) -> (Vec<i32>, Vec<i32>) {
    let engine = Engine::default();
    let module = Module::new(&engine, linked).expect("the result is a module");
    let mut store = Store::new(&engine, Vec::<i32>::new());
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("farrier", "log", |mut caller: wasmi::Caller<'_, Vec<i32>>, value: i32| {
            caller.data_mut().push(value)
        })
        .expect("one function of this name");
    let instance = linker.instantiate_and_start(&mut store, &module).expect("it starts");
    let function = instance.get_func(&store, export).expect("the export is there");
    let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
    function.call(&mut store, &[], &mut results).expect("it returns");
    let results = results.iter().map(|value| value.i32().expect("an i32")).collect();
    (results, store.into_data())
}

fn refused(main: &str, libraries: &[(&str, &str)], expected: &Expect) {
    let error = link_text(main, libraries).expect_err("this cannot be linked");
    expected.assert_eq(&error.to_string());
}

const ADDER: &str = r#"(module (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))"#;

#[test]
fn an_import_from_a_library_is_its_function() {
    let main = r#"(module
        (import "farrier" "log" (func $log (param i32)))
        (import "math" "add" (func $add (param i32 i32) (result i32)))
        (func (export "tick") (result i32)
            (call $log (i32.const 7)) (call $add (i32.const 40) (i32.const 2))))"#;
    let linked = link_text(main, &[("math", ADDER)]).unwrap();
    assert_eq!(call(&linked, "tick"), (vec![42], vec![7]));
    // Neither the import nor the library's export is left.
    let text = format!("{linked:?}");
    assert!(!text.contains(&format!("{:?}", b"math\x03add").replace(['[', ']'], "")));
}

#[test]
fn a_library_can_use_another_and_pass_its_functions_on() {
    let main = r#"(module (import "outer" "plus" (func $plus (param i32 i32) (result i32)))
        (import "outer" "twice" (func $twice (param i32) (result i32)))
        (func (export "tick") (result i32) (call $twice (call $plus (i32.const 1) (i32.const 2)))))"#;
    let outer = r#"(module (import "math" "add" (func $add (param i32 i32) (result i32)))
        (export "plus" (func $add))
        (func (export "twice") (param i32) (result i32) (call $add (local.get 0) (local.get 0))))"#;
    let linked = link_text(main, &[("outer", outer), ("math", ADDER)]).unwrap();
    assert_eq!(call(&linked, "tick").0, [6]);
    let other_order = link_text(main, &[("math", ADDER), ("outer", outer)]).unwrap();
    assert_eq!(linked, other_order, "the order of the libraries makes no difference");
}

#[test]
fn globals_tables_and_segments_keep_their_meaning() {
    let main = r#"(module
        (import "lib" "base" (global $base i32))
        (import "lib" "count" (global $count (mut i32)))
        (import "lib" "table" (table $theirs 2 funcref))
        (import "lib" "bump" (func $bump))
        (type $get (func (result i32)))
        (table $own 4 funcref)
        (memory 1)
        (global $next i32 (i32.add (global.get $base) (i32.const 1)))
        (func $nine (result i32) (i32.const 9))
        (elem (table $own) (offset (global.get $base)) func $nine)
        (data (offset (global.get $base)) "\05")
        (data $late "\06")
        (func (export "tick") (result i32 i32 i32 i32 i32)
            (call $bump)
            (memory.init $late (i32.const 0) (i32.const 0) (i32.const 1))
            (call_indirect $own (type $get) (global.get $base))
            (call_indirect $theirs (type $get) (i32.const 1))
            (i32.load8_u (global.get $base))
            (i32.load8_u (i32.const 0))
            (i32.add (global.get $count) (global.get $next))))"#;
    let lib = r#"(module
        (global (export "base") i32 (i32.const 3))
        (global $count (export "count") (mut i32) (i32.const 100))
        (table (export "table") 2 funcref)
        (type $get (func (result i32)))
        (func $eight (type $get) (i32.const 8))
        (elem (i32.const 1) $eight)
        (func (export "bump") (global.set $count (i32.add (global.get $count) (i32.const 1)))))"#;
    let linked = link_text(main, &[("lib", lib)]).unwrap();
    assert_eq!(call(&linked, "tick").0, [9, 8, 5, 6, 105]);
}

#[test]
fn a_reference_that_only_an_export_announced_stays_valid() {
    let main = r#"(module (import "lib" "pick" (func $pick (result i32)))
        (func (export "tick") (result i32) (call $pick)))"#;
    let lib = r#"(module (table 1 funcref) (type $get (func (result i32)))
        (func $one (export "one") (type $get) (i32.const 1))
        (func (export "pick") (result i32)
            (table.set (i32.const 0) (ref.func $one))
            (call_indirect (type $get) (i32.const 0))))"#;
    let linked = link_text(main, &[("lib", lib)]).unwrap();
    assert_eq!(call(&linked, "tick").0, [1]);
}

#[test]
fn every_start_function_runs_those_of_libraries_first() {
    let starts = |number: i32| {
        format!(
            r#"(module (import "farrier" "log" (func $log (param i32)))
            (func $s (call $log (i32.const {number}))) (start $s)
            (func (export "_initialize") (call $log (i32.const {})))
            (func (export "f")))"#,
            number + 1
        )
    };
    let main = r#"(module (import "farrier" "log" (func $log (param i32)))
        (import "a" "f" (func $f))
        (func $s (call $log (i32.const 9))) (start $s) (func (export "tick") (call $f)))"#;
    let linked = link_text(main, &[("a", &starts(1))]).unwrap();
    assert_eq!(call(&linked, "tick").1, [1, 2, 9]);
}

#[test]
fn a_library_works_on_the_memory_of_the_main_module() {
    let linked = link_text(MAIN_WITH_MEMORY, &[("lib", &on_memory(65_536))]).unwrap();
    assert_eq!(call(&linked, "tick").0, [5 + 7]);
}

/// As wasm-ld lays a program out, its stack first.
const MAIN_WITH_MEMORY: &str = r#"(module
    (import "lib" "sum" (func $sum (param i32) (result i32)))
    (memory (export "memory") 1)
    (global $__stack_pointer (mut i32) (i32.const 4096))
    (data (i32.const 4096) "\05")
    (func (export "tick") (result i32) (call $sum (i32.const 4096))))"#;

/// As `--import-memory --no-stack-first --global-base` lays a library out.
fn on_memory(base: u32) -> String {
    format!(
        r#"(module (import "env" "memory" (memory 2))
        (global $__stack_pointer (mut i32) (i32.const {}))
        (data (i32.const {base}) "\07")
        (func (export "sum") (param i32) (result i32)
            (i32.add (i32.load8_u (local.get 0)) (i32.load8_u (i32.const {base})))))"#,
        base + 2_048
    )
}

#[test]
fn memories_that_cannot_be_one_are_refused_with_what_to_do() {
    refused(
        MAIN_WITH_MEMORY,
        &[("lib", &on_memory(8_192))],
        &expect![[
            r#"the main module and the library "lib" are in each other's way in the memory that they share: the main module has bytes 0 to 65536, the library "lib" has 8192 to 10240; build the library with --global-base=65536 or more"#
        ]],
    );
    let stack_first = r#"(module (import "env" "memory" (memory 2))
        (global $__stack_pointer (mut i32) (i32.const 4096)) (data (i32.const 70000) "\07")
        (func (export "sum") (param i32) (result i32) (i32.const 0)))"#;
    refused(
        MAIN_WITH_MEMORY,
        &[("lib", stack_first)],
        &expect![[
            r#"the library "lib" shares a memory and has its stack before its data, so that nobody can say where the stack ends; build it with --no-stack-first and a --global-base of its own"#
        ]],
    );
    let own = r#"(module (memory 1) (func (export "sum") (param i32) (result i32) (i32.const 0)))"#;
    refused(
        MAIN_WITH_MEMORY,
        &[("lib", own)],
        &expect![[
            r#"the library "lib" and the main module each have a memory of their own, and one module has one; build one of them with --import-memory, --no-stack-first and a --global-base behind the other's memory"#
        ]],
    );
    let none = r#"(module (import "lib" "sum" (func (param i32) (result i32))))"#;
    refused(
        none,
        &[("lib", &on_memory(65_536))],
        &expect![[
            r#"the library "lib" imports its memory as env.memory, and no module has one of its own; build the main module with a memory"#
        ]],
    );
    let small = MAIN_WITH_MEMORY.replace("\"memory\") 1)", "\"memory\") 1 1)");
    refused(
        &small,
        &[("lib", &on_memory(65_536))],
        &expect![[
            r#"the memory has to have 2 pages at least for the library "lib", and the main module lets it have 1 at most"#
        ]],
    );
}

#[test]
fn what_does_not_fit_is_named() {
    let main = |import: &str| format!(r#"(module (import "math" {import}))"#);
    refused(
        &main(r#""sub" (func (param i32))"#),
        &[("math", ADDER)],
        &expect![[
            r#"the main module imports function "sub" from "math", which does not export it; it exports "add""#
        ]],
    );
    refused(
        &main(r#""add" (func (param i64 i32) (result i32))"#),
        &[("math", ADDER)],
        &expect![[
            r#"the main module imports "add" from "math" as (i64, i32) -> (i32), and there it is (i32, i32) -> (i32); declare it as it is there"#
        ]],
    );
    refused(
        &main(r#""add" (global i32)"#),
        &[("math", ADDER)],
        &expect![[
            r#"the main module imports "add" from "math" as a global, and there it is a function; declare it as it is there"#
        ]],
    );
    refused(
        &main(r#""g" (global i32)"#),
        &[("math", r#"(module (global (export "g") (mut i32) (i32.const 0)))"#)],
        &expect![[
            r#"the main module imports "g" from "math" as a constant global of type i32, and there it is a mutable global of type i32; declare it as it is there"#
        ]],
    );
    refused(
        &main(r#""t" (table 4 funcref)"#),
        &[("math", r#"(module (table (export "t") 2 3 funcref))"#)],
        &expect![[
            r#"the main module imports "t" from "math" as a table of funcref with 4 entries at least, and there it is a table of funcref with 2 entries at least, at most 3; declare it as it is there"#
        ]],
    );
    refused(
        &main(r#""add" (func (param i32 i32) (result i32))"#),
        &[("math", ADDER), ("maths", ADDER)],
        &expect![[r#"no module imports anything from "maths"; imports are from "math""#]],
    );
}

#[test]
fn circles_and_names_are_refused() {
    let uses = |of: &str| {
        format!(r#"(module (import "{of}" "f" (func $f)) (func (export "f") (call $f)))"#)
    };
    refused(
        &uses("a"),
        &[("a", &uses("b")), ("b", &uses("c")), ("c", &uses("b"))],
        &expect![[
            r#"modules import from each other in a circle: "b" from "c" from "b"; put what both need into a module of its own"#
        ]],
    );
    refused(
        &uses("a"),
        &[("a", &uses("a"))],
        &expect![[
            r#"modules import from each other in a circle: "a" from "a"; put what both need into a module of its own"#
        ]],
    );
    refused(
        &uses("a"),
        &[("a", ADDER), ("a", ADDER)],
        &expect![[r#"two libraries have the link name "a"; give each another one"#]],
    );
    refused(
        &uses("farrier"),
        &[("farrier", ADDER)],
        &expect![[
            r#"the link name "farrier" is what devices offer themselves; choose another one"#
        ]],
    );
    refused(
        &uses("a b"),
        &[("a b", ADDER)],
        &expect![[r#""a b" is no link name: use 1 to 64 letters, digits, '-', '_', '.' or '/'"#]],
    );
    let many: Vec<String> = (0..17).map(|n| format!("l{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), ADDER)).collect();
    refused(&uses("a"), &many, &expect![[r#"17 libraries are too many: 16 are the most"#]]);
}

#[test]
fn other_files_are_told_from_modules() {
    let main = wasm(r#"(module (import "a" "f" (func)))"#);
    let refused = |library: &[u8], expected: &Expect| {
        let libraries = [Library { name: "a", wasm: library }];
        expected.assert_eq(&link(&main, &libraries).expect_err("no library").to_string());
    };
    refused(
        b"#include",
        &expect![[r#"the library "a" does not begin as a WebAssembly module does, with \0asm"#]],
    );
    refused(
        &wasm(r#"(module (@custom "linking" "\02"))"#),
        &expect![[
            r#"the library "a" is an object file, which has addresses still to be filled in; make a module of it with wasm-ld first"#
        ]],
    );
    refused(
        &wasm(r#"(module (@custom "dylink.0" ""))"#),
        &expect![[
            r#"the library "a" is a position-independent shared library (it has a section dylink.0); build it at an address of its own instead, with --import-memory and --global-base"#
        ]],
    );
    refused(
        &wasm("(module (memory 1 1 shared))"),
        &expect![[
            r#"the library "a" is not valid: threads must be enabled for shared memories (at offset 0xb)"#
        ]],
    );
}

#[test]
fn functions_are_named_after_their_library() {
    let main = r#"(module (import "math" "add" (func (param i32 i32) (result i32)))
        (func $begin (export "tick")))"#;
    let linked = link_text(main, &[("math", ADDER)]).unwrap();
    let text = String::from_utf8_lossy(&linked);
    assert!(text.contains("math::add") && text.contains("begin"), "{text}");
}

#[test]
fn constants_that_use_each_other_stay_small() {
    // Each library's constant is the one before it, a thousand times.
    let first = r#"(module (global (export "g") i32 (i32.const 1)))"#.to_owned();
    let mut libraries = vec![("l0".to_owned(), first)];
    for number in 1..6 {
        let sum = "(global.get 0) (i32.add)".repeat(1_000);
        let before = number - 1;
        libraries.push((
            format!("l{number}"),
            format!(
                r#"(module (import "l{before}" "g" (global i32))
                (global (export "g") i32 (global.get 0) {sum}))"#
            ),
        ));
    }
    let main = r#"(module (import "l5" "g" (global i32)))"#;
    let libraries: Vec<_> = libraries.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    refused(
        main,
        &libraries,
        &expect![[
            r#"the constants of the modules use each other so often that they would become too large"#
        ]],
    );
}
