//! The attacks, by what they go for.

use crate::cases::{Case, End};
use device_protocol::RefusalCode::{
    GasLimit, LoadFailed, OverLimit, RateLimit, TimeLimit, UnknownImport,
};
use module_limits::{Limit, LimitAction};

pub fn all() -> Vec<Case> {
    let groups =
        [loops(), gas(), memory(), tables(), recursion(), floods(), traps(), imports(), sizes()];
    groups.into_iter().flatten().collect()
}

const LOG: &str = r#"(import "farrier" "log" (func $log (param i32 i32 i32)))"#;
const PUBLISH: &str =
    r#"(import "farrier" "publish" (func $publish (param i32 i32 i32 i32) (result i32)))"#;
const CLOCK: &str = r#"(import "farrier" "clock_monotonic_ns" (func $clock (result i64)))"#;

/// A module whose tick does this, with a page of memory.
fn tick(body: &str) -> String {
    with("", body)
}

fn with(head: &str, body: &str) -> String {
    format!(
        "(module {head} (memory (export \"memory\") 1) (data (i32.const 0) \"out\")
           (func (export \"tick\") (result i32) {body} (i32.const 0)))"
    )
}

/// Endless loops of seven kinds, each as it is and metered: the first has to be killed,
/// the second stops by itself.
fn loops() -> Vec<Case> {
    let imported = with(CLOCK, "(loop $l (drop (call $clock)) (br $l))");
    let kinds = [
        ("empty", tick("(loop $l (br $l))")),
        (
            "counting",
            tick(
                "(local $i i64) (loop $l
            (local.set $i (i64.add (local.get $i) (i64.const 1)))
            (br_if $l (i64.ne (local.get $i) (i64.const -1))))",
            ),
        ),
        (
            "nested",
            tick(
                "(local $i i32) (local $j i32) (loop $a (loop $b
            (local.set $j (i32.add (local.get $j) (i32.const 1))) (br_if $b (local.get $j)))
            (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $a (local.get $i)))",
            ),
        ),
        ("table-jump", tick("(loop $l (br_table $l $l $l (i32.const 1)))")),
        ("calling-out", imported),
        (
            "indirect",
            with(
                "(table funcref (elem $f)) (type $t (func)) (func $f)",
                "(loop $l (call_indirect (type $t) (i32.const 0)) (br $l))",
            ),
        ),
        (
            "writing",
            tick("(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l))"),
        ),
    ];
    let mut cases = Vec::new();
    for (name, text) in kinds {
        cases.push(Case::new(&format!("loop-{name}"), text.clone(), End::Stopped(TimeLimit)));
        cases.push(
            Case::new(&format!("metered-loop-{name}"), text, End::Stopped(TimeLimit)).metered(),
        );
    }
    let endless = "(loop $l (br $l))";
    let of = |export: &str| {
        format!(
            "(module (func (export \"tick\") (result i32) (i32.const 0))
            (func (export \"{export}\") (result i32) {endless} (i32.const 0)))"
        )
    };
    let start = format!("(module (func $s {endless}) (start $s))");
    cases.extend([
        Case::new("loop-in-init", of("init"), End::Stopped(TimeLimit)),
        Case::new("loop-in-health", of("farrier_health"), End::Stopped(TimeLimit)),
        Case::new("loop-in-start", start.clone(), End::Stopped(TimeLimit)),
        Case::new("metered-loop-in-start", start, End::Stopped(OverLimit))
            .metered()
            .limit(|limits| limits.gas_per_call_max = Some(100_000)),
        Case::new("loop-restarted", tick(endless), End::Reaches(Limit::CallTime))
            .on(Limit::CallTime, LimitAction::Restart),
    ]);
    cases
}

fn gas() -> Vec<Case> {
    let busy = tick(
        "(local $i i32) (loop $l
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 50000))))",
    );
    let per_call = |action| {
        Case::new(&format!("gas-per-call-{action}"), busy.clone(), End::Reaches(Limit::GasPerCall))
            .metered()
            .limit(|limits| limits.gas_per_call_max = Some(10_000))
            .on(Limit::GasPerCall, action)
    };
    let per_s = |action| {
        Case::new(&format!("gas-rate-{action}"), busy.clone(), End::Reaches(Limit::GasRate))
            .metered()
            .limit(|limits| limits.gas_per_s_max = Some(300_000))
            .on(Limit::GasRate, action)
    };
    let stopped = |case: Case| Case { end: End::Stopped(GasLimit), ..case };
    vec![
        per_call(LimitAction::Warn),
        per_call(LimitAction::Restart),
        stopped(per_call(LimitAction::Stop)),
        per_s(LimitAction::Throttle),
        per_s(LimitAction::Restart),
        stopped(per_s(LimitAction::Stop)),
    ]
}

fn memory() -> Vec<Case> {
    let trap = |name: &str, body: &str| Case::new(name, tick(body), End::Traps);
    let held = |name: &str, body: &str| Case::new(name, tick(body), End::Held);
    vec![
        held("grow-by-one", "(drop (memory.grow (i32.const 1)))"),
        held("grow-by-all", "(drop (memory.grow (i32.const 65535)))"),
        held("grow-by-minus-one", "(drop (memory.grow (i32.const -1)))"),
        held(
            "grow-and-touch",
            "(local $i i32) (drop (memory.grow (i32.const 1))) (loop $l
               (i32.store (local.get $i) (i32.const 1))
               (local.set $i (i32.add (local.get $i) (i32.const 4096)))
               (br_if $l (i32.lt_u (local.get $i) (i32.mul (memory.size) (i32.const 65536)))))",
        ),
        Case::new(
            "grow-for-ever",
            tick("(loop $l (drop (memory.grow (i32.const 1))) (br $l))"),
            End::Stopped(TimeLimit),
        ),
        trap("read-behind", "(drop (i32.load (i32.const 65533)))"),
        trap("read-far-behind", "(drop (i32.load offset=4294967295 (i32.const -1)))"),
        trap("write-behind", "(i64.store (i32.const 65529) (i64.const 1))"),
        trap("fill-behind", "(memory.fill (i32.const 65535) (i32.const 1) (i32.const 2))"),
        trap("copy-behind", "(memory.copy (i32.const 0) (i32.const 65535) (i32.const -1))"),
        Case::new(
            "more-memory-than-allowed",
            "(module (memory 5) (func (export \"tick\") (result i32) (i32.const 0)))",
            End::Stopped(OverLimit),
        ),
        Case::new(
            "data-outside",
            "(module (memory 1) (data (i32.const 65535) \"xx\"))",
            End::Stopped(LoadFailed),
        ),
    ]
}

fn tables() -> Vec<Case> {
    let head = "(type $t (func)) (type $u (func (param i64))) (table $a 4 funcref)
        (table $b 0 funcref) (elem (i32.const 0) $f) (func $f)";
    let trap = |name: &str, body: &str| Case::new(name, with(head, body), End::Traps);
    vec![
        Case::new(
            "table-bomb",
            with(
                head,
                "(loop $l (br_if $l (i32.ne (i32.const -1)
                (table.grow $b (ref.null func) (i32.const 100000)))))",
            ),
            End::Held,
        ),
        trap("table-outside", "(call_indirect $a (type $t) (i32.const 4))"),
        trap("table-empty", "(call_indirect $a (type $t) (i32.const 1))"),
        trap("table-other-type", "(call_indirect $a (type $u) (i64.const 1) (i32.const 0))"),
        trap("table-copy-behind", "(table.copy $a $a (i32.const 0) (i32.const 3) (i32.const 2))"),
    ]
}

fn recursion() -> Vec<Case> {
    let trap = |name: &str, head: &str| Case::new(name, with(head, "(call $f)"), End::Traps);
    let locals = "(local v128)".repeat(200);
    vec![
        trap("recursion", "(func $f (call $f) (call $f))"),
        trap("recursion-of-two", "(func $f (call $g) (nop)) (func $g (call $f) (call $f))"),
        trap(
            "recursion-through-a-table",
            "(table funcref (elem $f)) (type $t (func)) (func $f
               (call_indirect (type $t) (i32.const 0)) (call_indirect (type $t) (i32.const 0)))",
        ),
        trap("recursion-of-large-frames", &format!("(func $f {locals} (call $f) (call $f))")),
        trap(
            "recursion-that-calls-out",
            &format!("{CLOCK} (func $f (drop (call $clock)) (call $f) (drop (call $clock)))"),
        ),
    ]
}

fn floods() -> Vec<Case> {
    let log = with(
        LOG,
        "(local $i i32) (loop $l
        (call $log (i32.const 0) (i32.const 0) (i32.const 65536))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 300))))",
    );
    let publish = |len: u32| {
        with(
            PUBLISH,
            &format!(
                "(local $i i32) (loop $l
            (drop (call $publish (i32.const 0) (i32.const 3) (i32.const 0) (i32.const {len})))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 300))))"
            ),
        )
    };
    let mut cases = vec![Case::new("messages-too-long", publish(1_025), End::Dropped)];
    for (limit, text) in [(Limit::LogRate, log), (Limit::MessageRate, publish(1_024))] {
        for action in LimitAction::ALL {
            let end = match action {
                LimitAction::Stop => End::Stopped(RateLimit),
                _ => End::Reaches(limit),
            };
            let name = format!("flood-{limit}-{action}");
            cases.push(Case::new(&name, text.clone(), end).on(limit, action));
        }
    }
    cases
}

fn traps() -> Vec<Case> {
    let trap = |name: &str, body: &str| Case::new(name, tick(body), End::Traps);
    vec![
        trap("unreachable", "(unreachable)"),
        trap("division-by-zero", "(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
        trap(
            "division-overflow",
            "(drop (i64.div_s (i64.const -9223372036854775808) (i64.const -1)))",
        ),
        trap("not-a-number", "(drop (i32.trunc_f64_s (f64.const nan)))"),
    ]
}

/// Imports that are none, are another's, or point where nothing is.
fn imports() -> Vec<Case> {
    let import = |name: &str, import: &str, end| {
        let text = format!("(module {import} (func (export \"tick\") (result i32) (i32.const 0)))");
        Case::new(name, text, end)
    };
    let unknown = End::Stopped(UnknownImport);
    let long = "x".repeat(1_000);
    let pointer =
        |name: &str, head: &str, body: &str| Case::new(name, with(head, body), End::Traps);
    vec![
        import(
            "import-unknown",
            r#"(import "env" "system" (func (param i32) (result i32)))"#,
            unknown,
        ),
        import("import-of-another-type", r#"(import "farrier" "log" (func (param i64)))"#, unknown),
        import(
            "import-with-a-long-name",
            &format!(r#"(import "farrier" "{long}" (func))"#),
            unknown,
        ),
        import("import-memory", r#"(import "farrier" "log" (memory 1))"#, End::NotCompiled),
        import("import-table", r#"(import "farrier" "log" (table 1 funcref))"#, End::NotCompiled),
        import("import-global", r#"(import "farrier" "log" (global i32))"#, End::NotCompiled),
        pointer("log-outside", LOG, "(call $log (i32.const 0) (i32.const -1) (i32.const -1))"),
        pointer(
            "publish-behind",
            PUBLISH,
            "(drop (call $publish (i32.const 0) (i32.const 3) (i32.const 65535) (i32.const 2)))",
        ),
        pointer(
            "sensor-into-nothing",
            r#"(import "farrier" "sensor_read" (func $read (param i32 i32) (result i32)))"#,
            "(drop (call $read (i32.const 0) (i32.const 65529)))",
        ),
    ]
}

/// At the edges of what a module may be.
fn sizes() -> Vec<Case> {
    let locals = "(local i64)".repeat(50_001);
    let parameters = "(param i32)".repeat(1_001);
    let exports: String = (0..500).map(|i| format!("(export \"e{i}\" (func $f))")).collect();
    let well = "(func $f (export \"tick\") (result i32) (i32.const 0))";
    let pages = |count: u64| format!("(module (memory {count}))");
    vec![
        Case::new("too-many-locals", format!("(module (func {locals}))"), End::NotCompiled),
        Case::new("too-many-parameters", format!("(module (func {parameters}))"), End::NotCompiled),
        Case::new("too-many-pages", pages(65_537), End::NotCompiled),
        Case::new("all-pages", pages(65_536), End::Stopped(OverLimit)),
        Case::new("many-exports", format!("(module (memory 0) {well} {exports})"), End::Held),
    ]
}
