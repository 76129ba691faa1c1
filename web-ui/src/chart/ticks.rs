//! Where an axis has its lines, and what they say.

use crate::format;

/// What a chart's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Of one CPU, or of the whole device.
    Percent,
    Bytes,
    PerSecond,
    Microseconds,
    Count,
}

impl Unit {
    pub fn format(self, value: f64) -> String {
        match self {
            Self::Percent => format::percent(value),
            // Sizes are far below 2^53, so the cast is exact.
            Self::Bytes => format::bytes(value as u64),
            Self::PerSecond => format!("{}/s", format::short_number(value)),
            Self::Microseconds => format::microseconds(value as u64),
            Self::Count => format::short_number(value),
        }
    }

    /// The step between two lines of the value axis.
    fn step(self, top: f64) -> f64 {
        let rough = top.max(self.least_top()) / VALUE_LINES;
        match self {
            // Powers of two stay round in KiB and MiB.
            Self::Bytes => round_above(1.0, &[2.0], rough),
            _ => round_above(0.001, &[2.0, 2.5, 2.0], rough),
        }
    }

    /// A chart of nothing still needs a scale.
    fn least_top(self) -> f64 {
        match self {
            Self::Percent => 0.1,
            Self::Bytes => 4096.0,
            Self::PerSecond | Self::Count => 1.0,
            Self::Microseconds => 100.0,
        }
    }

    fn format_tick(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{} %", (value * 1e6).round() / 1e6),
            Self::Bytes => {
                // Ticks are whole numbers of their unit nearly always.
                without_zeros(&format::bytes(value as u64))
            }
            Self::Microseconds => without_zeros(&format::microseconds(value as u64)),
            other => without_zeros(&other.format(value)),
        }
    }
}

/// `1.50 MiB` as `1.5 MiB`, and `2.00 MiB` as `2 MiB`.
fn without_zeros(text: &str) -> String {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    if !number.contains('.') {
        return text.to_owned();
    }
    let number = number.trim_end_matches('0').trim_end_matches('.');
    format!("{number} {unit}").trim_end().to_owned()
}

/// The first of a series that is not below `least`; each is so many times the one before.
fn round_above(start: f64, factors: &[f64], least: f64) -> f64 {
    let mut step = start;
    let mut factors = factors.iter().cycle();
    // No value has as many digits; the bound is for one that is not a number.
    for _ in 0..200 {
        if step >= least * 0.999 {
            break;
        }
        step *= factors.next().unwrap_or(&2.0);
    }
    step
}

const VALUE_LINES: f64 = 4.0;

#[derive(Debug, Clone, PartialEq)]
pub struct Tick<T> {
    pub at: T,
    pub label: String,
}

/// Lines from 0 up to the first that is not below `largest`; the last one is
/// the top of the scale.
pub fn value_ticks(unit: Unit, largest: f64) -> Vec<Tick<f64>> {
    let step = unit.step(largest);
    let lines = (largest / step).ceil().max(1.0) as u32;
    (0..=lines)
        .map(|line| f64::from(line) * step)
        .map(|at| Tick { at, label: unit.format_tick(at) })
        .collect()
}

/// Round times of the reader's clock within the window, at most seven. Beyond a day they
/// have their date.
pub fn time_ticks(from_ms: u64, to_ms: u64, offset_min: i32) -> Vec<Tick<u64>> {
    const STEPS_S: [u64; 18] = [
        5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400,
        172_800, 604_800, 2_592_000,
    ];
    const TICKS_MAX: u64 = 5;
    let span_s = to_ms.saturating_sub(from_ms) / 1_000;
    let step_s = STEPS_S.into_iter().find(|step| span_s / step <= TICKS_MAX);
    let step_ms = step_s.unwrap_or(span_s / TICKS_MAX) * 1_000;
    // Steps of an hour and more are round for the reader where his offset is in whole
    // hours; shorter ones always, because every offset is in whole quarters of an hour.
    let label = |at: u64| {
        let time = format::date_time(at, offset_min);
        match step_ms {
            0..60_000 => time.get(11..).unwrap_or_default().to_owned(),
            60_000..3_600_000 => time.get(11..16).unwrap_or_default().to_owned(),
            _ if span_s <= 86_400 => time.get(11..16).unwrap_or_default().to_owned(),
            _ => time.get(5..16).unwrap_or_default().to_owned(),
        }
    };
    (from_ms.div_ceil(step_ms)..=to_ms / step_ms)
        .map(|index| index * step_ms)
        .map(|at| Tick { at, label: label(at) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels<T>(ticks: Vec<Tick<T>>) -> Vec<String> {
        ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn percent_lines_are_round_and_hold_the_largest_value() {
        assert_eq!(labels(value_ticks(Unit::Percent, 3.7)), ["0 %", "1 %", "2 %", "3 %", "4 %"]);
        assert_eq!(labels(value_ticks(Unit::Percent, 100.0)).last().unwrap(), "100 %");
        assert_eq!(labels(value_ticks(Unit::Percent, 0.0)), ["0 %", "0.05 %"]);
        assert_eq!(labels(value_ticks(Unit::Percent, 0.3))[..2], ["0 %", "0.1 %"]);
    }

    #[test]
    fn byte_lines_are_powers_of_two() {
        let lines = labels(value_ticks(Unit::Bytes, 1_114_112.0));
        assert_eq!(lines, ["0 B", "512 KiB", "1 MiB", "1.5 MiB"]);
        assert_eq!(labels(value_ticks(Unit::Bytes, 65_536.0)).last().unwrap(), "64 KiB");
    }

    #[test]
    fn every_scale_has_a_top_above_zero() {
        for largest in [0.0, 0.004, 1.0, 99.9, 250.0, 1e12] {
            for unit in
                [Unit::Percent, Unit::Bytes, Unit::PerSecond, Unit::Microseconds, Unit::Count]
            {
                let ticks = value_ticks(unit, largest);
                let top = ticks.last().unwrap().at;
                assert!(top > 0.0 && top >= largest && ticks.len() <= 7, "{unit:?} {largest}");
            }
        }
    }

    #[test]
    fn times_are_round_and_few() {
        let minute = labels(time_ticks(1_000, 61_000, 0));
        assert_eq!(minute, ["00:00:15", "00:00:30", "00:00:45", "00:01:00"]);
        assert!(time_ticks(0, 300_000, 0).len() <= 6);
        assert!(time_ticks(0, 9_000_000, 60).len() <= 6);
        assert_eq!(labels(time_ticks(0, 3_600_000, 0))[1..3], ["00:15", "00:30"]);
        assert_eq!(labels(time_ticks(0, 604_800_000, 0))[1], "01-03 00:00");
        assert!(time_ticks(0, 7_776_000_000, 0).len() <= 6);
    }
}
