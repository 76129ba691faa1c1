//! Plain tables without lines, in colour and to the terminal's width if there is one.

use crate::format::printable;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

/// How a view is drawn. Everything outside the data comes in here, so that a
/// view is a pure function.
#[derive(Debug, Clone)]
pub struct Look {
    pub color: bool,
    /// Longer lines are wrapped in their columns; none for as long as it takes.
    pub width: Option<u16>,
    /// More columns, whole ids.
    pub wide: bool,
    pub now_ms: u64,
}

/// What a value means for its reader. Never told by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Busy,
    Bad,
}

pub enum Align {
    Left,
    Right,
}

pub struct Grid {
    table: Table,
}

impl Grid {
    pub fn new(look: &Look, columns: &[(&str, Align)]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).force_no_tty();
        if look.color {
            table.enforce_styling();
        }
        if let Some(width) = look.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table.set_header(columns.iter().map(|(title, _)| *title));
        for (column, (_, align)) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, 2));
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        Self { table }
    }

    pub fn row(&mut self, cells: Vec<(String, Tone)>) {
        let cells = cells.into_iter().map(|(text, tone)| {
            let cell = Cell::new(printable(&text));
            match tone {
                Tone::Plain => cell,
                Tone::Good => cell.fg(Color::Green),
                Tone::Busy => cell.fg(Color::Yellow),
                Tone::Bad => cell.fg(Color::Red),
            }
        });
        self.table.add_row(cells.collect::<Vec<_>>());
    }

    /// A part of a longer view, with a line in front; nothing without a row.
    pub fn to_section(&self) -> String {
        if self.table.is_empty() { String::new() } else { format!("\n{}", self.to_text()) }
    }

    /// Whole lines without spaces at their ends.
    pub fn to_text(&self) -> String {
        self.table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// A cell without a meaning of its own.
pub fn plain(text: impl Into<String>) -> (String, Tone) {
    (text.into(), Tone::Plain)
}

/// `key: value` lines, the values under each other.
pub fn facts(facts: &[(&str, String)]) -> String {
    let key_width = facts.iter().map(|(key, _)| key.len() + 1).max().unwrap_or_default();
    let line = |(key, value): &(&str, String)| {
        format!("{:key_width$}  {}\n", format!("{key}:"), printable(value))
    };
    facts.iter().map(line).collect()
}

#[cfg(test)]
impl Look {
    pub fn plain(wide: bool) -> Self {
        Self { color: false, width: None, wide, now_ms: crate::sample::NOW_MS }
    }
}
