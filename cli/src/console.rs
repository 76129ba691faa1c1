//! Where output goes: data to stdout, everything else to stderr.
//!
//! Nothing here panics on a closed pipe, unlike `println!`.

use crate::args::{ColorChoice, Format, GlobalArgs};
use crate::failure::{Exit, Failure};
use crate::format::printable;
use crate::grid::Look;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy)]
pub struct Console {
    quiet: bool,
    pub verbose: bool,
    out_color: bool,
    err_color: bool,
}

impl Console {
    pub fn new(global: &GlobalArgs) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let (no_color, force) = (is_set("NO_COLOR"), is_set("CLICOLOR_FORCE"));
        let uses_color = |is_terminal| uses_color(global.color, no_color, force, is_terminal);
        Self {
            quiet: global.quiet,
            verbose: global.verbose,
            out_color: uses_color(io::stdout().is_terminal()),
            err_color: uses_color(io::stderr().is_terminal()),
        }
    }

    /// How views are drawn at this moment.
    pub fn look(&self, format: Format) -> Look {
        let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        Look {
            color: self.out_color,
            width: terminal.map(|(width, _)| width.0),
            wide: format == Format::Wide,
            now_ms: now_ms(),
        }
    }

    /// Writes data in the format that was asked for.
    pub fn show<T: Serialize>(
        &self,
        format: Format,
        data: &T,
        names: impl FnOnce() -> Vec<String>,
        view: impl FnOnce(&Look) -> String,
    ) -> Result<(), Failure> {
        match format {
            Format::Json | Format::Jsonl | Format::Yaml => self.document(format, data),
            Format::Name => names().iter().try_for_each(|name| self.line(&printable(name))),
            Format::Table | Format::Wide => self.text(&view(&self.look(format))),
        }
    }

    /// All of it at once, in a format for programs.
    pub fn document<T: Serialize>(&self, format: Format, data: &T) -> Result<(), Failure> {
        match format {
            Format::Yaml => self.text(&yaml(data)?),
            Format::Jsonl => {
                let data = serde_json::to_value(data).map_err(not_json)?;
                match items_of(&data) {
                    Some(items) => items.iter().try_for_each(|item| self.json_line(item)),
                    None => self.json_line(&data),
                }
            }
            _ => self.line(&serde_json::to_string_pretty(data).map_err(not_json)?),
        }
    }

    /// One of many that come one after the other.
    pub fn next_document<T: Serialize>(&self, format: Format, data: &T) -> Result<(), Failure> {
        match format {
            Format::Yaml => self.text(&format!("---\n{}", yaml(data)?)),
            _ => self.json_line(data),
        }
    }

    pub fn json<T: Serialize>(&self, data: &T) -> Result<(), Failure> {
        self.document(Format::Json, data)
    }

    pub fn json_line<T: Serialize>(&self, data: &T) -> Result<(), Failure> {
        self.line(&serde_json::to_string(data).map_err(not_json)?)
    }

    pub fn line(&self, line: &str) -> Result<(), Failure> {
        self.text(&format!("{line}\n"))
    }

    /// Whole lines, or nothing at all.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        self.stream(|stdout| stdout.write_all(text.as_bytes()))
    }

    /// For what is too long to be built first.
    pub fn stream(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        let written = write(&mut stdout).and_then(|()| stdout.flush());
        // What is left in the buffer after an error has no reader.
        let _ = stdout.into_parts();
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::ClosedPipe, ""),
            _ => Failure::new(Exit::Failed, "write to stdout").because(&error),
        })
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Lines for people beside the data, unless `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            // There is nowhere left to complain to.
            let _ = io::stderr().lock().write_all(text.as_bytes());
        }
    }

    /// Something good to know, unless `--quiet`.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            self.tell("note:", "\x1b[36m", &text.to_string());
        }
    }

    /// What goes on beside the data, unless `--quiet`.
    pub fn aside(&self, text: impl Display) {
        if !self.quiet {
            // There is nowhere left to complain to.
            let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
        }
    }

    pub fn warn(&self, text: impl Display) {
        if !self.quiet {
            self.tell("warning:", "\x1b[33m", &text.to_string());
        }
    }

    pub fn report(&self, failure: &Failure) {
        if matches!(failure.exit, Exit::ClosedPipe | Exit::OfProgram(_)) {
            return;
        }
        self.tell("error:", "\x1b[1;31m", &failure.message);
        // The innermost says what happened; those between, who passed it on.
        let shown_from = if self.verbose { 0 } else { failure.causes.len().saturating_sub(1) };
        for cause in &failure.causes[shown_from..] {
            self.tell("  cause:", "\x1b[2m", cause);
        }
        if let Some(advice) = &failure.advice {
            self.tell("  try:", "\x1b[32m", advice);
        }
        if let Some(request_id) = &failure.request_id {
            self.tell("  request id:", "\x1b[2m", request_id);
        }
    }

    fn tell(&self, label: &str, color: &str, text: &str) {
        // A TOML error points at its place over several lines.
        let text = text.lines().map(printable).collect::<Vec<_>>().join("\n    ");
        let line = match self.err_color {
            true => format!("{color}{label}\x1b[0m {text}\n"),
            false => format!("{label} {text}\n"),
        };
        // There is nowhere left to complain to.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// The items of what is a list and nothing else.
fn items_of(data: &serde_json::Value) -> Option<&Vec<serde_json::Value>> {
    match data {
        serde_json::Value::Array(items) => Some(items),
        serde_json::Value::Object(fields) => fields.get("items")?.as_array(),
        _ => None,
    }
}

fn yaml<T: Serialize>(data: &T) -> Result<String, Failure> {
    // By way of JSON, so that both say the same.
    let data = serde_json::to_value(data).map_err(not_json)?;
    let failure = |e| Failure::new(Exit::Failed, "write the data as YAML").because(&e);
    let mut text = serde_saphyr::to_string(&data).map_err(failure)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn not_json(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Failed, "write the data as JSON").because(&error)
}

pub fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

fn uses_color(choice: ColorChoice, no_color: bool, force: bool, is_terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if no_color => false,
        ColorChoice::Auto => force || is_terminal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_variables_and_these_over_the_terminal() {
        use ColorChoice::{Always, Auto, Never};
        assert!(uses_color(Always, true, false, false));
        assert!(!uses_color(Never, false, true, true));
        assert!(!uses_color(Auto, true, true, true));
        assert!(uses_color(Auto, false, true, false));
        assert!(uses_color(Auto, false, false, true));
        assert!(!uses_color(Auto, false, false, false));
    }
}
