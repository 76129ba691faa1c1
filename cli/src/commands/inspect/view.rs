//! The file as tables, each written before the next is made. Long ones come in parts
//! with a header each, so that a file of any size needs little memory to be shown.

use super::note_of;
use crate::args::Format;
use crate::console::Console;
use crate::failure::Failure;
use crate::format;
use crate::grid::{Align, Grid, Look, facts, plain};
use Align::{Left, Right};
use aot_reader::{AotFile, CustomSection, ExportKind, Module, SectionKind, relocation_kind_name};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Rows that are laid out together.
const ROWS_PER_PART: usize = 500;

/// Entries of an element segment that are shown in its row.
const ENTRIES_SHOWN: usize = 8;

pub fn show(
    file: &AotFile<'_>,
    module: &Module<'_>,
    format: Format,
    console: &Console,
) -> Result<(), Failure> {
    let look = console.look(format);
    console.stream(|out| {
        let mut view = View { out, look: &look };
        out_facts(&mut view, file, module)?;
        view.sections(file)?;
        view.memory(module)?;
        view.tables(module)?;
        view.types(module)?;
        view.globals(module)?;
        view.imports(module)?;
        view.functions(module)?;
        view.exports(module)?;
        view.relocations(module)?;
        view.others(module)
    })
}

fn out_facts(view: &mut View<'_>, file: &AotFile<'_>, module: &Module<'_>) -> io::Result<()> {
    let target = &module.target;
    let features = target.features();
    let start = module.init.start.map_or("none".to_owned(), |index| format!("function {index}"));
    let mut lines = vec![
        ("size", format::bytes(file.size_bytes() as u64)),
        ("AoT version", file.version.to_string()),
        (
            "processor",
            format!(
                "{}, ELF machine {}, flags {:#x}",
                target.arch, target.e_machine, target.e_flags
            ),
        ),
        ("needs", if features.is_empty() { "nothing".to_owned() } else { features.join(", ") }),
        (
            "code",
            format!(
                "{} in {} functions",
                format::bytes(module.text.code.len() as u64),
                module.functions.len()
            ),
        ),
        ("start", start),
    ];
    match note_of(module) {
        Some(note) => lines.extend([
            ("target", note.target.to_string()),
            ("bounds checks", note.bounds_checks.to_string()),
            ("CPU features", note.cpu_features.join(", ")),
            ("compiler", note.compiler),
            ("metering", metering(note.policy.metering)),
            ("NaN rule", note.policy.nan_rule.to_string()),
            ("suspend checks", if note.policy.suspend_checks { "yes" } else { "no" }.to_owned()),
        ]),
        None => lines.push(("note", "none of ours: the file is of another compiler".to_owned())),
    }
    view.out.write_all(facts(&lines).as_bytes())
}

fn metering(cost_table: Option<u32>) -> String {
    cost_table.map_or("none".to_owned(), |version| format!("gas, cost table {version}"))
}

struct View<'v> {
    out: &'v mut dyn Write,
    look: &'v Look,
}

impl View<'_> {
    /// A table under its title, or nothing if it has no rows.
    fn table(
        &mut self,
        title: &str,
        columns: &[(&str, Align)],
        rows: impl Iterator<Item = Vec<String>>,
    ) -> io::Result<()> {
        let mut rows = rows.peekable();
        if rows.peek().is_some() {
            writeln!(self.out, "\n{title}")?;
        }
        while rows.peek().is_some() {
            let mut grid = Grid::new(self.look, columns);
            for row in rows.by_ref().take(ROWS_PER_PART) {
                grid.row(row.into_iter().map(plain).collect());
            }
            self.out.write_all(grid.to_text().as_bytes())?;
        }
        Ok(())
    }

    fn sections(&mut self, file: &AotFile<'_>) -> io::Result<()> {
        let columns = [("ID", Right), ("SECTION", Left), ("OFFSET", Right), ("SIZE", Right)];
        let rows = file.sections().iter().map(|section| {
            let name = match section.kind() {
                SectionKind::Unknown(_) => "unknown",
                kind => kind.name().trim_end_matches(" section"),
            };
            let (id, size) = (section.id.to_string(), section.body.len().to_string());
            vec![id, name.to_owned(), hex(section.offset as u64), size]
        });
        self.table("sections", &columns, rows)
    }

    fn memory(&mut self, module: &Module<'_>) -> io::Result<()> {
        let columns = [("MEMORY", Right), ("PAGE", Right), ("PAGES", Right), ("AT MOST", Right)];
        let rows = (0..).zip(&module.init.memories).map(|(index, memory): (u32, _)| {
            let numbers = [index, memory.page_bytes, memory.initial_pages, memory.max_pages];
            numbers.iter().map(ToString::to_string).collect()
        });
        self.table("memories", &columns, rows)?;
        let columns = [("SEGMENT", Right), ("MODE", Left), ("AT", Left), ("BYTES", Right)];
        let rows = (0_u32..).zip(&module.init.data).map(|(index, data)| {
            let mode = if data.is_passive { "passive" } else { "active" };
            let bytes = data.bytes.len().to_string();
            vec![index.to_string(), mode.to_owned(), data.offset.to_string(), bytes]
        });
        self.table("data segments", &columns, rows)
    }

    fn tables(&mut self, module: &Module<'_>) -> io::Result<()> {
        let columns = [
            ("TABLE", Right),
            ("TYPE", Left),
            ("SIZE", Right),
            ("AT MOST", Right),
            ("GROWS", Left),
        ];
        let rows = (0_u32..).zip(&module.init.tables).map(|(index, table)| {
            let grows = if table.may_grow { "yes" } else { "no" };
            let (size, most) = (table.initial.to_string(), table.maximum.to_string());
            vec![index.to_string(), table.element.to_string(), size, most, grows.to_owned()]
        });
        self.table("tables", &columns, rows)?;
        let columns = [
            ("SEGMENT", Right),
            ("MODE", Left),
            ("TABLE", Right),
            ("AT", Left),
            ("COUNT", Right),
            ("ENTRIES", Left),
        ];
        let rows = (0_u32..).zip(&module.init.elements).map(|(index, segment)| {
            let shown = segment.entries.iter().take(ENTRIES_SHOWN);
            let mut entries = shown.map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if segment.entries.len() > ENTRIES_SHOWN {
                entries += ", …";
            }
            vec![
                index.to_string(),
                format!("{:?}", segment.mode).to_lowercase(),
                segment.table_index.to_string(),
                segment.offset.to_string(),
                segment.entries.len().to_string(),
                entries,
            ]
        });
        self.table("element segments", &columns, rows)
    }

    fn types(&mut self, module: &Module<'_>) -> io::Result<()> {
        let columns = [("TYPE", Right), ("SIGNATURE", Left)];
        let rows = (0_u32..).zip(&module.init.types);
        let rows = rows.map(|(index, ty)| vec![index.to_string(), ty.to_string()]);
        self.table("types", &columns, rows)
    }

    fn globals(&mut self, module: &Module<'_>) -> io::Result<()> {
        let columns = [("GLOBAL", Right), ("TYPE", Left), ("MUTABLE", Left), ("VALUE", Left)];
        let mutable = |is_mutable| if is_mutable { "yes" } else { "no" }.to_owned();
        let imports = module.init.imported_globals.iter().map(|global| {
            let from = format!("from {}.{}", global.module, global.name);
            (global.ty.to_string(), mutable(global.is_mutable), from)
        });
        let own = module.init.globals.iter().map(|global| {
            (global.ty.to_string(), mutable(global.is_mutable), global.value.to_string())
        });
        let rows = (0_u32..).zip(imports.chain(own));
        let rows =
            rows.map(|(index, (ty, mutable, value))| vec![index.to_string(), ty, mutable, value]);
        self.table("globals", &columns, rows)
    }

    fn imports(&mut self, module: &Module<'_>) -> io::Result<()> {
        let columns =
            [("FUNCTION", Right), ("IMPORTED FROM", Left), ("NAME", Left), ("TYPE", Left)];
        let rows = (0_u32..).zip(&module.init.imported_functions).map(|(index, import)| {
            let names = [import.module, import.name].map(str::to_owned);
            let [from, name] = names;
            vec![index.to_string(), from, name, signature(module, index)]
        });
        self.table("imported functions", &columns, rows)
    }

    fn functions(&mut self, module: &Module<'_>) -> io::Result<()> {
        let columns = [
            ("FUNCTION", Right),
            ("CODE AT", Right),
            ("SIZE", Right),
            ("TYPE", Left),
            ("EXPORTED AS", Left),
        ];
        let mut exported: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for export in module.exports.iter().filter(|e| e.kind == ExportKind::Function) {
            exported.entry(export.index).or_default().push(export.name);
        }
        let rows = module.functions.iter().map(|function| {
            vec![
                function.index.to_string(),
                hex(function.code_offset),
                function.code_bytes.to_string(),
                signature(module, function.index),
                exported.get(&function.index).map(|names| names.join(", ")).unwrap_or_default(),
            ]
        });
        self.table("functions", &columns, rows)
    }

    fn exports(&mut self, module: &Module<'_>) -> io::Result<()> {
        let columns = [("EXPORT", Left), ("KIND", Left), ("INDEX", Right)];
        let rows = module.exports.iter().map(|export| {
            vec![export.name.to_owned(), export.kind.name().to_owned(), export.index.to_string()]
        });
        self.table("exports", &columns, rows)
    }

    fn relocations(&mut self, module: &Module<'_>) -> io::Result<()> {
        let columns = [("AT", Right), ("KIND", Left), ("SYMBOL", Left), ("ADDEND", Right)];
        for group in &module.relocations.groups {
            let rows = group.relocations.iter().map(|relocation| {
                let kind = relocation_kind_name(module.target.e_machine, relocation.kind);
                vec![
                    hex(relocation.offset),
                    kind.map_or_else(|| relocation.kind.to_string(), str::to_owned),
                    module.relocations.symbol(relocation).to_owned(),
                    relocation.addend.to_string(),
                ]
            });
            let title = format!("relocations {}", format::printable(group.name));
            self.table(&title, &columns, rows)?;
        }
        Ok(())
    }

    fn others(&mut self, module: &Module<'_>) -> io::Result<()> {
        let columns = [("SECTION", Left), ("SIZE", Right)];
        let rows = module.init.object_data.iter();
        let rows = rows.map(|data| vec![data.name.to_owned(), data.bytes.len().to_string()]);
        self.table("object data", &columns, rows)?;
        let columns = [("CUSTOM SECTION", Left), ("CONTENT", Left)];
        let rows = module.customs.iter().map(|custom| match custom {
            CustomSection::Raw { name, bytes } => {
                vec![(*name).to_owned(), format!("{} bytes", bytes.len())]
            }
            CustomSection::NativeSymbols(symbols) => {
                vec!["native symbols".to_owned(), symbols.join(", ")]
            }
            CustomSection::Other { sub_id, bytes } => {
                vec![format!("kind {sub_id}"), format!("{} bytes", bytes.len())]
            }
        });
        self.table("custom sections", &columns, rows)
    }
}

fn signature(module: &Module<'_>, function: u32) -> String {
    module.function_type(function).map(ToString::to_string).unwrap_or_default()
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}
