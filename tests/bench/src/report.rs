//! Rows → the tables and the goals, as text.

use crate::measure::{Row, Samples};
use crate::statistics::{Spread, geometric_mean};
use crate::variant::Variant::{
    self, Interpreter, Native, Ours, OursCanonical, OursMetered, OursMeteredSoftware, OursSoftware,
    OursV3, Wasmtime, WasmtimeV3,
};
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write;

impl Row {
    /// Of two variants' samples in the same rounds.
    pub fn ratio(samples: &Samples, above: Variant, below: Variant) -> Option<Spread> {
        Spread::of_ratios(samples.get(&above)?, samples.get(&below)?)
    }

    /// Bytes of a file for each byte of the module.
    fn size_ratio(&self, variant: Variant) -> Option<f64> {
        Some(*self.file_bytes.get(&variant)? as f64 / self.wasm_bytes as f64)
    }
}

/// All that was measured, for people.
pub fn text(rows: &[Row]) -> String {
    let mut text = format!(
        "CPU time of a call; ratios are medians, and the quartiles of the rounds\n\n{}\n\n\
         Compiling, files and loading\n\n{}\n\n",
        run_table(rows),
        file_table(rows)
    );
    for row in rows {
        for (variant, failure) in &row.failures {
            let _ = writeln!(text, "failed: {} {variant:?}: {failure}", row.name);
        }
    }
    text.push_str(&goals(rows));
    text.push_str(&to_look_at(rows));
    text
}

fn run_table(rows: &[Row]) -> Table {
    let mut table = new_table(&[
        "program",
        "kind",
        "native ms",
        "ours / native",
        "ours / wasmtime",
        "metered / not",
        "canonical NaNs / not",
        "on v3",
        "v3 / wasmtime v3",
        "interpreter / ours",
    ]);
    for row in rows {
        let ratio = |above, below| ratio(Row::ratio(&row.run_ns, above, below));
        table.add_row([
            row.name.to_owned(),
            row.kind.to_owned(),
            median(&row.run_ns, Native, 1e6, 1),
            ratio(Ours, Native),
            ratio(Ours, Wasmtime),
            ratio(OursMetered, Ours),
            ratio(OursCanonical, Ours),
            ratio(OursV3, Ours),
            ratio(OursV3, WasmtimeV3),
            ratio(Interpreter, Ours),
        ]);
    }
    table
}

fn file_table(rows: &[Row]) -> Table {
    let mut table = new_table(&[
        "program",
        "wasm bytes",
        "code bytes",
        "aot / wasm",
        "metered / wasm",
        "software / wasm",
        "metered / wasm",
        "wasmtime's / wasm",
        "compile ms",
        "compile / wasmtime",
        "load µs",
        "load / wasmtime",
    ]);
    for row in rows {
        let size = |variant| row.size_ratio(variant).map_or("-".into(), |r| format!("{r:.2}"));
        table.add_row([
            row.name.to_owned(),
            row.wasm_bytes.to_string(),
            row.code_bytes.to_string(),
            size(Ours),
            size(OursMetered),
            size(OursSoftware),
            size(OursMeteredSoftware),
            size(Wasmtime),
            median(&row.compile_ns, Ours, 1e6, 2),
            ratio(Row::ratio(&row.compile_ns, Ours, Wasmtime)),
            median(&row.load_ns, Ours, 1e3, 0),
            ratio(Row::ratio(&row.load_ns, Ours, Wasmtime)),
        ]);
    }
    table
}

fn new_table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(columns);
    for (index, column) in table.column_iter_mut().enumerate() {
        let is_text = index == 0 || columns[index] == "kind";
        column.set_cell_alignment(match is_text {
            true => CellAlignment::Left,
            false => CellAlignment::Right,
        });
    }
    table
}

/// A median and the quartiles around it: `1.23 (1.20–1.31)`.
fn ratio(spread: Option<Spread>) -> String {
    let show = |Spread { low, median, high }| format!("{median:.2} ({low:.2}–{high:.2})");
    spread.map_or_else(|| "-".into(), show)
}

fn median(samples: &Samples, variant: Variant, unit: f64, digits: usize) -> String {
    let spread = samples.get(&variant).and_then(|samples| Spread::of(samples));
    spread.map_or_else(|| "-".into(), |spread| format!("{:.digits$}", spread.median / unit))
}

/// Modules below this are mostly what every file holds.
const SIZE_GOAL_WASM_BYTES_MIN: usize = 10_000;

/// What the project promised of its code, and whether it holds.
fn goals(rows: &[Row]) -> String {
    let run = |above, below| {
        let of_row = move |row: &Row| Some(Row::ratio(&row.run_ns, above, below)?.median);
        rows.iter().filter_map(of_row)
    };
    let compile = || rows.iter().filter_map(|row| Row::ratio(&row.compile_ns, Ours, Wasmtime));
    let compile_sum = |variant| -> f64 {
        let of_row = |row: &Row| Some(Spread::of(row.compile_ns.get(&variant)?)?.median);
        rows.iter().filter(|row| row.compile_ns.contains_key(&Ours)).filter_map(of_row).sum()
    };
    let largest_file = |variant| {
        let large = rows.iter().filter(|row| row.wasm_bytes >= SIZE_GOAL_WASM_BYTES_MIN);
        large.filter_map(|row| row.size_ratio(variant)).reduce(f64::max)
    };
    let lines = [
        ("run time / native, geometric mean", geometric_mean(run(Ours, Native)), Some(1.30)),
        ("run time / wasmtime, geometric mean", geometric_mean(run(Ours, Wasmtime)), Some(0.95)),
        ("run time / wasmtime, slowest", run(Ours, Wasmtime).reduce(f64::max), Some(1.25)),
        ("metered / not, geometric mean", geometric_mean(run(OursMetered, Ours)), Some(1.10)),
        ("metered / not, slowest", run(OursMetered, Ours).reduce(f64::max), None),
        ("canonical NaNs / not, geometric mean", geometric_mean(run(OursCanonical, Ours)), None),
        ("canonical NaNs / not, slowest", run(OursCanonical, Ours).reduce(f64::max), None),
        ("wasmtime / native, geometric mean", geometric_mean(run(Wasmtime, Native)), None),
        ("x86-64-v3: ours / wasmtime", geometric_mean(run(OursV3, WasmtimeV3)), None),
        ("interpreter / ours", geometric_mean(run(Interpreter, Ours)), None),
        (
            "compile CPU time / wasmtime, geometric mean",
            geometric_mean(compile().map(|spread| spread.median)),
            Some(1.0),
        ),
        (
            "compile CPU time / wasmtime, of all together",
            Some(compile_sum(Ours) / compile_sum(Wasmtime)).filter(|ratio| ratio.is_finite()),
            Some(1.0),
        ),
        ("file / wasm bytes, hardware checks, largest from 10 KB", largest_file(Ours), Some(2.0)),
        (
            "file / wasm bytes, software checks, largest from 10 KB",
            largest_file(OursSoftware),
            Some(3.0),
        ),
        ("metered file / wasm bytes, hardware checks, largest", largest_file(OursMetered), None),
        (
            "metered file / wasm bytes, software checks, largest",
            largest_file(OursMeteredSoftware),
            None,
        ),
    ];
    let is_whole = |row: &&Row| row.failures.is_empty();
    let whole = rows.iter().filter(is_whole).count();
    let mut text = format!("{} programs, {} failed in part\n", rows.len(), rows.len() - whole);
    for (what, value, goal) in lines {
        let verdict = match (value, goal) {
            (Some(value), Some(most)) if value <= most => format!("{value:.3}, goal {most}: met"),
            (Some(value), Some(most)) => format!("{value:.3}, goal {most}: NOT MET"),
            (Some(value), None) => format!("{value:.3}"),
            (None, _) => "not measured".to_owned(),
        };
        let _ = writeln!(text, "- {what}: {verdict}");
    }
    text
}

/// Programs whose code is worth a look, worst first.
fn to_look_at(rows: &[Row]) -> String {
    let mut text = String::new();
    for (below, limit, what) in [(Wasmtime, 1.02, "wasmtime"), (Native, 1.5, "native")] {
        let mut slow: Vec<(f64, &str)> = Vec::new();
        for row in rows {
            if let Some(spread) = Row::ratio(&row.run_ns, Ours, below)
                && spread.median > limit
            {
                slow.push((spread.median, row.name));
            }
        }
        slow.sort_by(|a, b| b.0.total_cmp(&a.0));
        let slow: Vec<String> = slow.iter().map(|(r, name)| format!("{name} {r:.2}")).collect();
        let _ = writeln!(text, "- above {limit} x {what}: {}", slow.join(", "));
    }
    text
}
