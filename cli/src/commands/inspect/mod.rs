//! `farrier inspect`: what a compiled file holds, read without running any of it.

mod disassembly;
mod document;
mod object;
mod view;

use crate::args::{Format, OutputArgs};
use crate::console::Console;
use crate::failure::{Exit, Failure};
use aot_reader::{AotFile, CustomSection, Module, ReadError};
use clap::Args;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use target_spec::profile::{AotProfile, SECTION_NAME};

/// Longest file that is read; devices take far less.
const FILE_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Names of functions are those that they are exported as: an AoT file has no others.
Compile with --emit object for the names of the module's name section.

Examples:
  farrier inspect filter.aot
  farrier inspect filter.aot --disassemble tick
  farrier inspect filter.aot --disassemble 3
  farrier inspect filter.aot -o json
  farrier inspect filter.aot --object filter.o")]
pub struct InspectArgs {
    /// The AoT file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show the instructions, of all functions or of one by its index or export
    #[arg(short, long, value_name = "FUNCTION", conflicts_with_all = ["output", "json"])]
    #[allow(clippy::option_option, reason = "clap's way to say: absent, alone, with a value")]
    disassemble: Option<Option<String>>,
    /// Write the code as an ELF object that objdump and debuggers read
    #[arg(long, value_name = "OUT", conflicts_with_all = ["output", "json", "disassemble"])]
    object: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &InspectArgs, console: &Console) -> Result<(), Failure> {
    let bytes = read_file(&args.file)?;
    let refuse = |error| refuse(&args.file, &bytes, error);
    let file = AotFile::parse(&bytes).map_err(refuse)?;
    let module = Module::read(&file).map_err(refuse)?;
    if let Some(function) = &args.disassemble {
        return disassembly::show(&module, function.as_deref(), console);
    }
    if let Some(output) = &args.object {
        return object::write(&args.file, &module, output, console);
    }
    match args.output.format() {
        Format::Json => document::show(&file, &module, console),
        Format::Jsonl | Format::Yaml => {
            let data = document::value(&file, &module)?;
            console.document(args.output.format(), &data)
        }
        Format::Name => {
            module.exports.iter().try_for_each(|e| console.line(&crate::format::printable(e.name)))
        }
        format => view::show(&file, &module, format, console),
    }
}

/// The note that our compiler leaves, if there is one that can be read.
fn note_of(module: &Module<'_>) -> Option<AotProfile> {
    let raw = module.customs.iter().find_map(|custom| match custom {
        CustomSection::Raw { name, bytes } if *name == SECTION_NAME => Some(*bytes),
        _ => None,
    })?;
    AotProfile::from_bytes(raw).ok()
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let failure = |error: std::io::Error| Failure::of_reading(path, &error);
    let file = File::open(path).map_err(failure)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failure)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("{} has more than {FILE_BYTES_MAX} bytes", path.display());
        return Err(Failure::new(Exit::Failed, message).or_try("a file that was compiled"));
    }
    Ok(bytes)
}

fn refuse(path: &Path, bytes: &[u8], error: ReadError) -> Failure {
    let path = path.display();
    let advice = match error {
        ReadError::NotAot if bytes.starts_with(b"\0asm") => {
            let message = format!("{path} is a WebAssembly module that is not compiled yet");
            return Failure::new(Exit::Failed, message).or_try("farrier compile, then inspect");
        }
        ReadError::NotAot => "a file that farrier compile has written",
        ReadError::Version(_) => "compile the module again, with this version",
        ReadError::Missing(_) | ReadError::Damaged(_) => {
            "compile the module again; the file was cut off or changed"
        }
    };
    Failure::new(Exit::Failed, format!("{path}: {error}")).or_try(advice)
}
