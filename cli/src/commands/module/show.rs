//! `farrier module show`: one module with all that the gateway knows of it.

use super::name_of;
use crate::args::OutputArgs;
use crate::complete;
use crate::console::Console;
use crate::failure::Failure;
use crate::format::{self, maybe};
use crate::grid::{Align, Grid, Look, Tone, facts, plain};
use crate::state;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gateway_api::{Artifact, CompileRecord, LinkedInput, Module, ModuleExtern};
use gateway_client::Client;
use serde::Serialize;
use worker_protocol::WasiCapability;

const PAGE_BYTES: u64 = 65_536;

/// Compilations that are shown unless all are asked for.
const COMPILES_SHOWN: usize = 5;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  farrier module show filter
  farrier module show filter@2 -o json")]
pub struct ShowArgs {
    /// NAME@VERSION, NAME for its newest, or an id
    #[arg(value_name = "MODULE", add = ArgValueCompleter::new(complete::modules))]
    reference: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: &ShowArgs, client: &Client, console: &Console) -> Result<(), Failure> {
    let module = client
        .module(&args.reference)
        .await
        .map_err(|error| Failure::from(error).if_not_found_try("farrier module ls"))?;
    // A gateway from before there were records has none.
    let compiles = match client.compiles(&module.id).await {
        Err(error) if error.is_not_found() => vec![],
        compiles => compiles?.items,
    };
    console.show(
        args.output.format(),
        &Shown { module: &module, compiles: &compiles },
        || vec![name_of(&module)],
        |look| view(&module, look) + &compile_view(&compiles, look),
    )
}

/// The module's fields and one more.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    module: &'a Module,
    compiles: &'a [CompileRecord],
}

fn view(module: &Module, look: &Look) -> String {
    let memory = maybe(module.memory.as_ref(), |memory| {
        let size = |pages: u64| format::bytes(pages.saturating_mul(PAGE_BYTES));
        match memory.max_pages {
            Some(max) => format!("{}, at most {}", size(memory.min_pages), size(max)),
            None => format!("{}, no maximum", size(memory.min_pages)),
        }
    });
    let or_none = |list: &[String]| {
        if list.is_empty() { "none".to_owned() } else { list.join(", ") }
    };
    let mut rows = vec![
        ("module", name_of(module)),
        ("id", module.id.clone()),
        ("size", format::bytes(module.bytes)),
        ("pushed", format::ago(look.now_ms, module.uploaded_at_ms)),
        ("signed by", developer_of(module)),
        ("functions", module.function_count.to_string()),
        ("memory", memory),
        ("data", format::bytes(module.data_bytes)),
        ("proposals", or_none(&module.proposals)),
        ("imports", or_none(&in_words(&module.imports))),
        ("exports", or_none(&in_words(&module.exports))),
        ("known answers", module.known_answers.len().to_string()),
    ];
    let wasi = wasi_of(module);
    if !wasi.is_empty() {
        let imports = rows.iter().position(|(name, _)| *name == "imports").unwrap_or(0);
        rows.insert(imports + 1, ("of WASI", wasi.join(", ")));
    }
    let mut text = facts(&rows);
    if !module.linked.is_empty() {
        text += &facts(&[("linked of", linked_in_words(&module.linked).join(", "))]);
    }
    if look.wide {
        for (index, step) in module.known_answers.iter().enumerate() {
            text += &format!("  {}. {}\n", index + 1, format::printable(step));
        }
    }
    if !module.artifacts.is_empty() {
        text += &format!("\n{}", artifact_view(&module.artifacts, look));
    }
    text
}

fn wasi_of(module: &Module) -> Vec<&'static str> {
    let imports: Vec<String> =
        module.imports.iter().map(|i| format!("{}.{}", i.module, i.name)).collect();
    let needs = WasiCapability::needed_by(imports.iter().map(String::as_str));
    needs.into_iter().map(WasiCapability::name).collect()
}

fn developer_of(module: &Module) -> String {
    let Some(id) = &module.developer else { return "nobody".to_owned() };
    match &module.developer_name {
        Some(name) => format!("{name}, key {id}"),
        None => format!("key {id}, whose owner is not known here any more"),
    }
}

/// `main 9f2a…, signal 07cc…`.
fn linked_in_words(inputs: &[LinkedInput]) -> Vec<String> {
    let in_words = |input: &LinkedInput| {
        format!("{} {}", input.name.as_deref().unwrap_or("main"), format::short_id(&input.module))
    };
    inputs.iter().map(in_words).collect()
}

fn in_words(externs: &[ModuleExtern]) -> Vec<String> {
    let in_words = |item: &ModuleExtern| {
        let place = if item.module.is_empty() { "" } else { "." };
        format!("{}{place}{}: {}", item.module, item.name, item.signature)
    };
    externs.iter().map(in_words).collect()
}

fn artifact_view(artifacts: &[Artifact], look: &Look) -> String {
    let mut columns = vec![
        ("TARGET", Align::Left),
        ("BOUNDS", Align::Left),
        ("STATE", Align::Left),
        ("SIZE", Align::Right),
        ("COMPILE", Align::Right),
        ("CHECKS", Align::Right),
    ];
    if look.wide {
        columns.extend([
            ("STACK", Align::Right),
            ("ARTIFACT", Align::Left),
            ("RELEASE", Align::Left),
        ]);
    }
    columns.push(("NOTE", Align::Left));
    let mut grid = Grid::new(look, &columns);
    for artifact in artifacts {
        let mut cells = vec![
            plain(&artifact.target),
            plain(policy_of(artifact)),
            state::artifact(artifact.state),
            plain(maybe(artifact.bytes, format::bytes)),
            plain(maybe(artifact.compile_ms, format::millis)),
            plain(maybe(artifact.checks_passed, |count| count.to_string())),
        ];
        if look.wide {
            cells.push(plain(maybe(artifact.stack_bytes, format::bytes)));
            cells.push(plain(maybe(artifact.artifact.clone(), |id| id)));
            cells.push(plain(maybe(artifact.release.clone(), |id| id)));
        }
        cells.push(plain(&artifact.detail));
        grid.row(cells);
    }
    grid.to_text()
}

fn compile_view(compiles: &[CompileRecord], look: &Look) -> String {
    if compiles.is_empty() {
        return String::new();
    }
    let mut columns = vec![
        ("COMPILED", Align::Left),
        ("TARGET", Align::Left),
        ("BOUNDS", Align::Left),
        ("TOOK", Align::Right),
        ("THREADS", Align::Right),
        ("CODE", Align::Right),
    ];
    if look.wide {
        columns.extend([("COMPILER", Align::Left), ("POLICY", Align::Left), ("LOG", Align::Left)]);
    }
    columns.push(("OUTCOME", Align::Left));
    let mut grid = Grid::new(look, &columns);
    let shown_max = if look.wide { compiles.len() } else { COMPILES_SHOWN };
    for record in compiles.iter().take(shown_max) {
        let mut cells = vec![
            plain(format::ago(look.now_ms, record.started_at_ms)),
            plain(&record.target),
            plain(&record.bounds_checks),
            plain(format::millis(record.compile_ms)),
            plain(record.threads.to_string()),
            plain(maybe(record.code_bytes, format::bytes)),
        ];
        if look.wide {
            let policy = format!("{}, NaN {}", record.metering, record.nan_canonicalization);
            cells.extend([plain(&record.compiler), plain(policy), plain(&record.log)]);
        }
        cells.push(match &record.refusal {
            None => ("compiled".to_owned(), Tone::Good),
            Some(why) => (why.clone(), Tone::Bad),
        });
        grid.row(cells);
    }
    let more = match compiles.len().saturating_sub(shown_max) {
        0 => String::new(),
        count => format!("and {count} more, with -o wide\n"),
    };
    format!("\n{}{more}", grid.to_text())
}

/// The bounds mode, and what the code does beyond running.
fn policy_of(artifact: &gateway_api::Artifact) -> String {
    let parts = [&artifact.bounds_checks].into_iter().chain(&artifact.policy);
    parts.map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;

    #[test]
    fn a_module_shows_its_needs_and_its_artifacts() {
        expect![[r#"
            module:         filter@2
            id:             9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
            size:           18.0 KiB
            pushed:         5 min ago
            signed by:      nobody
            functions:      37
            memory:         1.1 MiB, no maximum
            data:           1.2 KiB
            proposals:      bulk-memory, sign-extension
            imports:        farrier.publish: (i32, i32, i32, i32) -> i32
            exports:        tick: () -> (), memory: 17 pages
            known answers:  2

            TARGET         BOUNDS    STATE        SIZE  COMPILE  CHECKS  NOTE
            x86_64-linux   hardware  ready    40.0 KiB    84 ms       2
            riscv64-linux  software  refused         -        -       1  step 2 gave i32:0
        "#]]
        .assert_eq(&view(&sample::module(), &Look::plain(false)));
    }

    #[test]
    fn the_newest_compilations_are_shown_with_their_outcome() {
        let compiles = vec![sample::compile(); 6];
        expect![[r#"

            COMPILED   TARGET         BOUNDS      TOOK  THREADS  CODE  OUTCOME
            5 min ago  riscv64-linux  software  12.3 s        2     -  the compiler used up its CPU time
            5 min ago  riscv64-linux  software  12.3 s        2     -  the compiler used up its CPU time
            5 min ago  riscv64-linux  software  12.3 s        2     -  the compiler used up its CPU time
            5 min ago  riscv64-linux  software  12.3 s        2     -  the compiler used up its CPU time
            5 min ago  riscv64-linux  software  12.3 s        2     -  the compiler used up its CPU time
            and 1 more, with -o wide
        "#]].assert_eq(&compile_view(&compiles, &Look::plain(false)));
        expect![[r#"

            COMPILED   TARGET         BOUNDS      TOOK  THREADS  CODE  COMPILER            POLICY          LOG      OUTCOME
            5 min ago  riscv64-linux  software  12.3 s        2     -  aot-compiler 0.1.0  none, NaN none  nothing  the compiler used up its CPU time
        "#]].assert_eq(&compile_view(&compiles[..1], &Look::plain(true)));
        assert_eq!(compile_view(&[], &Look::plain(false)), "");
    }
}
