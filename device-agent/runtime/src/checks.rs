//! Runs known-answer steps on an instance.

use crate::shared::Shared;
use known_answer::Step;
use wamr::{CallError, Instance, Trap, Value};
use worker_protocol::FailedStep;

/// How a run of steps ended.
pub struct Outcome {
    pub passed: u32,
    pub failed: Option<FailedStep>,
    /// The export whose call trapped, and why. The instance must not be used again.
    pub trap: Option<(String, Trap)>,
}

/// Runs the steps in order up to the first that does not hold.
pub fn run(instance: &mut Instance<'_>, steps: &[Step], shared: &Shared) -> Outcome {
    for (step, number) in steps.iter().zip(1..) {
        let Err((detail, trap)) = run_step(instance, step, shared) else { continue };
        let detail = format!("{step}: {detail}");
        return Outcome { passed: number - 1, failed: Some(FailedStep { number, detail }), trap };
    }
    // At most `STEPS_MAX`.
    Outcome { passed: steps.len() as u32, failed: None, trap: None }
}

type StepFailure = (String, Option<(String, Trap)>);

fn run_step(instance: &mut Instance<'_>, step: &Step, shared: &Shared) -> Result<(), StepFailure> {
    match step {
        Step::Write { address, bytes } => {
            instance.write_memory(*address, bytes).map_err(|e| (e.to_string(), None))
        }
        Step::Read { address, bytes } => {
            let found = instance.read_memory(*address, bytes.len());
            let found = found.map_err(|e| (e.to_string(), None))?;
            match found.iter().zip(bytes).position(|(found, expected)| found != expected) {
                None => Ok(()),
                Some(index) => {
                    let (found, expected) = (found[index], bytes[index]);
                    let what = format!("byte {index} is {found:#04x}, expected {expected:#04x}");
                    Err((what, None))
                }
            }
        }
        Step::Call { export, args, expect } => {
            let args: Vec<Value> = args.iter().copied().map(to_wamr).collect();
            shared.begin_call(export, instance.interrupter());
            let called = instance.call(export, &args);
            shared.end_call();
            shared.update_usage(|usage| usage.calls += 1);
            let found = called.map_err(|error| match error {
                CallError::Trap(trap) => (format!("trapped: {trap}"), Some((export.clone(), trap))),
                other => (other.to_string(), None),
            })?;
            let Some(expected) = expect else { return Ok(()) };
            let expected: Vec<Value> = expected.iter().copied().map(to_wamr).collect();
            if found == expected {
                Ok(())
            } else {
                Err((format!("returned {}", show(&found)), None))
            }
        }
    }
}

fn to_wamr(value: known_answer::Value) -> Value {
    match value {
        known_answer::Value::I32(number) => Value::I32(number),
        known_answer::Value::I64(number) => Value::I64(number),
        known_answer::Value::F32(bits) => Value::F32(bits),
        known_answer::Value::F64(bits) => Value::F64(bits),
    }
}

/// In the spelling of known-answer files, where it has one.
fn show(values: &[Value]) -> String {
    let spell = |value: &Value| match *value {
        Value::I32(number) => known_answer::Value::I32(number).to_string(),
        Value::I64(number) => known_answer::Value::I64(number).to_string(),
        Value::F32(bits) => known_answer::Value::F32(bits).to_string(),
        Value::F64(bits) => known_answer::Value::F64(bits).to_string(),
        other => format!("a {}", other.value_type()),
    };
    format!("({})", values.iter().map(spell).collect::<Vec<_>>().join(", "))
}
