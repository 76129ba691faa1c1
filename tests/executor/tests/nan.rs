//! The NaN rule on every architecture: by `canonical` all that a program can see of a
//! NaN is the same everywhere, and by `as-computed` it is not.
//!
//! The programs go through each arithmetic instruction with each pair of awkward
//! operands and look at the result in every way that there is. The interpreter takes
//! no part: it computes as its processor does.

use aot_compiler::{CompileOptions, compile};
use executor::{Executor, Machine, Value};
use std::fmt::Write;
use target_spec::profile::NanRule;
use target_spec::{BoundsChecks, Registry};

const MACHINES: [Machine; 4] = [
    Machine::X86_64_HARDWARE,
    Machine::X86_64_SOFTWARE,
    Machine::AARCH64_SOFTWARE,
    Machine::RISCV64_SOFTWARE,
];

/// A module as text, on a machine, as instance 0.
fn running(machine: &Machine, nan_rule: NanRule, text: &str) -> Executor {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut target = Registry::built_in().find(machine.target_id).unwrap().clone();
    target.bounds_checks = vec![BoundsChecks::Hardware, BoundsChecks::Software];
    let options = CompileOptions { nan_rule, ..CompileOptions::new(machine.bounds_checks) };
    let aot = compile(&wasm, &target, &options).unwrap().aot;
    let mut executor = Executor::start(machine).unwrap_or_else(|error| panic!("{error}"));
    executor.load(0, aot).unwrap();
    executor.instantiate(0, 0, None).unwrap();
    executor
}

/// A float type with the operands of the programs.
struct Float {
    name: &'static str,
    int: &'static str,
    other: &'static str,
    convert: &'static str,
    bytes: usize,
    operands: Vec<u64>,
    canonical: u64,
    sign: u64,
}

impl Float {
    fn f32() -> Self {
        let numbers = [0.0, 1.5, f32::MAX, f32::INFINITY].map(|number| u64::from(number.to_bits()));
        // Quiet with a payload, the canonical one, signalling.
        let nans = [0x7fc1_2345, 0x7fc0_0000, 0x7fa0_0001];
        let (name, int, other, convert) = ("f32", "i32", "f64", "promote_f32");
        let sign = 1 << 31;
        let operands = with_signs(&[&numbers[..], &nans].concat(), sign);
        Self { name, int, other, convert, bytes: 4, operands, canonical: 0x7fc0_0000, sign }
    }

    fn f64() -> Self {
        let numbers = [0.0, 1.5, f64::MAX, f64::INFINITY].map(f64::to_bits);
        let nans = [0x7ff8_1234_5678_9abc, 0x7ff8 << 48, 0x7ff4_0000_0000_0001];
        let (name, int, other, convert) = ("f64", "i64", "f32", "demote_f64");
        let sign = 1 << 63;
        let operands = with_signs(&[&numbers[..], &nans].concat(), sign);
        Self { name, int, other, convert, bytes: 8, operands, canonical: 0x7ff8 << 48, sign }
    }

    fn is_nan(&self, bits: u64) -> bool {
        match self.bytes {
            4 => f32::from_bits(bits as u32).is_nan(),
            _ => f64::from_bits(bits).is_nan(),
        }
    }

    fn data(&self) -> String {
        let bytes = self.operands.iter().flat_map(|bits| bits.to_le_bytes()[..self.bytes].to_vec());
        bytes.fold(String::new(), |mut text, byte| {
            write!(text, "\\{byte:02x}").unwrap();
            text
        })
    }

    /// Expressions of this type by name: each arithmetic instruction on two operands.
    fn computations(&self) -> Vec<(String, String)> {
        let ty = self.name;
        let binary = ["add", "sub", "mul", "div", "min", "max"];
        let unary = ["sqrt", "ceil", "floor", "trunc", "nearest"];
        let (a, b) = (load(ty, "a"), load(ty, "b"));
        let mut all: Vec<_> = binary
            .iter()
            .map(|op| (format!("{ty}_{op}"), format!("({ty}.{op} {a} {b})")))
            .chain(unary.iter().map(|op| (format!("{ty}_{op}"), format!("({ty}.{op} {a})"))))
            .collect();
        let (other, convert) = (self.other, self.convert);
        let back = if ty == "f32" { "demote_f64" } else { "promote_f32" };
        let there_and_back = format!("({ty}.{back} ({other}.{convert} {a}))");
        all.push((format!("{ty}_{back}"), there_and_back));
        all
    }

    /// Ways to leave the bits of `value` at `$out`, or what follows from them.
    fn observations(&self, value: &str) -> Vec<String> {
        let (ty, int) = (self.name, self.int);
        let store = |value: &str| format!("({ty}.store (local.get $out) {value})");
        let show = |value: &str| {
            format!("({int}.store (local.get $out) ({int}.reinterpret_{ty} {value}))")
        };
        let odd = "(i32.and (local.get $a) (i32.const 8))";
        vec![
            store(value),
            show(value),
            format!("(global.set ${ty} {value}) {}", show(&format!("(global.get ${ty})"))),
            store(&format!("({ty}.neg {value})")),
            store(&format!("({ty}.abs {value})")),
            store(&format!("({ty}.neg ({ty}.neg {value}))")),
            store(&format!("({ty}.copysign ({ty}.const 1) {value})")),
            store(&format!("({ty}.copysign {value} ({ty}.const -1))")),
            store(&format!("(if (result {ty}) {odd} (then {value}) (else ({ty}.const 2)))")),
            show(&format!("(select {value} ({ty}.const 3) {odd})")),
            format!(
                "(local.set ${ty} ({ty}.const 4)) (if {odd} (then (local.set ${ty} {value}))) {}",
                store(&format!("(local.get ${ty})"))
            ),
            store(&format!("(call $same_{ty} {value})")),
            show(&format!("(call_indirect (type $same_{ty}) {value} (i32.const {}))", self.slot())),
            store(&format!("({ty}.add {value} ({ty}.const 1))")),
            format!("(call $print_{ty} {value})"),
        ]
    }

    fn slot(&self) -> u32 {
        u32::from(self.name == "f64")
    }

    /// One function for each computation, which observes it in every way.
    fn program(&self) -> String {
        let ty = self.name;
        let mut text = format!(
            r#"(module
            (import "spectest" "print_{ty}" (func $print_{ty} (param {ty})))
            (memory (export "memory") 2)
            (data (i32.const 0) "{}")
            (type $same_f32 (func (param f32) (result f32)))
            (type $same_f64 (func (param f64) (result f64)))
            (func $same_f32 (type $same_f32) (local.get 0))
            (func $same_f64 (type $same_f64) (local.get 0))
            (table funcref (elem $same_f32 $same_f64))
            (global $f32 (export "f32") (mut f32) (f32.const 0))
            (global $f64 (export "f64") (mut f64) (f64.const 0))"#,
            self.data()
        );
        for (name, value) in self.computations() {
            let observations = self.observations(&value);
            let step =
                format!("(local.set $out (i32.add (local.get $out) (i32.const {})))", self.bytes);
            let body: Vec<_> = observations.iter().map(|look| format!("{look} {step}")).collect();
            write!(text, "{}", loops(self, &name, &body.join("\n"))).unwrap();
        }
        text.push(')');
        text
    }
}

fn with_signs(bits: &[u64], sign: u64) -> Vec<u64> {
    bits.iter().flat_map(|bits| [*bits, bits | sign]).collect()
}

fn load(ty: &str, local: &str) -> String {
    format!("({ty}.load (local.get ${local}))")
}

/// Where results begin.
const OUT: u32 = 1024;

/// A function that runs `body` with the addresses of each pair of operands and gives
/// the end of what it wrote.
fn loops(float: &Float, name: &str, body: &str) -> String {
    let (bytes, end) = (float.bytes, float.operands.len() * float.bytes);
    format!(
        r#"(func (export "{name}") (result i32)
          (local $a i32) (local $b i32) (local $out i32) (local $f32 f32) (local $f64 f64)
          (local.set $out (i32.const {OUT}))
          (loop $outer
            (local.set $b (i32.const 0))
            (loop $inner
              {body}
              (local.set $b (i32.add (local.get $b) (i32.const {bytes})))
              (br_if $inner (i32.lt_u (local.get $b) (i32.const {end}))))
            (local.set $a (i32.add (local.get $a) (i32.const {bytes})))
            (br_if $outer (i32.lt_u (local.get $a) (i32.const {end}))))
          (local.get $out))"#
    )
}

/// What can be seen of one computation.
#[derive(PartialEq)]
struct Seen {
    memory: Vec<u8>,
    printed: Vec<u8>,
    global: Value,
}

fn observe(executor: &mut Executor, float: &Float, name: &str) -> Seen {
    let returned = executor.call(0, name, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
    let [Value::I32(end)] = returned.values[..] else { panic!("{returned:?}") };
    let memory = executor.read_memory(0, OUT, end as u32 - OUT).unwrap();
    let global = executor.global(0, float.name).unwrap();
    Seen { memory, printed: returned.output, global }
}

fn words(float: &Float, memory: &[u8]) -> Vec<u64> {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    memory.chunks(float.bytes).map(word).collect()
}

#[test]
fn what_can_be_seen_of_a_computed_nan_is_canonical_on_every_architecture() {
    for float in [Float::f32(), Float::f64()] {
        let program = float.program();
        let mut executors = MACHINES.map(|machine| running(&machine, NanRule::Canonical, &program));
        let mut nan_count = 0;
        for (name, _) in float.computations() {
            let [first, others @ ..] =
                executors.each_mut().map(|executor| observe(executor, &float, &name));
            for (other, machine) in others.iter().zip(&MACHINES[1..]) {
                assert!(*other == first, "{name} on {}", machine.name);
            }
            for word in words(&float, &first.memory).into_iter().filter(|word| float.is_nan(*word))
            {
                assert_eq!(word & !float.sign, float.canonical, "{name}: {word:#x}");
                nan_count += 1;
            }
        }
        assert!(nan_count > 10_000, "{nan_count} NaNs");
    }
}

#[test]
fn nans_as_computed_differ_between_architectures() {
    for float in [Float::f32(), Float::f64()] {
        let program = float.program();
        let machines = [Machine::X86_64_HARDWARE, Machine::AARCH64_SOFTWARE];
        let name = format!("{}_div", float.name);
        let [x86_64, aarch64] = machines.map(|machine| {
            observe(&mut running(&machine, NanRule::AsComputed, &program), &float, &name)
        });
        // 0 / 0 by way of a store, the very first: x86-64 sets the sign.
        let first = |seen: &Seen| words(&float, &seen.memory)[0];
        assert_eq!(first(&x86_64), float.canonical | float.sign);
        assert_eq!(first(&aarch64), float.canonical);
        assert!(x86_64.printed != aarch64.printed);
    }
}

const RESULTS: &str = r#"
    (module
      (memory 1)
      (global $zero (mut f64) (f64.const 0))
      (func $computed (result f64) (f64.div (global.get $zero) (global.get $zero)))
      (func $deep (param i32) (result f64)
        (if (result f64) (local.get 0)
          (then (return_call $deep (i32.sub (local.get 0) (i32.const 1))))
          (else (f64.div (global.get $zero) (global.get $zero)))))
      (func (export "plain") (result f64) (f64.div (global.get $zero) (global.get $zero)))
      (func (export "called") (result f64) (call $computed))
      (func (export "by_tail_call") (result f64) (return_call $deep (i32.const 3)))
      (func (export "second") (result i32 f64)
        (i32.const 1) (f64.sqrt (f64.const -1)))
      (func (export "branched") (param i32) (result f32)
        (br_if 0 (f32.div (f32.const 0) (f32.load (i32.const 0))) (local.get 0))
        (drop) (f32.const 1)))"#;

#[test]
fn a_host_sees_canonical_nans_as_results() {
    let (f32, f64) = (Value::F32(0x7fc0_0000), Value::F64(0x7ff8 << 48));
    for machine in MACHINES {
        let mut executor = running(&machine, NanRule::Canonical, RESULTS);
        let mut call =
            |name, arguments: &[Value]| executor.call(0, name, arguments).unwrap().values;
        for name in ["plain", "called", "by_tail_call"] {
            assert_eq!(call(name, &[]), [f64], "{name} on {}", machine.name);
        }
        assert_eq!(call("second", &[]), [Value::I32(1), f64], "{}", machine.name);
        assert_eq!(call("branched", &[Value::I32(1)]), [f32], "{}", machine.name);
    }
}

const MOVES: &str = r#"
    (module
      (memory (export "memory") 1)
      (global $kept (mut f32) (f32.const 0))
      (func (export "move") (result f32) (local $local f32)
        (local.set $local (f32.load (i32.const 0)))
        (f32.store (i32.const 4) (local.get $local))
        (global.set $kept (local.get $local))
        (f32.store (i32.const 8) (global.get $kept))
        (f32.store (i32.const 12) (f32.neg (local.get $local)))
        (f32.store (i32.const 16)
          (select (local.get $local) (f32.const nan:0x1234) (i32.load (i32.const 0))))
        (f32.store (i32.const 20) (f32.reinterpret_i32 (i32.load (i32.const 0))))
        (f32.store (i32.const 24) (block (result f32)
          (br_if 0 (local.get $local) (i32.load (i32.const 0)))))
        (f32.store (i32.const 28) (f32.const nan:0x1234))
        (local.get $local)))"#;

#[test]
fn a_nan_that_was_only_moved_keeps_its_bits() {
    let nan: u32 = 0xffa5_4321;
    for machine in MACHINES {
        let mut executor = running(&machine, NanRule::Canonical, MOVES);
        executor.write_memory(0, 0, &nan.to_le_bytes()).unwrap();
        let returned = executor.call(0, "move", &[]).unwrap();
        assert_eq!(returned.values, [Value::F32(nan)], "{}", machine.name);
        let memory = executor.read_memory(0, 4, 28).unwrap();
        let found: Vec<_> =
            memory.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        let negated = nan & 0x7fff_ffff;
        let expected = [nan, nan, negated, nan, nan, nan, 0x7f80_1234];
        assert_eq!(found, expected, "{}", machine.name);
    }
}

/// Vector instructions on the same operands, eight or sixteen bytes further for each
/// pair: lanes meet all sorts of operands.
fn vector_program(float: &Float) -> (String, Vec<String>) {
    let (shape, ty) = if float.bytes == 4 { ("f32x4", "f32") } else { ("f64x2", "f64") };
    let (a, b) = ("(v128.load (local.get $a))", "(v128.load (local.get $b))");
    let mut computations = Vec::new();
    for op in ["add", "sub", "mul", "div", "min", "max", "relaxed_min", "relaxed_max"] {
        computations.push((op, format!("({shape}.{op} {a} {b})")));
    }
    for op in ["sqrt", "ceil", "floor", "trunc", "nearest"] {
        computations.push((op, format!("({shape}.{op} {a})")));
    }
    for op in ["relaxed_madd", "relaxed_nmadd"] {
        computations.push((op, format!("({shape}.{op} {a} {b} {a})")));
    }
    match float.bytes {
        4 => computations.push(("demote", format!("(f32x4.demote_f64x2_zero {a})"))),
        _ => computations.push(("promote", format!("(f64x2.promote_low_f32x4 {a})"))),
    }
    // A scalar that becomes a lane.
    let scalar = format!("({ty}.add ({ty}.load (local.get $a)) ({ty}.load (local.get $b)))");
    computations.push(("splat", format!("({shape}.splat {scalar})")));
    computations
        .push(("replace", format!("({shape}.replace_lane 1 (v128.const i64x2 0 0) {scalar})")));
    let mut text = format!(
        "(module (memory (export \"memory\") 2) (data (i32.const 0) \"{}\")
         (global ${ty} (export \"{ty}\") (mut {ty}) ({ty}.const 0))",
        float.data()
    );
    let next = "(local.set $out (i32.add (local.get $out) (i32.const 16)))";
    for (name, value) in &computations {
        let body = format!(
            "(v128.store (local.get $out) {value}) {next}
             (v128.store (local.get $out) ({shape}.neg {value})) {next}
             (v128.store (local.get $out) ({shape}.splat ({ty}.abs ({shape}.extract_lane 1 {value}))))
             {next}"
        );
        text += &loops(float, name, &body);
    }
    text.push(')');
    (text, computations.iter().map(|(name, _)| (*name).to_owned()).collect())
}

/// WAMR has no vectors on RISC-V.
#[test]
fn lanes_of_vectors_hold_canonical_nans_on_every_architecture_that_has_vectors() {
    let machines = [Machine::X86_64_HARDWARE, Machine::X86_64_SOFTWARE, Machine::AARCH64_SOFTWARE];
    for float in [Float::f32(), Float::f64()] {
        let (program, names) = vector_program(&float);
        let mut executors = machines.map(|machine| running(&machine, NanRule::Canonical, &program));
        let mut nan_count = 0;
        for name in names {
            let [first, others @ ..] =
                executors.each_mut().map(|executor| observe(executor, &float, &name));
            for (other, machine) in others.iter().zip(&machines[1..]) {
                assert!(*other == first, "{name} on {}", machine.name);
            }
            for word in words(&float, &first.memory).into_iter().filter(|word| float.is_nan(*word))
            {
                assert_eq!(word & !float.sign, float.canonical, "{name}: {word:#x}");
                nan_count += 1;
            }
        }
        assert!(nan_count > 5_000, "{nan_count} NaNs");
    }
}
