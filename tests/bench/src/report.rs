//! Rows → the table and the goals, as text.

use crate::measure::{Row, Variant};
use crate::statistics::{Spread, geometric_mean};
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write;

/// Programs' ratios of CPU time, and sizes.
pub fn text(rows: &[Row]) -> String {
    let mut text = table(rows).to_string();
    for row in rows {
        if let Some(failure) = &row.failure {
            let _ = write!(text, "\nfailed: {}: {failure}", row.name);
        }
    }
    text.push_str("\n\n");
    text.push_str(&goals(rows));
    text
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "program",
        "kind",
        "native ms",
        "ours / native",
        "ours / wasmtime",
        "compile ms",
        "compile / wasmtime",
        "load µs",
        "load / wasmtime",
        "wasm bytes",
        "aot / wasm",
        "software",
    ]);
    for row in rows.iter().filter(|row| row.failure.is_none()) {
        let native = row.run_ns.get(&Variant::Native).and_then(|samples| Spread::of(samples));
        let compile = Spread::of(&row.compile.ours_ns);
        let load = row.load_ns.get(&Variant::Ours).and_then(|samples| Spread::of(samples));
        table.add_row([
            row.name.to_owned(),
            row.kind.to_owned(),
            number(native, 1e6, 1),
            ratio(row.run_ratio(Variant::Ours, Variant::Native)),
            ratio(row.run_ratio(Variant::Ours, Variant::Wasmtime)),
            number(compile, 1e6, 2),
            ratio(row.compile_ratio()),
            number(load, 1e3, 0),
            ratio(row.load_ratio()),
            row.compile.wasm_bytes.to_string(),
            format!("{:.2}", row.size_ratio()),
            format!("{:.2}", row.software_size_ratio()),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

impl Row {
    pub fn run_ratio(&self, above: Variant, below: Variant) -> Option<Spread> {
        Spread::of_ratios(self.run_ns.get(&above)?, self.run_ns.get(&below)?)
    }

    pub fn compile_ratio(&self) -> Option<Spread> {
        Spread::of_ratios(&self.compile.ours_ns, &self.compile.wasmtime_ns)
    }

    pub fn load_ratio(&self) -> Option<Spread> {
        let ours = self.load_ns.get(&Variant::Ours)?;
        Spread::of_ratios(ours, self.load_ns.get(&Variant::Wasmtime)?)
    }

    pub fn size_ratio(&self) -> f64 {
        self.compile.aot_bytes as f64 / self.compile.wasm_bytes as f64
    }

    pub fn software_size_ratio(&self) -> f64 {
        self.compile.aot_software_bytes as f64 / self.compile.wasm_bytes as f64
    }
}

/// A median and the quartiles around it: `1.23 (1.20 to 1.31)`.
fn ratio(spread: Option<Spread>) -> String {
    let show = |Spread { low, median, high }| format!("{median:.2} ({low:.2} to {high:.2})");
    spread.map_or_else(|| "-".into(), show)
}

fn number(spread: Option<Spread>, unit: f64, digits: usize) -> String {
    spread.map_or_else(|| "-".into(), |spread| format!("{:.digits$}", spread.median / unit))
}

/// Modules below this are mostly what every file holds.
const SIZE_GOAL_WASM_BYTES_MIN: usize = 10_000;

fn goals(rows: &[Row]) -> String {
    let measured: Vec<&Row> = rows.iter().filter(|row| row.failure.is_none()).collect();
    let run = |below| measured.iter().filter_map(move |row| row.run_ratio(Variant::Ours, below));
    let medians = |below| run(below).map(|spread| spread.median);
    let compile = || measured.iter().filter_map(|row| row.compile_ratio()).map(|s| s.median);
    let total = |samples: fn(&Row) -> &Vec<f64>| {
        let of_row = |row: &&Row| Spread::of(samples(row)).map_or(0.0, |spread| spread.median);
        measured.iter().map(of_row).sum::<f64>()
    };
    let compile_total = total(|row| &row.compile.ours_ns) / total(|row| &row.compile.wasmtime_ns);
    let large = || measured.iter().filter(|row| row.compile.wasm_bytes >= SIZE_GOAL_WASM_BYTES_MIN);
    let largest = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
    let lines = [
        ("run time / native, geometric mean", geometric_mean(medians(Variant::Native)), 1.30),
        ("run time / wasmtime, geometric mean", geometric_mean(medians(Variant::Wasmtime)), 0.95),
        ("run time / wasmtime, slowest", largest(&mut medians(Variant::Wasmtime)), 1.25),
        ("compile CPU time / wasmtime, geometric mean", geometric_mean(compile()), 1.0),
        ("compile CPU time / wasmtime, sum", Some(compile_total), 1.0),
        (
            "artifact / wasm bytes, largest from 10 KB on, hardware",
            largest(&mut large().map(|row| row.size_ratio())),
            2.0,
        ),
        (
            "artifact / wasm bytes, largest from 10 KB on, software",
            largest(&mut large().map(|row| row.software_size_ratio())),
            3.0,
        ),
    ];
    let failed = rows.len() - measured.len();
    let mut text = format!("{} programs measured, {failed} failed\n", measured.len());
    for (what, value, most) in lines {
        let verdict = match value {
            Some(value) if value <= most => format!("{value:.3}, goal {most:.2}: met"),
            Some(value) => format!("{value:.3}, goal {most:.2}: NOT MET"),
            None => "not measured".to_owned(),
        };
        let _ = writeln!(text, "{what}: {verdict}");
    }
    text
}
