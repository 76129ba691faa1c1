//! A case file → what the compiler makes of it, as text.
//!
//! A case is a module in text form. Lines that begin with `;;! ` say how it is
//! compiled and stand first; lines that begin with `;;` at the end are what is
//! expected. Everything between is the module.
//!
//! ```text
//! ;;! target = x86_64-linux
//! ;;! bounds = hardware
//! ;;! function = 0            (may be left away: all functions)
//! ;;! nan = canonical         (may be left away: as-computed)
//! (module ...)
//! ;; function[0] (i32) -> i32
//! ;;    0  mov rax, rdi
//! ```
//!
//! Addresses count from each function's first byte and calls are shown by name, so
//! that the text of one function does not change with another. A directive that is not
//! known is an error: a case must not quietly test something else.

use aot_compiler::{CompileOptions, compile};
use aot_reader::{AotFile, Module};
use disassembler::{Disassembler, Names, Origin};
use std::convert::Infallible;
use target_spec::profile::NanRule;
use target_spec::{BoundsChecks, Registry, Target};

const DIRECTIVE: &str = ";;! ";
const EXPECTED: &str = ";;";

pub struct Case {
    target: &'static Target,
    bounds_checks: BoundsChecks,
    nan_rule: NanRule,
    /// Only this one is shown.
    function: Option<u32>,
    /// Directives and module, as they stand in the file.
    source: String,
    expected: String,
}

impl Case {
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_expected = |line: &&str| line.starts_with(EXPECTED) && !line.starts_with(DIRECTIVE);
        let expected_count = text.lines().rev().take_while(is_expected).count();
        let source_count = text.lines().count() - expected_count;
        let join = |lines: Vec<&str>| lines.iter().map(|line| format!("{line}\n")).collect();
        let mut case = Self {
            target: &Registry::built_in().all()[0],
            bounds_checks: BoundsChecks::Software,
            nan_rule: NanRule::AsComputed,
            function: None,
            source: join(text.lines().take(source_count).collect()),
            expected: join(text.lines().skip(source_count).collect()),
        };
        let mut target = None;
        for directive in text.lines().filter_map(|line| line.strip_prefix(DIRECTIVE)) {
            let (key, value) = directive.split_once(" = ").ok_or("a directive is KEY = VALUE")?;
            match key {
                "target" => target = Some(find_target(value)?),
                "bounds" => case.bounds_checks = value.parse().map_err(to_text)?,
                "nan" => case.nan_rule = value.parse().map_err(to_text)?,
                "function" => case.function = Some(value.parse().map_err(to_text)?),
                _ => return Err(format!("there is no directive {key:?}")),
            }
        }
        case.target = target.ok_or("the directive \"target\" is missing")?;
        Ok(case)
    }

    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// The file with this as its expected text.
    pub fn with_expected(&self, expected: &str) -> String {
        format!("{}{expected}", self.source)
    }

    /// What comes out today, as the comment that stands at a case's end.
    pub fn compile(&self) -> Result<String, String> {
        let wasm = wat::parse_str(&self.source).map_err(to_text)?;
        let nan_rule = self.nan_rule;
        let options = CompileOptions { nan_rule, ..CompileOptions::new(self.bounds_checks) };
        let artifact = compile(&wasm, self.target, &options).map_err(to_text)?;
        let file = AotFile::parse(&artifact.aot).map_err(to_text)?;
        let module = Module::read(&file).map_err(to_text)?;
        let text = disassemble(&module, self.function).map_err(to_text)?;
        Ok(text
            .lines()
            .map(|line| format!("{EXPECTED} {line}").trim_end().to_owned() + "\n")
            .collect())
    }
}

fn find_target(id: &str) -> Result<&'static Target, String> {
    Registry::built_in().find(id).map_err(to_text)
}

fn to_text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn disassemble(
    module: &Module<'_>,
    only: Option<u32>,
) -> Result<String, disassembler::DisassemblerError> {
    let disassembler = Disassembler::new(module.target.e_machine)?;
    let names = Names::of(module);
    let mut text = String::new();
    let shown = module.functions.iter().filter(|f| only.is_none_or(|only| only == f.index));
    for function in shown {
        let signature = module.function_type(function.index).map(ToString::to_string);
        let signature = signature.unwrap_or_default();
        text += &format!("{} {signature}\n", names.label(function.index));
        let shown = disassembler.each_line(
            &module.text,
            &names,
            function.range(),
            Origin::Range,
            |line| -> Result<(), Infallible> {
                text += &format!("{:5x}  {}\n", line.address, line.text);
                Ok(())
            },
        );
        // Writing to a String does not fail.
        let Ok(()) = shown;
    }
    Ok(text)
}
