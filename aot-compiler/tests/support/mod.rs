//! Compiling text modules, and a reader of AoT files that knows nothing of the writer.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod random_program;

use aot_compiler::{Artifact, CompileError, CompileOptions, compile};
use target_spec::{BoundsChecks, Registry, Target};

/// Every target with each of its bounds-check modes.
pub fn all_targets() -> Vec<(&'static Target, BoundsChecks)> {
    let targets = Registry::built_in().all().iter();
    targets
        .flat_map(|target| target.bounds_checks.iter().map(move |mode| (target, *mode)))
        .collect()
}

pub fn x86_64() -> &'static Target {
    Registry::built_in().find("x86_64-linux").unwrap()
}

pub fn compile_bytes(wasm: &[u8]) -> Result<Artifact, CompileError> {
    compile(wasm, x86_64(), &CompileOptions::new(BoundsChecks::Software))
}

#[track_caller]
pub fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
pub fn compile_text(text: &str) -> Artifact {
    compile_bytes(&wasm(text)).unwrap_or_else(|error| panic!("{error}"))
}

/// A module in which every section and every kind of segment occurs.
pub const EVERYTHING: &str = r#"
(module
  (type $unary (func (param i32) (result i32)))
  (type $same (func (param i32) (result i32)))
  (type $pair (func (param f32 i64) (result i32 f64)))
  (import "env" "log" (func $log (type $same)))
  (import "env" "two" (func $two (type $pair)))
  (memory (export "memory") 1 3)
  (table $t (export "table") 4 8 funcref)
  (table $g 1 externref)
  (global $count (export "count") (mut i64) (i64.const 7))
  (global $ratio f32 (f32.const 1.5))
  (global $fn funcref (ref.func $work))
  (elem (table $t) (i32.const 1) func $work $log)
  (elem $passive funcref (ref.func $work) (ref.null func))
  (elem declare func $pairs)
  (data (i32.const 16) "hello")
  (data $later "passive")
  (func $work (export "work") (type $unary)
    (call $log (call_indirect $t (type $same) (local.get 0) (i32.const 1))))
  (func $pairs (export "pairs") (type $pair)
    (global.set $count (i64.add (global.get $count) (local.get 1)))
    (call $two (local.get 0) (local.get 1)))
  (func $bulk (export "bulk") (param i32) (result i32)
    (memory.init $later (i32.const 0) (i32.const 0) (i32.const 7))
    (data.drop $later)
    (memory.copy (i32.const 8) (i32.const 0) (local.get 0))
    (memory.fill (i32.const 8) (i32.const 0) (local.get 0))
    (table.init $t $passive (i32.const 0) (i32.const 0) (i32.const 2))
    (elem.drop $passive)
    (drop (table.grow $g (ref.null extern) (i32.const 1)))
    (f32.store (i32.const 4) (f32.nearest (f32.load (i32.const 0))))
    (i32.div_s (i32.trunc_f64_s (f64.load (i32.const 8))) (memory.grow (i32.const 1))))
  (func $start)
  (start $start))
"#;

/// An AoT file, taken apart by the rules of WAMR's loader.
pub struct AotFile {
    pub version: u32,
    pub sections: Vec<(u32, Vec<u8>)>,
}

impl AotFile {
    #[track_caller]
    pub fn read(bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.u32(), 0x746f_6100, "magic");
        let version = reader.u32();
        let mut sections = Vec::new();
        while !reader.is_at_end() {
            let (id, size) = (reader.u32(), reader.u32());
            assert_eq!(reader.at % 4, 0, "section {id} starts aligned");
            sections.push((id, reader.take(size as usize).to_vec()));
        }
        Self { version, sections }
    }

    #[track_caller]
    pub fn section(&self, id: u32) -> Reader<'_> {
        let section = self.sections.iter().find(|section| section.0 == id);
        Reader::new(&section.unwrap_or_else(|| panic!("section {id}")).1)
    }
}

pub struct Reader<'a> {
    bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    #[track_caller]
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        self.take(self.bytes.len() - self.at)
    }

    pub fn align(&mut self, alignment: usize) {
        self.at = self.at.next_multiple_of(alignment);
    }

    pub fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub fn u16(&mut self) -> u16 {
        self.align(2);
        u16::from_le_bytes(self.take(2).try_into().unwrap())
    }

    pub fn u32(&mut self) -> u32 {
        self.align(4);
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    pub fn u64(&mut self) -> u64 {
        self.align(4);
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    #[track_caller]
    pub fn string(&mut self) -> String {
        let length = usize::from(self.u16());
        let bytes = self.take(length);
        let text = bytes.strip_suffix(&[0]).expect("a string ends with NUL");
        String::from_utf8(text.to_vec()).unwrap()
    }

    /// An initial value as "kind operand".
    pub fn expr(&mut self) -> String {
        match self.u32() {
            0 => "none".to_owned(),
            kind @ (0x42 | 0x44) => format!("{kind:#x} {}", self.u64()),
            kind => format!("{kind:#x} {}", self.u32() as i32),
        }
    }
}
