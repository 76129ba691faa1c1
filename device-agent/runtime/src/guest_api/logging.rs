//! Lines for people.

use super::Meters;
use super::host_call::{Answer, HostCall, numbers};
use crate::rate::Admission;
use module_limits::Limit;
use std::time::Instant;
use wamr::Value;
use worker_protocol::{LOG_LINE_BYTES_MAX, LogLevel};

impl Meters {
    /// Sends a log line if the rate admits it; counts it either way.
    pub fn log(&self, level: LogLevel, text: String) -> Admission {
        let now = Instant::now();
        // What is missing is said in its place, before what follows.
        self.tell_dropped_lines(now);
        let admission = self.rates().log.admit(now);
        let is_admitted = admission == Admission::Admitted;
        self.shared.update_usage(|usage| match is_admitted {
            true => usage.log_lines += 1,
            false => usage.log_lines_dropped += 1,
        });
        if is_admitted {
            self.shared.send_log(level, text);
        } else {
            self.rates().log_lines_untold += 1;
        }
        admission
    }

    /// Once the second is over in which lines were too many, a line says how many. It is
    /// the worker's and counts for nothing, so it comes once a second at most.
    pub fn tell_dropped_lines(&self, now: Instant) {
        let mut rates = self.rates();
        if rates.log_lines_untold == 0 || !rates.log.is_over(now) {
            return;
        }
        let count = std::mem::take(&mut rates.log_lines_untold);
        drop(rates);
        let lines = if count == 1 { "line" } else { "lines" };
        let text = format!("dropped {count} log {lines}, because more came than a second may have");
        self.shared.send_log(LogLevel::Warn, text);
    }
}

pub fn log(call: &mut HostCall<'_, '_>, args: &[Value]) -> Answer {
    let [level, address, len] = numbers(args)?;
    let bytes = call.slice(address, len)?;
    let text = printable(&bytes[..bytes.len().min(LOG_LINE_BYTES_MAX)]);
    let level = match level {
        0 => LogLevel::Error,
        1 => LogLevel::Warn,
        2 => LogLevel::Info,
        _ => LogLevel::Debug,
    };
    let meters = &call.state()?.meters;
    let admission = meters.log(level, text);
    meters.follow(Limit::LogRate, admission)?;
    Ok(None)
}

/// Text for a terminal or a browser: no control characters, at most the limit.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        let c = if c.is_control() { '\u{fffd}' } else { c };
        // Replacements are longer than what they replace.
        if text.len() + c.len_utf8() > LOG_LINE_BYTES_MAX {
            break;
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_has_no_control_characters_and_a_limit() {
        assert_eq!(printable(b"a\x1b[31mb\n\xff"), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
        assert_eq!(printable("grün".as_bytes()), "grün");
        assert_eq!(printable(&[0; LOG_LINE_BYTES_MAX]).len(), LOG_LINE_BYTES_MAX / 3 * 3);
    }
}
