//! Modules made to cost the compiler all it has. Each is refused, or compiled another
//! way, within a time; the figures are printed (`cargo test --test bombs -- --nocapture`).
//!
//! The bounds are wide, because tests run on busy machines: what they hold is that
//! nothing takes minutes. In the gateway every job has a limit of time and memory
//! besides, which ends what grows faster than its size: 100,000 nested `if`s and 49,999
//! live locals took a minute and more on two processors that sixteen programs shared.

mod support;

use aot_compiler::{CompileError, CompileOptions, compile, limits};
use std::time::{Duration, Instant};
use support::x86_64;
use target_spec::BoundsChecks;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, ElementSection, Elements, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, Ieee64, ImportSection,
    MemArg, MemorySection, MemoryType, Module, RefType, TableSection, TableType, TypeSection,
    ValType,
};

const SECONDS_MAX: u64 = 120;

/// One type, a page of memory, and functions of that type.
struct Bomb {
    params: Vec<ValType>,
    results: Vec<ValType>,
    functions: Vec<Function>,
}

impl Bomb {
    fn new(functions: Vec<Function>) -> Self {
        Self { params: vec![ValType::I32], results: vec![], functions }
    }

    fn to_wasm(&self) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function(self.params.iter().copied(), self.results.iter().copied());
        let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
        for function in &self.functions {
            declared.function(0);
            code.function(function);
        }
        let mut exports = ExportSection::new();
        exports.export("f", ExportKind::Func, 0);
        // Each can be reached, so each needs code.
        let mut segments = ElementSection::new();
        let all: Vec<u32> = (0..self.functions.len() as u32).collect();
        segments.declared(Elements::Functions(all.into()));
        let mut module = Module::new();
        module.section(&types).section(&declared).section(&one_page());
        module.section(&exports).section(&segments).section(&code);
        module.finish()
    }
}

fn one_page() -> MemorySection {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: Some(1),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    memories
}

fn at(offset: u64) -> MemArg {
    MemArg { offset, align: 0, target: wasm_encoder::MemArgTarget::Memory(0), ordering: None }
}

/// Compiles in both modes; gives the larger artifact's bytes of code, or a refusal.
#[track_caller]
fn check(what: &str, wasm: &[u8]) -> Result<u64, CompileError> {
    let mut outcome = Ok(0);
    for bounds_checks in [BoundsChecks::Software, BoundsChecks::Hardware] {
        let mut options = CompileOptions::new(bounds_checks);
        options.threads = std::num::NonZeroUsize::new(2).unwrap();
        let started = Instant::now();
        let result = compile(wasm, x86_64(), &options).map(|artifact| artifact.code_bytes);
        let took = started.elapsed();
        let said = match &result {
            Ok(code_bytes) => format!("{code_bytes} bytes of code"),
            Err(error) => format!("refused: {error}"),
        };
        println!("{what}, {bounds_checks}: {} bytes of Wasm, {took:.1?}, {said}", wasm.len());
        assert!(took < Duration::from_secs(SECONDS_MAX), "{what}, {bounds_checks}: {took:?}");
        if let Err(CompileError::Bug { message }) = &result {
            panic!("{what}: {message}");
        }
        outcome = result.and_then(|bytes| outcome.map(|other: u64| other.max(bytes)));
    }
    outcome
}

#[track_caller]
fn check_refused(what: &str, wasm: &[u8], says: &str) {
    let refusal = check(what, wasm).unwrap_err().to_string();
    assert!(refusal.contains(says), "{what}: {refusal}");
}

#[test]
fn a_hundred_thousand_functions_are_compiled_and_one_more_is_refused() {
    let function = || {
        let mut function = Function::new([]);
        function.instructions().local_get(0).i32_load(at(0)).drop().end();
        function
    };
    let bomb = |count| Bomb::new((0..count).map(|_| function()).collect()).to_wasm();
    check("100,000 functions", &bomb(limits::FUNCTIONS_MAX)).unwrap();
    check_refused("100,001 functions", &bomb(limits::FUNCTIONS_MAX + 1), "functions");
}

#[test]
fn a_giant_br_table_is_compiled() {
    let table = |blocks: u32, entries: u32| {
        let mut function = Function::new([]);
        let mut code = function.instructions();
        (0..blocks).for_each(|_| {
            code.block(BlockType::Empty);
        });
        let targets = (0..entries).map(|entry| entry % blocks).collect::<Vec<_>>();
        code.local_get(0).br_table(targets, 0);
        for _ in 0..blocks {
            // Each target does something of its own.
            code.end().local_get(0).local_get(0).i32_store(at(0));
        }
        code.end();
        Bomb::new(vec![function]).to_wasm()
    };
    check("br_table of 65,000 entries to 10 targets", &table(10, 65_000)).unwrap();
    check("br_table of 50,000 entries to 50,000 targets", &table(50_000, 50_000)).unwrap();
    check("br_table of 1,000,000 entries", &table(10, 1_000_000)).unwrap();
}

#[test]
fn ten_million_locals_are_refused_and_many_live_ones_are_compiled() {
    let locals = |count: u32| {
        let mut function = Function::new([(count, ValType::I64)]);
        function.instructions().end();
        Bomb::new(vec![function]).to_wasm()
    };
    check_refused("10,000,000 locals", &locals(10_000_000), "locals");
    check("49,999 locals that nothing uses", &locals(49_999)).unwrap();
    check("10,000 live locals", &live_locals(10_000)).unwrap();
}

/// All are loaded first, then stored: each lives over every access.
fn live_locals(count: u32) -> Vec<u8> {
    let mut function = Function::new([(count, ValType::I64)]);
    let mut code = function.instructions();
    for local in 1..=count {
        code.local_get(0).i64_load(at(u64::from(local) * 8)).local_set(local);
    }
    for local in 1..=count {
        code.local_get(0).local_get(local).i64_store(at(u64::from(local) * 8));
    }
    code.end();
    Bomb::new(vec![function]).to_wasm()
}

/// 362 s before functions had efforts.
#[test]
fn six_thousand_live_locals_with_software_bounds_are_compiled() {
    check("6,000 live locals", &live_locals(6_000)).unwrap();
}

#[test]
fn deep_nesting_is_compiled_or_refused() {
    let nested = |depth: u32, open: &dyn Fn(&mut Function)| {
        let mut function = Function::new([(8, ValType::I32)]);
        (0..depth).for_each(|_| open(&mut function));
        (0..depth).for_each(|_| {
            function.instructions().end();
        });
        function.instructions().end();
        Bomb::new(vec![function]).to_wasm()
    };
    let block = |f: &mut Function| {
        f.instructions().block(BlockType::Empty);
    };
    let in_loop = |f: &mut Function| {
        f.instructions().loop_(BlockType::Empty);
    };
    let in_if = |f: &mut Function| {
        f.instructions().local_get(0).if_(BlockType::Empty);
    };
    check("600,000 nested blocks", &nested(600_000, &block)).unwrap();
    check("50,000 nested loops", &nested(50_000, &in_loop)).unwrap();
    check("10,000 nested ifs", &nested(10_000, &in_if)).unwrap();
    check_refused("600,000 nested loops", &nested(600_000, &in_loop), "nested loops");
}

#[test]
fn one_expression_as_deep_as_a_function_may_be_long_is_compiled() {
    let deep = |depth: usize| {
        let mut function = Function::new([(1, ValType::F64)]);
        let mut code = function.instructions();
        (0..depth).for_each(|_| {
            code.f64_const(Ieee64::from(1.5));
        });
        (1..depth).for_each(|_| {
            code.f64_add();
        });
        code.local_set(1).end();
        Bomb::new(vec![function]).to_wasm()
    };
    check("an expression of 200,000 operands", &deep(200_000)).unwrap();
}

#[test]
fn huge_data_and_element_sections_cost_what_they_are_long() {
    let mut module = Module::new();
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 512,
        maximum: Some(512),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(0), vec![7; 31 << 20]);
    module.section(&memories).section(&data);
    check("31 MiB of data", &module.finish()).unwrap();

    let mut module = Module::new();
    let mut data = DataSection::new();
    (0..100_000).for_each(|_| {
        data.active(0, &ConstExpr::i32_const(0), [1]);
    });
    module.section(&one_page()).section(&data);
    check("100,000 segments of data", &module.finish()).unwrap();

    let elements = |entries: usize| {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        functions.function(0);
        let mut body = Function::new([]);
        body.instructions().end();
        code.function(&body);
        let slots = entries as u64;
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            minimum: slots,
            maximum: Some(slots),
            table64: false,
            shared: false,
        });
        let mut segments = ElementSection::new();
        let indices = vec![0; entries];
        segments.active(None, &ConstExpr::i32_const(0), Elements::Functions(indices.into()));
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&tables);
        module.section(&segments).section(&code);
        module.finish()
    };
    check("4,000,000 element entries", &elements(limits::ELEMENT_ENTRIES_MAX)).unwrap();
    check_refused("4,000,001 slots", &elements(limits::ELEMENT_ENTRIES_MAX + 1), "table slots");
}

#[test]
fn a_module_at_every_limit_of_its_counts_is_compiled() {
    let mut types = TypeSection::new();
    (0..limits::TYPES_MAX as u32).for_each(|_| types.ty().function([], []));
    let mut imports = ImportSection::new();
    for index in 0..limits::IMPORTS_MAX as u32 {
        let name = format!("f{index}");
        imports.import("m", &name, wasm_encoder::EntityType::Function(index));
    }
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    let mut body = Function::new([]);
    body.instructions().call(0).end();
    functions.function(0);
    code.function(&body);
    let mut tables = TableSection::new();
    let slots = limits::TABLE_SLOTS_MAX / limits::TABLES_MAX as u64;
    for _ in 0..limits::TABLES_MAX {
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            minimum: slots,
            maximum: Some(slots),
            table64: false,
            shared: false,
        });
    }
    let mut globals = GlobalSection::new();
    let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    (0..limits::GLOBALS_MAX).for_each(|_| {
        globals.global(ty, &ConstExpr::i32_const(1));
    });
    let mut exports = ExportSection::new();
    for index in 0..limits::EXPORTS_MAX as u32 {
        exports.export(&format!("e{index}"), ExportKind::Global, index);
    }
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&tables);
    module.section(&globals).section(&exports).section(&code);
    check("every count at its limit", &module.finish()).unwrap();
}

/// Each of `levels` functions calls the next `calls` times; the last does nothing.
fn call_tree(levels: u32, calls: u32) -> Vec<u8> {
    let to_function = |level: u32| {
        let mut function = Function::new([]);
        if level + 1 < levels {
            (0..calls).for_each(|_| {
                function.instructions().local_get(0).call(level + 1);
            });
        }
        function.instructions().end();
        function
    };
    Bomb::new((0..levels).map(to_function).collect()).to_wasm()
}

#[test]
fn calls_that_would_unfold_without_end_are_inlined_within_a_budget() {
    // Unfolded, 2 to the power of 1,000, and 20 to the power of 50.
    for (levels, calls) in [(1_000, 2), (50, 10), (1_000, 10)] {
        let wasm = call_tree(levels, calls);
        let what = format!("{levels} levels of {calls} calls");
        let code_bytes = check(&what, &wasm).unwrap();
        // What one function takes in, times what a byte of Wasm becomes at most here.
        let most = u64::from(levels) * (limits::INLINED_TOTAL_BYTES_MAX + 1_000) * 8;
        assert!(code_bytes < most, "{what}: {code_bytes}");
    }
}

/// Many tiny functions that each could take in as much as one may: without a budget
/// for the whole module 90,000 times 2,000 bytes.
#[test]
fn many_tiny_callers_share_one_budget() {
    let leaf = |next: Option<u32>| {
        let mut function = Function::new([]);
        match next {
            Some(next) => {
                (0..10).for_each(|_| {
                    function.instructions().local_get(0).call(next);
                });
            }
            None => (0..5).for_each(|_| {
                {
                    function.instructions().local_get(0).local_get(0).i32_store(at(0));
                };
            }),
        }
        function.instructions().end();
        function
    };
    let mut functions = vec![leaf(Some(1)), leaf(Some(2)), leaf(None)];
    for _ in 0..90_000 {
        let mut caller = Function::new([]);
        caller.instructions().local_get(0).call(0).end();
        functions.push(caller);
    }
    let wasm = Bomb::new(functions).to_wasm();
    let code_bytes = check("90,000 tiny callers of a tree", &wasm).unwrap();
    assert!(code_bytes < limits::TEXT_BYTES_MAX as u64, "{code_bytes}");
}
