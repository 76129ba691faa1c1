//! The same script on WAMR, in an executor's process.

use crate::outcome::{Ending, Seen, TrapKind, comparable};
use crate::script::{Exports, Step};
use executor::{ExecuteError, Executor, Machine, Mode, Returned};
use std::time::Duration;

/// No script's step takes long: its fuel is small.
const TIMEOUT: Duration = Duration::from_secs(60);

pub struct OnWamr {
    pub machine: Machine,
    executor: Executor,
}

impl OnWamr {
    pub fn start(machine: Machine) -> anyhow::Result<Self> {
        let mut executor = Executor::start(&machine)?;
        executor.set_timeout(TIMEOUT);
        Ok(Self { machine, executor })
    }

    /// Stops behind the first step after which there is nothing to compare. Err if the
    /// file is refused.
    pub fn run(
        &mut self,
        file: Vec<u8>,
        exports: &Exports,
        steps: &[Step],
    ) -> Result<Vec<Seen>, ExecuteError> {
        self.executor.drop_instance(0)?;
        self.executor.load(0, file)?;
        let mut seen = Vec::with_capacity(steps.len());
        for step in steps {
            let answer = match step {
                Step::Instantiate => self.executor.instantiate(0, 0, None),
                Step::Call { function, arguments } => self.executor.call(0, function, arguments),
            };
            if answer.as_ref().is_err_and(ExecuteError::is_fatal) {
                seen.push(Seen::only(ending_of(answer).0));
                break;
            }
            let is_call = matches!(step, Step::Call { .. });
            let seen_now = match ending_of(answer) {
                (Ending::Failed(why), _) if !is_call && !why.contains("stack overflow") => {
                    Seen::only(Ending::NotInstantiated)
                }
                (Ending::Failed(why), _) if !is_call => Seen::only(Ending::Limit(why)),
                (ending, printed) => self.look(exports, ending, printed)?,
            };
            let is_last = seen_now.is_last();
            seen.push(seen_now);
            if is_last {
                break;
            }
        }
        Ok(seen)
    }

    /// After a fatal error.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        *self = Self::start(self.machine)?;
        Ok(())
    }

    fn look(
        &mut self,
        exports: &Exports,
        ending: Ending,
        printed: Vec<u8>,
    ) -> Result<Seen, ExecuteError> {
        if matches!(ending, Ending::Failed(_)) {
            return Ok(Seen::only(ending));
        }
        let mut globals = Vec::with_capacity(exports.globals.len());
        for name in &exports.globals {
            globals.push(comparable(self.executor.global(0, name)?));
        }
        let mut seen = Seen { printed, globals, ..Seen::only(ending) };
        // A memory that is not exported cannot be seen in the other engine.
        let is_seen = exports.memory.is_some();
        let (memory_bytes, sha256) = self.executor.hash_memory(0)?;
        seen.memory_bytes = if is_seen { memory_bytes } else { 0 };
        seen.memory_sha256 = if is_seen { sha256 } else { crate::second_engine::no_memory() };
        Ok(seen)
    }
}

fn ending_of(answer: Result<Returned, ExecuteError>) -> (Ending, Vec<u8>) {
    match answer {
        Ok(Returned { values, output, .. }) => {
            (Ending::Returned(values.into_iter().map(comparable).collect()), output)
        }
        Err(ExecuteError::Trapped { reason, output, .. }) => (ending_of_message(&reason), output),
        Err(error) => (Ending::Failed(error.to_string()), Vec::new()),
    }
}

/// WAMR's interpreter does not run a start function that is imported
/// (`interpreter/wasm_runtime.c`), so what its instantiation prints is not compared.
pub fn compares_output(machine: Machine, step: &Step) -> bool {
    machine.mode == Mode::Aot || matches!(step, Step::Call { .. })
}

/// `exception_msgs` in WAMR's `common/wasm_runtime_common.c`.
fn ending_of_message(reason: &str) -> Ending {
    let text = reason.strip_prefix("Exception: ").unwrap_or(reason);
    Ending::Trapped(match text {
        "unreachable" => TrapKind::Unreachable,
        "out of bounds memory access" => TrapKind::Memory,
        "undefined element" | "out of bounds table access" => TrapKind::Table,
        "uninitialized element" => TrapKind::UninitializedElement,
        "indirect call type mismatch" => TrapKind::IndirectCallType,
        "integer divide by zero" => TrapKind::DivisionByZero,
        "integer overflow" => TrapKind::IntegerOverflow,
        "invalid conversion to integer" => TrapKind::ConversionToInteger,
        "native stack overflow" | "wasm operand stack overflow" | "allocate memory failed" => {
            return Ending::Limit(text.to_owned());
        }
        other => return Ending::Failed(format!("unknown trap {other:?}")),
    })
}
