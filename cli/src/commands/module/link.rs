//! `farrier module link`: a module and the libraries that it imports from become one.

use crate::commands::compile::read_module;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format;
use crate::output_file;
use clap::Args;
use module_linker::{Library, LinkError};
use module_package::ModuleId;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[derive(Debug, Args)]
#[command(after_help = "\
What IN imports from a module called NAME becomes what that library exports; the result
exports what IN exports. docs/linking.md says how libraries are built.

Examples:
  farrier module link level-meter.wasm signal=signal.wasm -o linked.wasm
  farrier module link main.wasm math=math.wasm text=text.wasm -o linked.wasm")]
pub struct LinkArgs {
    /// The module that is to run
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// A library: what it is imported as, and its Wasm file
    #[arg(value_name = "NAME=FILE", required = true)]
    libraries: Vec<NamedFile>,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Tell the result as JSON
    #[arg(long)]
    json: bool,
}

/// `NAME=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    pub name: String,
    pub path: PathBuf,
}

impl FromStr for NamedFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text
            .split_once('=')
            .filter(|(_, path)| !path.is_empty())
            .ok_or_else(|| "give it as NAME=FILE, such as signal=signal.wasm".to_owned())?;
        module_linker::check_name(name).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), path: path.into() })
    }
}

/// Files that were read to be linked.
pub struct Inputs {
    pub main: Vec<u8>,
    pub libraries: Vec<(String, Vec<u8>)>,
}

impl Inputs {
    pub fn read(main: &Path, libraries: &[NamedFile]) -> Result<Self, Failure> {
        let read = |file: &NamedFile| Ok((file.name.clone(), read_module(&file.path)?));
        let libraries = libraries.iter().map(read).collect::<Result<_, Failure>>()?;
        Ok(Self { main: read_module(main)?, libraries })
    }

    pub fn link(&self) -> Result<Vec<u8>, LinkError> {
        let libraries: Vec<Library<'_>> =
            self.libraries.iter().map(|(name, wasm)| Library { name, wasm }).collect();
        module_linker::link(&self.main, &libraries)
    }
}

#[derive(Debug, Serialize)]
struct Report {
    output: String,
    module: String,
    bytes: u64,
    inputs: Vec<Input>,
}

#[derive(Debug, Serialize)]
struct Input {
    /// None for the main module.
    name: Option<String>,
    module: String,
    bytes: u64,
}

pub fn run(args: &LinkArgs, console: &Console) -> Result<(), Failure> {
    let inputs = Inputs::read(&args.input, &args.libraries)?;
    let linked = inputs.link().map_err(|error| failure(&args.input, &error))?;
    for file in &args.libraries {
        output_file::refuse_same(&file.path, &args.output)?;
    }
    output_file::write(&args.input, &args.output, &linked)?;
    let input = |name: Option<&String>, wasm: &[u8]| Input {
        name: name.cloned(),
        module: ModuleId::of(wasm).to_string(),
        bytes: wasm.len() as u64,
    };
    let main = std::iter::once(input(None, &inputs.main));
    let libraries = inputs.libraries.iter().map(|(name, wasm)| input(Some(name), wasm));
    let report = Report {
        output: args.output.display().to_string(),
        module: ModuleId::of(&linked).to_string(),
        bytes: linked.len() as u64,
        inputs: main.chain(libraries).collect(),
    };
    if args.json {
        return console.json(&report);
    }
    console.line(&format::printable(&format!(
        "{}: {} bytes of {} modules, {}",
        report.output,
        report.bytes,
        report.inputs.len(),
        format::short_id(&report.module)
    )))
}

pub fn failure(main: &Path, error: &LinkError) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("link {}: {error}", main.display()));
    failure.or_try("docs/linking.md, which says how modules are built to be linked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_a_name_and_a_file() {
        let read: NamedFile = "a=b=c.wasm".parse().unwrap();
        assert_eq!(read, NamedFile { name: "a".into(), path: "b=c.wasm".into() });
        for wrong in ["", "a", "a=", "=b", "farrier=b", "ä=b"] {
            assert!(wrong.parse::<NamedFile>().is_err(), "{wrong}");
        }
    }
}
