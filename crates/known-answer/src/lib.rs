//! Known-answer steps: how anyone can see that a compiled module computes what
//! its developer says.
//!
//! A developer writes them as TOML and pushes them with the module; the gateway
//! signs them into the release; a worker runs them after instantiation, on the
//! gateway before publishing and on each device. [`from_toml`] reads the text,
//! the CBOR form is what is signed and what travels.
//!
//! ```toml
//! format = 1
//!
//! [[step]]
//! write = { address = 0, text = "hello" }
//!
//! [[step]]
//! call = "xxh32"
//! args = ["i32:0", "i32:5", "i32:0"]
//! expect = ["i32:0xfb0077f9"]
//!
//! [[step]]
//! read = { address = 0, hex = "68656c6c6f" }
//! ```
//!
//! It does not run anything: that is `farrier-runtime`.

mod text;
mod value;

use minicbor::{Decode, Encode};
use std::fmt;

pub use text::{FORMAT, KnownAnswerError, from_toml};
pub use value::{InvalidValue, Value};

/// Most steps in one module, a bound on what every device runs at each start.
pub const STEPS_MAX: usize = 256;

/// Most bytes that all steps write and read together.
pub const STEP_BYTES_MAX: usize = 32 * 1024;

/// Longest name of a called export.
pub const EXPORT_NAME_BYTES_MAX: usize = 256;

/// Most arguments or results of one call.
pub const CALL_VALUES_MAX: usize = 32;

/// One step, run in order; the first that does not hold ends the run.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Step {
    /// Put bytes into the module's first memory.
    #[n(0)]
    Write {
        #[n(0)]
        address: u32,
        #[cbor(n(1), with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// Call an exported function. Without `expect` any result will do.
    #[n(1)]
    Call {
        #[n(0)]
        export: String,
        #[n(1)]
        args: Vec<Value>,
        #[n(2)]
        expect: Option<Vec<Value>>,
    },
    /// Compare bytes of the module's first memory.
    #[n(2)]
    Read {
        #[n(0)]
        address: u32,
        #[cbor(n(1), with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { address, bytes } => write!(f, "write {} bytes at {address}", bytes.len()),
            Self::Read { address, bytes } => {
                write!(f, "read {} bytes at {address}", bytes.len())
            }
            Self::Call { export, args, expect } => {
                write!(f, "call {export}({})", join(args))?;
                match expect {
                    Some(values) => write!(f, " = ({})", join(values)),
                    None => Ok(()),
                }
            }
        }
    }
}

fn join(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}

/// Checks the bounds above. A decoded list has passed no other check.
pub fn check_bounds(steps: &[Step]) -> Result<(), KnownAnswerError> {
    if steps.len() > STEPS_MAX {
        return Err(KnownAnswerError::TooManySteps(steps.len()));
    }
    let mut bytes_total = 0;
    for (index, step) in steps.iter().enumerate() {
        let step_error = |what: String| KnownAnswerError::Step { number: index + 1, what };
        match step {
            Step::Write { bytes, .. } | Step::Read { bytes, .. } => bytes_total += bytes.len(),
            Step::Call { export, args, expect } => {
                if export.len() > EXPORT_NAME_BYTES_MAX {
                    return Err(step_error(format!(
                        "the export's name is longer than {EXPORT_NAME_BYTES_MAX} bytes"
                    )));
                }
                let result_count = expect.as_ref().map_or(0, Vec::len);
                if args.len() > CALL_VALUES_MAX || result_count > CALL_VALUES_MAX {
                    return Err(step_error(format!(
                        "a call has at most {CALL_VALUES_MAX} arguments and results"
                    )));
                }
            }
        }
    }
    if bytes_total > STEP_BYTES_MAX {
        return Err(KnownAnswerError::TooManyBytes(bytes_total));
    }
    Ok(())
}
