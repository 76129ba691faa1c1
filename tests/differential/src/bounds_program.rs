//! A seed → a program that reads and writes near the end of its memory, in nested
//! blocks that are left early, and in small functions that are called often.
//!
//! `wasm-smith` seldom asks twice for the same address, hardly ever misses a memory's
//! end by a byte, and rarely calls. This is where an access without its check, or a
//! fact that is kept too long, would show: addresses come from a few locals, offsets
//! repeat, and what was loaded ends up in the exported global `trace`, so that a trap
//! too late or too early is seen.

use fuzz_targets::Random;
use std::fmt::Write;

/// Function entries and turns of loops in one call from outside.
const FUEL: u32 = 120;

const LOCALS: [&str; 4] = ["$a", "$b", "$c", "$d"];

/// Loads of i32 with their bytes, and the same for stores and for i64.
const LOADS: [(&str, u32); 5] = [
    ("i32.load", 4),
    ("i32.load8_u", 1),
    ("i32.load8_s", 1),
    ("i32.load16_u", 2),
    ("i32.load16_s", 2),
];
const LOADS_64: [(&str, u32); 4] =
    [("i64.load", 8), ("i64.load32_u", 4), ("i64.load16_s", 2), ("i64.load8_u", 1)];
const STORES: [(&str, u32); 3] = [("i32.store", 4), ("i32.store8", 1), ("i32.store16", 2)];
const STORES_64: [(&str, u32); 4] =
    [("i64.store", 8), ("i64.store32", 4), ("i64.store16", 2), ("i64.store8", 1)];

/// The module's text.
pub fn program(random: &mut Random) -> String {
    let initial_pages = [1, 1, 1, 1, 1, 1, 2, 2, 2, 0][random.below(10)];
    let has_max = random.below(2) == 0;
    let max = if has_max { (initial_pages + random.below(3)).to_string() } else { String::new() };
    let function_count = 3 + random.below(5);
    let mut program = Program {
        random,
        text: String::new(),
        function_count,
        initial_pages,
        grows: false,
        depth: 0,
    };
    // Without growth the compiler takes more for fixed.
    program.grows = program.random.below(2) == 0;
    let mut text = format!(
        "(module
  (type $step (func (param i32 i32) (result i32)))
  (memory (export \"memory\") {initial_pages} {max})
  (table {function_count} funcref)
  (global $fuel (export \"fuel\") (mut i32) (i32.const 0))
  (global $trace (export \"trace\") (mut i64) (i64.const 0))
  (global $address (export \"address\") (mut i32) (i32.const 65530))
"
    );
    for function in 0..function_count {
        program.text.clear();
        program.function(function);
        text += &program.text;
    }
    for function in 0..function_count.min(3) {
        let _ = writeln!(
            text,
            "  (func (export \"run{function}\") (param i32 i32) (result i32)
    (global.set $fuel (i32.const {FUEL}))
    (call $f{function} (local.get 0) (local.get 1)))"
        );
    }
    text += "  (elem (i32.const 0) func";
    for function in 0..function_count - 1 {
        let _ = write!(text, " $f{function}");
    }
    text += "))\n";
    text
}

struct Program<'r> {
    random: &'r mut Random,
    text: String,
    function_count: usize,
    initial_pages: usize,
    grows: bool,
    /// Labels that are open, with `$l0` the outermost, the function's own block.
    depth: usize,
}

impl Program<'_> {
    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.below(choices.len())]
    }

    fn function(&mut self, function: usize) {
        // The later ones are small enough to be taken into their callers.
        let is_small = function * 2 >= self.function_count;
        let statements = if is_small { 1 + self.random.below(2) } else { 3 + self.random.below(6) };
        let _ = writeln!(
            self.text,
            "  (func $f{function} (type $step) (param $a i32) (param $b i32) (result i32)
    (local $c i32) (local $d i32) (local $w i64)"
        );
        if !is_small || self.random.below(3) == 0 {
            self.text += "    (if (i32.le_s (global.get $fuel) (i32.const 0))\n      \
                          (then (return (i32.const 7))))\n    \
                          (global.set $fuel (i32.sub (global.get $fuel) (i32.const 1)))\n";
        }
        self.depth = 1;
        self.text += "    (block $l0\n";
        for _ in 0..statements {
            self.statement(function, is_small);
        }
        self.text += "    )\n";
        self.depth = 0;
        if function + 1 < self.function_count && self.random.below(8) == 0 {
            let callee = function + 1 + self.random.below(self.function_count - function - 1);
            let (first, second) = (self.index(), self.index());
            let _ = writeln!(self.text, "    (return_call $f{callee} {first} {second}))");
        } else {
            let result = self.index();
            let _ = writeln!(self.text, "    {result})");
        }
    }

    fn statement(&mut self, function: usize, is_small: bool) {
        let may_nest = self.depth < 5 && !is_small || self.depth < 2;
        match self.random.below(26) {
            0..=4 => self.load(),
            5..=8 => self.store(),
            9..=10 => self.assign(),
            11..=13 if may_nest => self.nest(function, is_small, "block"),
            14 if may_nest => self.nest(function, is_small, "loop"),
            15..=16 if may_nest => self.condition(function, is_small),
            17..=18 => self.branch(),
            19..=21 => self.call(function),
            22 if self.grows => self.grow(),
            23 => self.bulk(),
            24 => self.leave(),
            _ => self.load(),
        }
    }

    /// An i32: mostly a local, so that the same address comes again.
    fn index(&mut self) -> String {
        let local = self.one_of(&LOCALS);
        match self.random.below(12) {
            0..=6 => format!("(local.get {local})"),
            7 => format!("(i32.const {})", self.constant()),
            8 => {
                let step = self.one_of(&[1, 2, 4, 8, -1, -4, -8]);
                format!("(i32.add (local.get {local}) (i32.const {step}))")
            }
            9 => {
                let mask = self.one_of(&[0xff, 0xffff, 0xfff8, 0x1_ffff]);
                format!("(i32.and (local.get {local}) (i32.const {mask}))")
            }
            10 => "(global.get $address)".to_owned(),
            _ => {
                let (other, condition) = (self.one_of(&LOCALS), self.one_of(&LOCALS));
                format!("(select (local.get {local}) (local.get {other}) (local.get {condition}))")
            }
        }
    }

    /// Mostly at the end of the initial memory or of the page behind it.
    fn constant(&mut self) -> i64 {
        let beyond = usize::from(self.random.below(6) == 0);
        let end = ((self.initial_pages + beyond) * 65_536) as i64;
        match self.random.below(6) {
            0..=1 => self.random.below(32) as i64,
            2 => self.random.below(self.initial_pages * 65_536) as i64,
            3 if self.random.below(8) == 0 => {
                self.one_of(&[-1, -4, i64::from(i32::MIN), i64::from(i32::MAX)])
            }
            _ => end - self.random.below(40) as i64,
        }
    }

    /// Few different ones, so that a later access may be covered by an earlier one.
    fn offset(&mut self) -> String {
        let end = self.initial_pages * 65_536;
        let offset = match self.random.below(64) {
            0..=35 => 0,
            36..=55 => self.one_of(&[1, 2, 3, 4, 8, 16]),
            56..=60 => self.random.below(24),
            61 => end.saturating_sub(self.random.below(12)),
            62 => self.one_of(&[0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 0xffff_fff8]),
            _ => 65_536 - 8,
        };
        if offset == 0 { String::new() } else { format!("offset={offset}") }
    }

    fn trace(&mut self, value: &str) {
        let _ = writeln!(
            self.text,
            "    (global.set $trace (i64.add (i64.mul (global.get $trace) (i64.const 31)) {value}))"
        );
    }

    fn load(&mut self) {
        let (index, offset) = (self.index(), self.offset());
        if self.random.below(3) == 0 {
            let (name, _) = self.one_of(&LOADS_64);
            self.trace(&format!("({name} {offset} {index})"));
            return;
        }
        let (name, _) = self.one_of(&LOADS);
        let load = format!("({name} {offset} {index})");
        match self.random.below(4) {
            0 => {
                let local = self.one_of(&LOCALS);
                // What was stored there is often no good address.
                let _ = writeln!(
                    self.text,
                    "    (local.set {local} (i32.add (i32.and {load} (i32.const 31)) \
                     (i32.const {})))",
                    self.initial_pages * 65_536 - (self.initial_pages.min(1) * 24)
                );
            }
            1 => {
                let _ = writeln!(self.text, "    (drop {load})");
            }
            _ => self.trace(&format!("(i64.extend_i32_u {load})")),
        }
    }

    fn store(&mut self) {
        let (index, offset) = (self.index(), self.offset());
        if self.random.below(3) == 0 {
            let (name, _) = self.one_of(&STORES_64);
            let _ = writeln!(self.text, "    ({name} {offset} {index} (global.get $trace))");
        } else {
            let (name, _) = self.one_of(&STORES);
            let value = self.index();
            let _ = writeln!(self.text, "    ({name} {offset} {index} {value})");
        }
    }

    fn assign(&mut self) {
        let (local, value) = (self.one_of(&LOCALS), self.index());
        let _ = match self.random.below(5) {
            0 => writeln!(self.text, "    (global.set $address {value})"),
            _ => writeln!(self.text, "    (local.set {local} {value})"),
        };
    }

    fn nest(&mut self, function: usize, is_small: bool, kind: &str) {
        let label = self.depth;
        let _ = writeln!(self.text, "    ({kind} $l{label}");
        if kind == "loop" {
            // Whoever branches here pays, so that it ends.
            self.text += "    (global.set $fuel (i32.sub (global.get $fuel) (i32.const 1)))\n    \
                          (br_if $l0 (i32.le_s (global.get $fuel) (i32.const 0)))\n";
        }
        self.body(function, is_small);
        if kind == "loop" && self.random.below(2) == 0 {
            let condition = self.condition_value();
            let _ = writeln!(self.text, "    (br_if $l{label} {condition})");
        }
        self.text += "    )\n";
    }

    fn body(&mut self, function: usize, is_small: bool) {
        self.depth += 1;
        for _ in 0..1 + self.random.below(3) {
            self.statement(function, is_small);
        }
        self.depth -= 1;
    }

    fn condition(&mut self, function: usize, is_small: bool) {
        let (label, condition) = (self.depth, self.condition_value());
        let _ = writeln!(self.text, "    (if $l{label} {condition} (then");
        self.body(function, is_small);
        if self.random.below(2) == 0 {
            self.text += "    ) (else\n";
            self.body(function, is_small);
        }
        self.text += "    ))\n";
    }

    fn condition_value(&mut self) -> String {
        let (first, second) = (self.index(), self.index());
        match self.random.below(4) {
            0 => format!("(i32.and {first} (i32.const {}))", 1 << self.random.below(3)),
            1 => format!("(i32.lt_u {first} {second})"),
            2 => format!("(i32.ge_s {first} {second})"),
            _ => "(i32.wrap_i64 (i64.and (global.get $trace) (i64.const 1)))".to_owned(),
        }
    }

    fn branch(&mut self) {
        let (label, condition) = (self.random.below(self.depth), self.condition_value());
        let _ = match self.random.below(6) {
            0 => {
                let labels: String =
                    (0..1 + self.random.below(3)).map(|_| self.label() + " ").collect();
                let index = self.index();
                writeln!(self.text, "    (br_table {labels} (i32.and {index} (i32.const 3)))")
            }
            1 => writeln!(self.text, "    (br $l{label})"),
            _ => writeln!(self.text, "    (br_if $l{label} {condition})"),
        };
    }

    fn label(&mut self) -> String {
        format!("$l{}", self.random.below(self.depth))
    }

    fn call(&mut self, function: usize) {
        let (first, second, local) = (self.index(), self.index(), self.one_of(&LOCALS));
        // Calls go to later functions, so that they end; but the large ones pay for
        // their recursion, and one call through the table may go to null or too far.
        let later = self.function_count - function - 1;
        let is_small = function * 2 >= self.function_count;
        if !is_small && self.random.below(6) == 0 {
            let _ =
                writeln!(self.text, "    (local.set {local} (call $f{function} {first} {second}))");
            return;
        }
        if later > 0 && self.random.below(8) > 0 {
            let callee = function + 1 + self.random.below(later);
            let _ =
                writeln!(self.text, "    (local.set {local} (call $f{callee} {first} {second}))");
        } else if function == 0 {
            let slot = 1 + self.random.below(self.function_count);
            let _ = writeln!(
                self.text,
                "    (local.set {local} (call_indirect (type $step) {first} {second} \
                 (i32.const {slot})))"
            );
        }
    }

    fn grow(&mut self) {
        let (pages, local) = (self.one_of(&[0, 1, 1, 2, 70_000]), self.one_of(&LOCALS));
        let grow = format!("(memory.grow (i32.const {pages}))");
        let _ = match self.random.below(3) {
            0 => writeln!(self.text, "    (local.set {local} (i32.mul {grow} (i32.const 65536)))"),
            1 => writeln!(
                self.text,
                "    (drop {grow}) (local.set {local} (i32.sub (i32.mul (memory.size) \
                 (i32.const 65536)) (i32.const 8)))"
            ),
            _ => writeln!(self.text, "    (drop {grow})"),
        };
    }

    fn bulk(&mut self) {
        let (to, from) = (self.index(), self.index());
        let length = self.random.below(20);
        let _ = match self.random.below(2) {
            0 => writeln!(self.text, "    (memory.fill {to} {from} (i32.const {length}))"),
            _ => writeln!(self.text, "    (memory.copy {to} {from} (i32.const {length}))"),
        };
    }

    fn leave(&mut self) {
        let (condition, value) = (self.condition_value(), self.index());
        let _ = match self.random.below(4) {
            0 => writeln!(
                self.text,
                "    (if (i32.eq {condition} (i32.const 3)) (then (unreachable)))"
            ),
            1 => writeln!(self.text, "    (drop (i32.div_u {value} {condition}))"),
            _ => writeln!(self.text, "    (if {condition} (then (return {value})))"),
        };
    }
}
