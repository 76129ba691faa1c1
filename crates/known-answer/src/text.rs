//! The TOML form that developers write.

use crate::{STEP_BYTES_MAX, STEPS_MAX, Step, Value, check_bounds};
use serde::Deserialize;

/// The layout that this build reads.
pub const FORMAT: u32 = 1;

/// Longest text that is read: hex doubles the bytes, the rest is names.
pub const TEXT_BYTES_MAX: usize = 4 * STEP_BYTES_MAX;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnownAnswerError {
    #[error("the known-answer file is {0} bytes; the limit is {TEXT_BYTES_MAX}")]
    TooLong(usize),
    #[error("the known-answer file is not valid TOML of the expected shape: {0}")]
    Toml(String),
    #[error("the known-answer file has format {0}; this build reads format {FORMAT}")]
    Format(u32),
    #[error("step {number}: {what}")]
    Step { number: usize, what: String },
    #[error("{0} steps; the limit is {STEPS_MAX}")]
    TooManySteps(usize),
    #[error("the steps write and read {0} bytes together; the limit is {STEP_BYTES_MAX}")]
    TooManyBytes(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    #[serde(default, rename = "step")]
    steps: Vec<StepText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    write: Option<Place>,
    read: Option<Place>,
    call: Option<String>,
    args: Option<Vec<String>>,
    expect: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    address: u32,
    text: Option<String>,
    hex: Option<String>,
}

/// Reads the TOML form and checks every bound.
pub fn from_toml(text: &str) -> Result<Vec<Step>, KnownAnswerError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(KnownAnswerError::TooLong(text.len()));
    }
    let file: File = toml::from_str(text).map_err(|e| KnownAnswerError::Toml(e.to_string()))?;
    if file.format != FORMAT {
        return Err(KnownAnswerError::Format(file.format));
    }
    let steps = file.steps.into_iter().enumerate().map(|(index, step)| {
        to_step(step).map_err(|what| KnownAnswerError::Step { number: index + 1, what })
    });
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    check_bounds(&steps)?;
    Ok(steps)
}

fn to_step(step: StepText) -> Result<Step, String> {
    match step {
        StepText { write: Some(place), read: None, call: None, args: None, expect: None } => {
            Ok(Step::Write { address: place.address, bytes: to_bytes(place)? })
        }
        StepText { write: None, read: Some(place), call: None, args: None, expect: None } => {
            Ok(Step::Read { address: place.address, bytes: to_bytes(place)? })
        }
        StepText { write: None, read: None, call: Some(export), args, expect } => {
            let args = to_values(args.unwrap_or_default())?;
            Ok(Step::Call { export, args, expect: expect.map(to_values).transpose()? })
        }
        _ => Err("a step is one of write, read, or call with args and expect".to_owned()),
    }
}

fn to_bytes(place: Place) -> Result<Vec<u8>, String> {
    match (place.text, place.hex) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(digits)) => {
            hex::decode(&digits).map_err(|e| format!("hex = {digits:?} is not hexadecimal: {e}"))
        }
        _ => Err("give the bytes as either text or hex".to_owned()),
    }
}

fn to_values(texts: Vec<String>) -> Result<Vec<Value>, String> {
    texts.iter().map(|text| text.parse().map_err(|e| format!("{e}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_of_step_are_read() {
        let steps = from_toml(
            r#"
            format = 1
            [[step]]
            write = { address = 16, text = "hi" }
            [[step]]
            call = "f"
            args = ["i32:1"]
            expect = ["i64:-2"]
            [[step]]
            call = "g"
            [[step]]
            read = { address = 16, hex = "6869" }
            "#,
        )
        .unwrap();
        assert_eq!(
            steps,
            [
                Step::Write { address: 16, bytes: b"hi".to_vec() },
                Step::Call {
                    export: "f".into(),
                    args: vec![Value::I32(1)],
                    expect: Some(vec![Value::I64(-2)])
                },
                Step::Call { export: "g".into(), args: vec![], expect: None },
                Step::Read { address: 16, bytes: b"hi".to_vec() },
            ]
        );
        let bytes = minicbor::to_vec(&steps).unwrap();
        assert_eq!(minicbor::decode::<Vec<Step>>(&bytes).unwrap(), steps);
    }

    #[test]
    fn a_mistake_is_named_with_its_step() {
        let refuse = |text: &str| from_toml(text).unwrap_err().to_string();
        assert_eq!(
            refuse("format = 2"),
            "the known-answer file has format 2; this build reads format 1"
        );
        assert!(
            refuse("format = 1\n[[step]]\ncall = \"f\"\nargs = [\"5\"]")
                .starts_with("step 1: \"5\" is no value")
        );
        assert!(
            refuse("format = 1\n[[step]]\nread = {address = 1}")
                .starts_with("step 1: give the bytes as either text or hex")
        );
        assert!(
            refuse("format = 1\n[[step]]\ncall = \"f\"\nwrite = {address = 1, text = \"\"}")
                .starts_with("step 1: a step is one of")
        );
        assert!(refuse("format = 1\nsteps = 3").contains("not valid TOML"));
        let hex = "00".repeat(STEP_BYTES_MAX + 1);
        assert!(
            refuse(&format!("format = 1\n[[step]]\nwrite = {{address = 1, hex = \"{hex}\"}}"))
                .contains("the limit is 32768")
        );
    }
}
