//! `--object`: the file's code as an ELF object.

use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::format::printable;
use crate::output_file;
use aot_reader::{ExportKind, Module};
use elf_object::{Function, Machine, OpenCall};
use std::collections::BTreeMap;
use std::path::Path;

pub fn write(
    input: &Path,
    module: &Module<'_>,
    output: &Path,
    console: &Console,
) -> Result<(), Failure> {
    let bytes = object_of(module)?;
    output_file::write(input, output, &bytes)?;
    console.line(&printable(&format!(
        "{}: {} functions, {} bytes",
        output.display(),
        module.functions.len(),
        bytes.len()
    )))
}

fn object_of(module: &Module<'_>) -> Result<Vec<u8>, Failure> {
    let exports = module.exports.iter().rev();
    let exports = exports.filter(|export| export.kind == ExportKind::Function);
    // The first export of a function gives its name.
    let exports: BTreeMap<u32, &str> = exports.map(|e| (e.index, e.name)).collect();
    let name = |index: u32| match exports.get(&index) {
        Some(name) => (*name).to_owned(),
        None => format!("wasm-function[{index}]"),
    };
    let names: Vec<String> = module.functions.iter().map(|f| name(f.index)).collect();
    let functions = module.functions.iter().zip(&names);
    let functions: Vec<_> =
        functions.map(|(function, name)| Function { name, range: function.range() }).collect();
    let code_bytes = module.text.code.len() as u64;
    // ELF's readers believe offsets, so those that lead out of the code stay away.
    let inside = module.relocations.of_text().filter(|r| r.offset < code_bytes);
    let calls: Vec<_> = inside
        .map(|relocation| OpenCall {
            offset: relocation.offset,
            symbol: module.relocations.symbol(relocation),
            kind: relocation.kind,
            addend: relocation.addend,
        })
        .collect();
    let machine = Machine { e_machine: module.target.e_machine, e_flags: module.target.e_flags };
    elf_object::write(machine, module.text.code, &functions, &calls)
        .map_err(|error| Failure::new(Exit::Failed, error))
}
