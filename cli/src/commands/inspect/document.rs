//! `-o json`: the same as the tables, under stable names.

use super::note_of;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use aot_reader::{AotFile, CustomSection, Module, relocation_kind_name};
use serde_json::{Value, json};
use std::io::{self, Write};
use target_spec::profile::CodePolicy;

/// Writes one member after the other, so that only one of them is ever built.
pub fn show(file: &AotFile<'_>, module: &Module<'_>, console: &Console) -> Result<(), Failure> {
    console.stream(|out| write(file, module, out))
}

/// The same at once, for formats that are not written piece by piece.
pub fn value(file: &AotFile<'_>, module: &Module<'_>) -> Result<serde_json::Value, Failure> {
    let failure =
        |e: &dyn std::error::Error| Failure::new(Exit::Failed, "describe the file").because(e);
    let mut json = Vec::new();
    write(file, module, &mut json).map_err(|e| failure(&e))?;
    serde_json::from_slice(&json).map_err(|e| failure(&e))
}

fn write(file: &AotFile<'_>, module: &Module<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut object = Object { out, is_first: true };
    object.value("size_bytes", &json!(file.size_bytes()))?;
    object.value("aot_version", &json!(file.version))?;
    object.value("target", &target(module))?;
    object.value("note", &note(module))?;
    object.list(
        "sections",
        file.sections().iter().map(|section| {
            json!({ "id": section.id, "name": section.kind().name(), "offset": section.offset,
                "size_bytes": section.body.len() })
        }),
    )?;
    let init = &module.init;
    object.list(
        "memories",
        init.memories.iter().map(|memory| {
            json!({ "page_bytes": memory.page_bytes, "initial_pages": memory.initial_pages,
                "max_pages": memory.max_pages, "flags": memory.flags })
        }),
    )?;
    object.list(
        "data_segments",
        init.data.iter().map(|data| {
            json!({ "is_passive": data.is_passive, "offset": data.offset.to_string(),
                "size_bytes": data.bytes.len() })
        }),
    )?;
    object.list(
        "tables",
        init.tables.iter().map(|table| {
            json!({ "type": table.element.name(), "initial": table.initial,
                "maximum": table.maximum, "may_grow": table.may_grow })
        }),
    )?;
    object.list(
        "element_segments",
        init.elements.iter().map(|segment| {
            let entries: Vec<String> = segment.entries.iter().map(ToString::to_string).collect();
            json!({ "mode": format!("{:?}", segment.mode).to_lowercase(),
                "type": segment.element.name(), "table": segment.table_index,
                "offset": segment.offset.to_string(), "entries": entries })
        }),
    )?;
    object.list("types", init.types.iter().map(|ty| json!(ty.to_string())))?;
    object.list(
        "imported_globals",
        init.imported_globals.iter().map(|global| {
            json!({ "module": global.module, "name": global.name, "type": global.ty.name(),
                "is_mutable": global.is_mutable })
        }),
    )?;
    object.list(
        "globals",
        init.globals.iter().map(|global| {
            json!({ "type": global.ty.name(), "is_mutable": global.is_mutable,
                "value": global.value.to_string() })
        }),
    )?;
    object.list("imported_functions", init.imported_functions.iter().map(|import| {
        json!({ "module": import.module, "name": import.name, "type": import.type_index })
    }))?;
    object.value("start", &json!(init.start))?;
    object.list(
        "functions",
        module.functions.iter().map(|function| {
            json!({ "index": function.index, "code_offset": function.code_offset,
                "code_bytes": function.code_bytes, "type": function.type_index })
        }),
    )?;
    object.list("exports", module.exports.iter().map(|export| {
        json!({ "name": export.name, "kind": export.kind.name(), "index": export.index })
    }))?;
    object.list("relocations", relocations(module))?;
    object.list(
        "object_data",
        init.object_data
            .iter()
            .map(|data| json!({ "name": data.name, "size_bytes": data.bytes.len() })),
    )?;
    object.list("custom_sections", module.customs.iter().map(custom))?;
    object.end()
}

fn target(module: &Module<'_>) -> Value {
    let target = &module.target;
    json!({ "arch": target.arch, "e_machine": target.e_machine, "e_flags": target.e_flags,
            "is_64_bit": target.is_64_bit(), "features": target.features() })
}

fn note(module: &Module<'_>) -> Value {
    note_of(module).map_or(Value::Null, |note| {
        let CodePolicy { metering, nan_rule, suspend_checks } = note.policy;
        let policy = json!({ "metering": metering, "nan": nan_rule.as_str(),
                             "suspend_checks": suspend_checks });
        json!({ "target": note.target.as_str(), "bounds_checks": note.bounds_checks.as_str(),
                "cpu_features": note.cpu_features, "compiler": note.compiler,
                "policy": policy })
    })
}

fn relocations(module: &Module<'_>) -> impl Iterator<Item = Value> {
    let groups = module.relocations.groups.iter();
    groups.flat_map(move |group| {
        group.relocations.iter().map(move |relocation| {
            let kind = relocation_kind_name(module.target.e_machine, relocation.kind);
            json!({ "group": group.name, "offset": relocation.offset, "kind": relocation.kind,
                    "kind_name": kind, "symbol": module.relocations.symbol(relocation),
                    "addend": relocation.addend })
        })
    })
}

fn custom(custom: &CustomSection<'_>) -> Value {
    match custom {
        CustomSection::Raw { name, bytes } => json!({ "name": name, "size_bytes": bytes.len() }),
        CustomSection::NativeSymbols(symbols) => json!({ "native_symbols": symbols }),
        CustomSection::Other { sub_id, bytes } => {
            json!({ "sub_id": sub_id, "size_bytes": bytes.len() })
        }
    }
}

/// A JSON object that is written as it is found.
struct Object<'o> {
    out: &'o mut dyn Write,
    is_first: bool,
}

impl Object<'_> {
    fn key(&mut self, key: &str) -> io::Result<()> {
        let before = if self.is_first { "{" } else { "," };
        self.is_first = false;
        write!(self.out, "{before}\n  \"{key}\": ")
    }

    fn value(&mut self, key: &str, value: &Value) -> io::Result<()> {
        self.key(key)?;
        write!(self.out, "{value}")
    }

    fn list(&mut self, key: &str, items: impl Iterator<Item = Value>) -> io::Result<()> {
        self.key(key)?;
        write!(self.out, "[")?;
        let mut before = "";
        for item in items {
            write!(self.out, "{before}\n    {item}")?;
            before = ",";
        }
        write!(self.out, "]")
    }

    fn end(&mut self) -> io::Result<()> {
        writeln!(self.out, "\n}}")
    }
}
