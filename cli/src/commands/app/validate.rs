//! `farrier app validate`: what is wrong with a file, as far as one can say without a
//! gateway: its text, and the Wasm files that it names.

use super::file::{self, LoadError};
use crate::args::{Format, OutputArgs};
use crate::console::Console;
use crate::failure::Failure;
use clap::Args;
use gateway_api::FileProblem;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier app validate climate.toml
  farrier app validate climate.toml -o json")]
pub struct ValidateArgs {
    /// The application file
    file: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// What `-o json` says.
#[derive(Serialize)]
struct Verdict {
    file: String,
    application: Option<String>,
    modules: Vec<String>,
    errors: Vec<FileProblem>,
}

pub fn run(args: &ValidateArgs, console: &Console) -> Result<(), Failure> {
    let format = args.output.format();
    let loaded = file::load(&args.file);
    let file = args.file.display().to_string();
    let verdict = match &loaded {
        Ok(loaded) => Verdict {
            file,
            application: Some(loaded.file.name.value.clone()),
            modules: loaded.file.modules.iter().map(|m| m.name.value.clone()).collect(),
            errors: vec![],
        },
        Err(LoadError::Wrong(wrong)) => {
            let errors = wrong.problems.clone();
            Verdict { file, application: None, modules: vec![], errors }
        }
        // There is nothing to have a verdict on.
        Err(LoadError::Unreadable(_)) => return loaded.map(drop).map_err(Failure::from),
    };
    if format.is_document() {
        console.document(format, &verdict)?;
    }
    loaded.map_err(Failure::from)?;
    match format {
        Format::Json | Format::Jsonl | Format::Yaml => Ok(()),
        Format::Name => console.line(verdict.application.as_deref().unwrap_or_default()),
        Format::Table | Format::Wide => {
            let name = verdict.application.unwrap_or_default();
            console.line(&format!("{name}: {}", verdict.modules.join(", ")))
        }
    }
}
