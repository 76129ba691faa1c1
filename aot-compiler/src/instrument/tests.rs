//! Where charges go, shown as text; the cost table against its page and `wasmparser`.

use super::charge_points::{Charge, charge_points};
use super::{cost_table, meter, recognise::recognise};
use crate::error::ModuleError;
use crate::intake;
use std::fmt::Write;

/// The first function's instructions with the charges in front of them.
#[track_caller]
fn charges(text: &str) -> String {
    let wasm = wat::parse_str(text).unwrap();
    let module = intake::read_module(&wasm).unwrap();
    let body = &module.info.bodies[0];
    let mut points = charge_points(body, module.info.imported_function_count()).unwrap();
    let mut shown = String::new();
    for operator in body.get_operators_reader().unwrap().into_iter_with_offsets() {
        let (operator, offset) = operator.unwrap();
        let here = points.partition_point(|point| point.offset <= offset);
        for point in points.drain(..here) {
            match point.charge {
                Charge::Block(gas) => write!(shown, "[{gas}] ").unwrap(),
                Charge::Times(gas) => write!(shown, "[{gas} each] ").unwrap(),
                Charge::PerUnits(units) => write!(shown, "[1 for {units}] ").unwrap(),
            }
        }
        let name = format!("{operator:?}");
        let name = name.split([' ', '{']).next().unwrap_or_default();
        write!(shown, "{name} ").unwrap();
    }
    assert_eq!(points, [], "a charge behind the last instruction");
    shown.trim_end().to_owned()
}

#[test]
fn a_straight_line_with_calls_and_blocks_is_one_charge() {
    let body = "(module (func $f (param i32) (local i64)
      (block (drop (i32.add (local.get 0) (i32.const 1)))) (call $f (i32.load (i32.const 0)))) (memory 1))";
    assert_eq!(
        charges(body),
        "[13] Block LocalGet I32Const I32Add Drop End I32Const I32Load Call End"
    );
}

#[test]
fn a_block_begins_where_control_arrives_or_parts() {
    let body = "(module (func (param i32)
      (if (local.get 0) (then (nop)) (else (drop (i32.const 1))))
      (block (loop (br_if 1 (local.get 0)) (br 0)))
      (drop (local.get 0))))";
    assert_eq!(
        charges(body),
        "[4] LocalGet If [0] Nop Else [2] I32Const Drop End \
         [0] Block Loop [3] LocalGet BrIf [1] Br End End [2] LocalGet Drop End"
    );
}

#[test]
fn an_empty_loop_and_an_empty_function_cost_something() {
    assert_eq!(charges("(module (func (loop (br 0))))"), "[2] Loop [2] Br End End");
    assert_eq!(charges("(module (func))"), "[2] End");
    let many =
        "(module (func (local i32 i64 i64 i64 i64 i64 i64 i64 i64 f32 f32 f32 f32 f32 f32 f32)))";
    assert_eq!(charges(many), "[3] End");
}

#[test]
fn code_that_is_not_reached_is_not_charged() {
    let body = "(module (func (result i32)
      (block (br 0) (drop (i32.const 1)) (block (br 0) (br 1)) (if (i32.const 1) (then (nop))))
      (block (return (i32.const 2)))
      (if (i32.const 3) (then (unreachable)) (else (unreachable)))
      (i32.const 4)))";
    assert_eq!(
        charges(body),
        "[3] Block Br I32Const Drop Block Br Br End I32Const If Nop End End \
         [2] Block I32Const Return End I32Const If Unreachable Else Unreachable End I32Const End"
    );
}

#[test]
fn what_depends_on_an_operand_is_charged_before_the_instruction() {
    let body = r#"(module (import "a" "b" (func $host)) (memory 1) (table 1 funcref)
      (func (drop (memory.grow (i32.const 1)))
        (memory.fill (i32.const 0) (i32.const 0) (i32.const 9))
        (drop (table.grow (ref.null func) (i32.const 2))) (call $host)))"#;
    assert_eq!(
        charges(body),
        "[208] I32Const [8192 each] MemoryGrow Drop I32Const I32Const I32Const [1 for 8] MemoryFill \
         RefNull I32Const [1 each] TableGrow Drop Call End"
    );
}

#[test]
fn instantiation_is_charged_by_what_it_allocates_and_copies() {
    let text = r#"(module (memory 2) (table 10 funcref)
      (data (i32.const 0) "0123456789abcdef") (data "passive, so free of charge")
      (elem (i32.const 0) $f $f $f) (elem funcref (ref.func $f)) (func $f))"#;
    let metered = meter(&wat::parse_str(text).unwrap()).unwrap();
    assert_eq!(metered.note.instantiation_gas, 2 * 8192 + 2 + 10 + 3);
}

#[test]
fn a_metered_module_is_valid_aligned_deterministic_and_recognised() {
    let modules = [
        "(module)",
        r#"(module (import "a" "b" (func)))"#,
        "(module (global i32 (i32.const 1)) (func))",
        "(module (type (func (param i64))) (global i32 (i32.const 1)) (global f64 (f64.const 1)))",
        "(module (memory 1) (func $s (local i32) (memory.fill (i32.const 0) (i32.const 1) (i32.const 2))) (start $s))",
    ];
    for text in modules {
        let wasm = wat::parse_str(text).unwrap();
        let metered = meter(&wasm).unwrap();
        assert_eq!(metered, meter(&wasm).unwrap());
        let module = intake::read_module(&metered.wasm).unwrap();
        assert_eq!(recognise(&metered.wasm, &module.info), Some(metered.note.clone()), "{text}");
        assert_eq!(module.info.start, None);
        let layout = crate::abi::InstanceLayout::of(&module.info);
        for global in [metered.note.used_global, metered.note.limit_global] {
            assert_eq!(layout.global(global) % 8, 0, "{text}");
        }
    }
}

#[test]
fn a_module_with_a_reserved_name_is_refused_by_that_name() {
    let wasm = wat::parse_str(r#"(module (func (export "farrier_start")))"#).unwrap();
    let name = "farrier_start".to_owned();
    assert_eq!(meter(&wasm), Err(ModuleError::Reserved { what: "export", name }));
    let twice = meter(&meter(&wat::parse_str("(module)").unwrap()).unwrap().wasm);
    assert!(matches!(twice, Err(ModuleError::Reserved { .. })));
}

/// One byte changed in the function that charges: it is compiled as what it is.
#[test]
fn a_forged_charging_function_is_not_recognised() {
    let metered = meter(&wat::parse_str("(module (func))").unwrap()).unwrap();
    let mut forged = metered.wasm.clone();
    // i64.add, alone in this module.
    let places: Vec<_> = (0..forged.len()).filter(|at| forged[*at] == 0x7c).collect();
    let [add] = places[..] else { panic!("{places:?}") };
    forged[add] = 0x7d; // i64.sub
    let module = intake::read_module(&forged).unwrap();
    assert_eq!(recognise(&forged, &module.info), None);
}

macro_rules! operators_with_proposals {
    ($(@$proposal:ident $name:ident $({ $($args:tt)* })? => $visit:ident ($($arity:tt)*))*) => {
        [$((stringify!($proposal), stringify!($name), stringify!($visit))),*]
    };
}

/// Those that intake may ever admit; the others are refused by their proposal.
const PROPOSALS: [&str; 9] = [
    "mvp",
    "sign_extension",
    "saturating_float_to_int",
    "bulk_memory",
    "reference_types",
    "tail_call",
    "simd",
    "relaxed_simd",
    "function_references",
];

#[test]
fn every_instruction_of_the_supported_proposals_has_exactly_one_cost() {
    let all = wasmparser::for_each_operator!(operators_with_proposals);
    let mut wanted: Vec<_> = all
        .iter()
        .filter(|row| PROPOSALS.contains(&row.0) && row.1 != "TypedSelectMulti")
        .map(|row| row.1)
        .collect();
    let mut found: Vec<_> = cost_table::ROWS.iter().map(|row| row.0).collect();
    wanted.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, wanted);
}

/// `visit_i32_load8_s` → `i32.load8_s`: the name in the specification.
fn text_name(visit: &str) -> String {
    let name = visit.trim_start_matches("visit_");
    let prefixes = [
        "i32", "i64", "f32", "f64", "v128", "i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2",
        "local", "global", "memory", "table", "ref", "data", "elem",
    ];
    match name.split_once('_') {
        Some((prefix, rest)) if prefixes.contains(&prefix) => format!("{prefix}.{rest}"),
        _ => name.to_owned(),
    }
}

#[test]
fn the_page_lists_the_costs_of_the_table() {
    let all = wasmparser::for_each_operator!(operators_with_proposals);
    let mut costs: std::collections::BTreeMap<u64, Vec<String>> = Default::default();
    for (name, cost) in cost_table::ROWS {
        let row = all.iter().find(|row| row.1 == *name).unwrap();
        costs.entry(*cost).or_default().push(format!("`{}`", text_name(row.2)));
    }
    let mut table = String::from("| gas | instructions |\n|---|---|\n");
    for (cost, names) in costs {
        writeln!(table, "| {cost} | {} |", names.join(" ")).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metering.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    if std::env::var_os("FARRIER_UPDATE_DOCS").is_some() {
        let (begin, end) = ("<!-- costs begin -->\n", "<!-- costs end -->");
        let (head, rest) = page.split_once(begin).unwrap();
        let (_, tail) = rest.split_once(end).unwrap();
        std::fs::write(path, format!("{head}{begin}{table}{end}{tail}")).unwrap();
        return;
    }
    assert!(
        page.contains(&table),
        "docs/metering.md does not list these costs. If that is meant, run\n\
         FARRIER_UPDATE_DOCS=1 cargo test -p aot-compiler the_page_lists\n{table}"
    );
    for (what, number) in [
        ("gas for each function entered", cost_table::FUNCTION_ENTRY),
        ("locals for 1 gas", cost_table::LOCALS_PER_UNIT),
        ("gas for each call of an imported function", cost_table::HOST_CALL),
        ("bytes for 1 gas", cost_table::BULK_BYTES_PER_UNIT),
        ("gas for each table slot", cost_table::TABLE_SLOT),
        ("gas for each page", cost_table::MEMORY_PAGE),
    ] {
        let line = format!("{number} {what}");
        assert!(page.contains(&line), "docs/metering.md should say \"{line}\"");
    }
}
