//! Vectors: every instruction has code where the target has vectors, and a refusal
//! that names the place where it has none. What they compute is the matter of the
//! specification's tests.

mod support;

use aot_compiler::{CompileError, CompileOptions, census, compile};
use std::fmt::Write;
use support::{AotFile, all_targets, compile_text, wasm};
use target_spec::{BoundsChecks, Registry};

/// Two vectors to one, in the names that follow the shape.
const INTEGER_BINARY: &str = "add sub eq ne lt_s gt_s le_s ge_s";
const NARROW_BINARY: &str = "min_s min_u max_s max_u lt_u gt_u le_u ge_u";
const SATURATING_BINARY: &str = "add_sat_s add_sat_u sub_sat_s sub_sat_u avgr_u";
const FLOAT_UNARY: &str = "abs neg sqrt ceil floor trunc nearest";
const FLOAT_BINARY: &str =
    "add sub mul div min max pmin pmax eq ne lt gt le ge relaxed_min relaxed_max";
const OTHER_BINARY: &str = "v128.and v128.andnot v128.or v128.xor i8x16.swizzle \
    i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u \
    i16x8.q15mulr_sat_s i16x8.mul i32x4.mul i64x2.mul i32x4.dot_i16x8_s \
    i8x16.relaxed_swizzle i16x8.relaxed_q15mulr_s i16x8.relaxed_dot_i8x16_i7x16_s";
const OTHER_UNARY: &str = "v128.not i8x16.popcnt \
    i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u \
    i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u \
    i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u \
    i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero \
    f32x4.convert_i32x4_s f32x4.convert_i32x4_u f64x2.convert_low_i32x4_s \
    f64x2.convert_low_i32x4_u f32x4.demote_f64x2_zero f64x2.promote_low_f32x4 \
    i32x4.relaxed_trunc_f32x4_s i32x4.relaxed_trunc_f32x4_u \
    i32x4.relaxed_trunc_f64x2_s_zero i32x4.relaxed_trunc_f64x2_u_zero";
const TERNARY: &str = "v128.bitselect i8x16.relaxed_laneselect i16x8.relaxed_laneselect \
    i32x4.relaxed_laneselect i64x2.relaxed_laneselect f32x4.relaxed_madd f32x4.relaxed_nmadd \
    f64x2.relaxed_madd f64x2.relaxed_nmadd i32x4.relaxed_dot_i8x16_i7x16_add_s";
const LOADS: &str = "v128.load v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u \
    v128.load32x2_s v128.load32x2_u v128.load8_splat v128.load16_splat v128.load32_splat \
    v128.load64_splat v128.load32_zero v128.load64_zero";

/// (shape, type of a lane as an operand, lanes)
const SHAPES: [(&str, &str, usize); 6] = [
    ("i8x16", "i32", 16),
    ("i16x8", "i32", 8),
    ("i32x4", "i32", 4),
    ("i64x2", "i64", 2),
    ("f32x4", "f32", 4),
    ("f64x2", "f64", 2),
];

/// One function for each instruction.
#[derive(Default)]
struct Functions {
    text: String,
    count: u32,
}

impl Functions {
    fn add(&mut self, params: &[&str], operator: &str, result: &str) {
        let gets: String = (0..params.len()).map(|index| format!("local.get {index} ")).collect();
        let (params, result) = (params.join(" "), format!("(result {result})"));
        let result = if result == "(result )" { "" } else { &result };
        writeln!(
            self.text,
            "(func (export \"{}\") (param {params}) {result} {gets} {operator})",
            self.count
        )
        .unwrap();
        self.count += 1;
    }

    fn add_all(&mut self, params: &[&str], operators: &str, result: &str) {
        operators.split_whitespace().for_each(|operator| self.add(params, operator, result));
    }
}

fn every_instruction() -> Functions {
    let mut functions = Functions::default();
    for (shape, lane, lanes) in SHAPES {
        let named = |names: &str| -> String {
            names.split_whitespace().map(|name| format!("{shape}.{name} ")).collect()
        };
        if shape.starts_with('i') {
            functions.add_all(&["v128", "v128"], &named(INTEGER_BINARY), "v128");
            functions.add_all(&["v128", "i32"], &named("shl shr_s shr_u"), "v128");
            functions.add_all(&["v128"], &named("abs neg"), "v128");
            functions.add_all(&["v128"], &named("all_true bitmask"), "i32");
        } else {
            functions.add_all(&["v128", "v128"], &named(FLOAT_BINARY), "v128");
            functions.add_all(&["v128"], &named(FLOAT_UNARY), "v128");
        }
        functions.add(&[lane], &format!("{shape}.splat"), "v128");
        for index in [0, lanes - 1] {
            let suffixes = if lanes >= 8 { &["_s", "_u"][..] } else { &[""] };
            for suffix in suffixes {
                functions.add(&["v128"], &format!("{shape}.extract_lane{suffix} {index}"), lane);
            }
            functions.add(&["v128", lane], &format!("{shape}.replace_lane {index}"), "v128");
        }
    }
    for shape in ["i8x16", "i16x8", "i32x4"] {
        for name in NARROW_BINARY.split_whitespace() {
            functions.add(&["v128", "v128"], &format!("{shape}.{name}"), "v128");
        }
    }
    for shape in ["i8x16", "i16x8"] {
        for name in SATURATING_BINARY.split_whitespace() {
            functions.add(&["v128", "v128"], &format!("{shape}.{name}"), "v128");
        }
    }
    for (wide, narrow) in [("i16x8", "i8x16"), ("i32x4", "i16x8"), ("i64x2", "i32x4")] {
        for half in ["low", "high"] {
            for sign in ["s", "u"] {
                let extend = format!("{wide}.extend_{half}_{narrow}_{sign}");
                functions.add(&["v128"], &extend, "v128");
                let multiply = format!("{wide}.extmul_{half}_{narrow}_{sign}");
                functions.add(&["v128", "v128"], &multiply, "v128");
            }
        }
    }
    for bits in [8, 16, 32, 64] {
        let load = format!("v128.load{bits}_lane offset=5 1");
        functions.add(&["i32", "v128"], &load, "v128");
        functions.add(&["i32", "v128"], &format!("v128.store{bits}_lane 0"), "");
    }
    functions.add_all(&["i32"], LOADS, "v128");
    functions.add(&["i32", "v128"], "v128.store offset=0xffffffff", "");
    functions.add_all(&["v128", "v128"], OTHER_BINARY, "v128");
    functions.add_all(&["v128"], OTHER_UNARY, "v128");
    functions.add_all(&["v128", "v128", "v128"], TERNARY, "v128");
    functions.add(&["v128"], "v128.any_true", "i32");
    functions.add(&[], "v128.const i64x2 1 2", "v128");
    functions.add(&["v128", "v128", "i32"], "select", "v128");
    let lanes = "i8x16.shuffle 0 31 2 29 4 27 6 25 8 23 10 21 12 19 14 17";
    functions.add(&["v128", "v128"], lanes, "v128");
    functions
}

#[test]
fn every_vector_instruction_has_code_where_the_target_has_vectors() {
    let functions = every_instruction();
    // 236 of 2.0 and 20 relaxed ones, with a second lane for 14 of them, and select.
    assert_eq!(functions.count, 236 + 20 + 14 + 1);
    let module = wasm(&format!("(module (memory 1) {})", functions.text));
    for (target, bounds_checks) in all_targets() {
        let outcome = compile(&module, target, &CompileOptions::new(bounds_checks));
        assert_eq!(outcome.is_ok(), target.simd, "{}: {outcome:?}", target.id);
    }
}

/// Functions with too many branches are compiled with the least effort, which must
/// still find the combinations that exist only as a whole.
#[test]
fn vector_code_needs_no_optimiser() {
    let many = "(drop (i32.div_u (i32.const 1) (local.get 0)))".repeat(2_000);
    let module = format!(
        "(module (func (export \"f\") (param i32 v128) (result v128) {many}
           (i32x4.trunc_sat_f64x2_u_zero (f64x2.convert_low_i32x4_u (i32x4.dot_i16x8_s
             (i16x8.extadd_pairwise_i8x16_u (local.get 1)) (local.get 1))))))"
    );
    for (target, bounds_checks) in all_targets().into_iter().filter(|(target, _)| target.simd) {
        compile(&wasm(&module), target, &CompileOptions::new(bounds_checks)).unwrap();
    }
}

#[track_caller]
fn check_refused_without_vectors(text: &str, place: &str) {
    let target = Registry::built_in().find("riscv64-linux").unwrap();
    let options = CompileOptions::new(BoundsChecks::Software);
    let error = compile(&wasm(text), target, &options).unwrap_err();
    assert!(matches!(error, CompileError::TargetCannot { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "target riscv64-linux cannot do it: the module uses the WebAssembly proposal \"simd\" \
             {place}, and the runtime has no vectors there; build it without that feature"
        )
    );
}

#[test]
fn a_target_without_vectors_names_the_first_use() {
    check_refused_without_vectors(
        "(module (import \"a\" \"b\" (func)) (func) (func (drop (v128.const i32x4 1 2 3 4))))",
        "in function 2 at byte 0x24",
    );
    check_refused_without_vectors("(module (func (local v128)))", "in function 0 at byte 0x17");
    check_refused_without_vectors("(module (func (param v128)))", "at byte 0xb");
    check_refused_without_vectors("(module (global v128 (v128.const i64x2 0 0)))", "at byte 0xb");
}

#[test]
fn a_module_with_vectors_demands_the_runtimes_switch() {
    for text in [
        "(module (func (local v128)))",
        "(module (global v128 (v128.const i64x2 0 0)))",
        "(module (func (drop (v128.const i64x2 0 0))))",
    ] {
        let file = AotFile::read(&compile_text(text).aot);
        let mut info = file.section(0);
        info.take(16);
        assert_eq!(info.u64(), 1, "{text}");
        assert_eq!(census(&wasm(text)).unwrap().proposals, ["simd"]);
    }
}

#[test]
fn relaxed_instructions_are_listed_as_their_own_proposal() {
    let text =
        "(module (func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))))";
    assert_eq!(census(&wasm(text)).unwrap().proposals, ["relaxed-simd", "simd"]);
}

#[test]
fn a_vector_constant_of_a_global_is_written_with_its_16_bytes() {
    let text = "(module (global v128 (v128.const i8x16 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)))";
    let artifact = compile_text(text);
    let file = AotFile::read(&artifact.aot);
    let bytes = file.section(1).rest();
    // Type v128, not mutable, padding, kind 0xfd.
    let expected =
        [0x7b, 0, 0, 0, 0xfd, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    assert!(bytes.windows(expected.len()).any(|window| window == expected));
}
