//! Which of a device's log lines are shown.

use crate::model::LogLine;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// The least serious level; empty for all.
    pub level: String,
    /// Of the line or of the module that wrote it, without regard to the case of ASCII.
    pub text: String,
}

/// The more serious the larger; a level that is not known is never filtered out.
fn weight(level: &str) -> u8 {
    match level {
        "trace" => 1,
        "debug" => 2,
        "info" => 3,
        "warn" => 4,
        _ => 5,
    }
}

pub fn shown(lines: &[LogLine], filter: &LogFilter) -> Vec<LogLine> {
    let least = if filter.level.is_empty() { 0 } else { weight(&filter.level) };
    let text = filter.text.trim().to_ascii_lowercase();
    let has_text = |line: &LogLine| {
        text.is_empty()
            || line.text.to_ascii_lowercase().contains(&text)
            || line.app.to_ascii_lowercase().contains(&text)
    };
    lines.iter().filter(|line| weight(&line.level) >= least && has_text(line)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_level_and_text() {
        let line = |app: &str, level: &str, text: &str| LogLine {
            device: "d".into(),
            app: app.into(),
            level: level.into(),
            text: text.into(),
            time_ms: 1,
        };
        let lines = [
            line("filter", "info", "started"),
            line("", "warn", "Slow disk"),
            line("filter", "error", "no sensor"),
        ];
        let texts = |level: &str, text: &str| {
            let filter = LogFilter { level: level.into(), text: text.into() };
            shown(&lines, &filter).into_iter().map(|l| l.text).collect::<Vec<_>>().join("|")
        };
        assert_eq!(texts("", ""), "started|Slow disk|no sensor");
        assert_eq!(texts("warn", ""), "Slow disk|no sensor");
        assert_eq!(texts("error", ""), "no sensor");
        assert_eq!(texts("", "FILTER"), "started|no sensor");
        assert_eq!(texts("warn", "disk"), "Slow disk");
    }
}
