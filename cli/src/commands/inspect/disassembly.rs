//! `--disassemble`: instructions, streamed one by one.

use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::printable;
use aot_reader::{ExportKind, Function, Module};
use disassembler::{Disassembler, Line, Names, Origin};
use std::io::{self, Write};
use std::ops::Range;

/// Bytes of the longest instruction that is usual, as hexadecimal digits.
const BYTES_WIDTH: usize = 20;

pub fn show(module: &Module<'_>, function: Option<&str>, console: &Console) -> Result<(), Failure> {
    let disassembler = Disassembler::new(module.target.e_machine)
        .map_err(|error| Failure::new(Exit::Failed, error))?;
    let listing = Listing { module, disassembler, names: Names::of(module) };
    match function {
        Some(name) => {
            let function = find(module, name)?;
            console.stream(|out| listing.function(out, function))
        }
        None => console.stream(|out| listing.all(out)),
    }
}

fn find<'m>(module: &'m Module<'_>, name: &str) -> Result<&'m Function, Failure> {
    let exports = module.exports.iter();
    let mut exported = exports.filter(|e| e.kind == ExportKind::Function && e.name == name);
    // An export may be called "3"; then it is meant.
    let index = exported.next().map(|export| export.index).or_else(|| name.parse().ok());
    let imported_count = module.init.imported_functions.len() as u32;
    if index.is_some_and(|index| index < imported_count) {
        let message = format!("function {name} is imported: its code is not in the file");
        return Err(Failure::new(Exit::NotFound, message));
    }
    let found = module.functions.iter().find(|function| Some(function.index) == index);
    found.ok_or_else(|| {
        let message = format!("the file has no function {name:?}");
        Failure::new(Exit::NotFound, message)
            .or_try("farrier inspect for the list, and an index or export of it")
    })
}

struct Listing<'m, 'a> {
    module: &'m Module<'a>,
    disassembler: Disassembler,
    names: Names<'a>,
}

impl Listing<'_, '_> {
    fn all(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut functions: Vec<&Function> = self.module.functions.iter().collect();
        functions.sort_by_key(|function| function.code_offset);
        // A body that is entered through other code can lie in front of it.
        let first = functions
            .first()
            .map_or(self.module.text.code.len() as u64, |function| function.code_offset);
        if first > 0 {
            writeln!(out, "before the first function: {first} bytes")?;
            self.range(out, 0..first)?;
        }
        functions.into_iter().try_for_each(|function| self.function(out, function))
    }

    fn function(&self, out: &mut dyn Write, function: &Function) -> io::Result<()> {
        let label = printable(self.names.label(function.index));
        let signature = self.module.function_type(function.index);
        let signature = signature.map(ToString::to_string).unwrap_or_default();
        writeln!(out, "{label} {signature}: {} bytes", function.code_bytes)?;
        self.range(out, function.range())
    }

    fn range(&self, out: &mut dyn Write, range: Range<u64>) -> io::Result<()> {
        let text = &self.module.text;
        self.disassembler
            .each_line(text, &self.names, range, Origin::Code, |line| show_line(out, line))?;
        writeln!(out)
    }
}

fn show_line(out: &mut dyn Write, line: &Line<'_>) -> io::Result<()> {
    let bytes: String = line.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(out, "  {:6x}  {bytes:BYTES_WIDTH$}  {}", line.address, printable(&line.text))
}
