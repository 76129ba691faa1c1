//! Turns raw figures of the gateway into text for people.
//!
//! Every function is plain, so that `cargo test` holds it without a browser. A
//! page never computes with the result; the raw value stands beside it in a
//! `data-value` attribute.

const KIB: f64 = 1024.0;

/// `517 B`, `64.0 KiB`, `1.50 MiB`.
pub fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < KIB {
            break;
        }
        value /= KIB;
        unit = next;
    }
    format!("{} {unit}", three_digits(value))
}

/// `0.42 %`; a share too small to print is not shown as nothing.
pub fn percent(value: f64) -> String {
    if value > 0.0 && value < 0.01 {
        "< 0.01 %".to_owned()
    } else {
        format!("{} %", three_digits(value))
    }
}

/// `0.25`, `12.3`, `4.20 k`, `1.50 M`: what is counted in a second.
pub fn short_number(value: f64) -> String {
    match value.abs() {
        ..1e-9 => "0".to_owned(),
        ..1e3 if value.fract() == 0.0 => format!("{value:.0}"),
        ..1e3 => three_digits(value),
        ..1e6 => format!("{} k", three_digits(value / 1e3)),
        ..1e9 => format!("{} M", three_digits(value / 1e6)),
        _ => format!("{} G", three_digits(value / 1e9)),
    }
}

/// Thousands set apart by a narrow space: `1 234 567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Of a compile job or a call: `850 µs`, `12.3 ms`, `4.20 s`.
pub fn microseconds(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", three_digits(us as f64 / 1e3)),
        _ => format!("{} s", three_digits(us as f64 / 1e6)),
    }
}

/// Of an uptime: `42 s`, `3 min 5 s`, `2 h 10 min`, `4 d 1 h`.
pub fn duration(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}

/// How long ago something was, in one unit, so that it rests. The two clocks
/// are of two machines, and a time that seems to lie ahead is now.
pub fn ago(then_ms: u64, now_ms: u64) -> String {
    let s = now_ms.saturating_sub(then_ms) / 1_000;
    match s {
        0..2 => "just now".to_owned(),
        2..120 => format!("{s} s ago"),
        120..7_200 => format!("{} min ago", s / 60),
        7_200..172_800 => format!("{} h ago", s / 3_600),
        _ => format!("{} d ago", s / 86_400),
    }
}

/// `14:03:07` on the reader's clock.
pub fn time_of_day(time_ms: u64, offset_min: i32) -> String {
    let s = seconds_of_day(time_ms, offset_min);
    format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
}

/// `2026-03-07 14:03:07` on the reader's clock.
pub fn date_time(time_ms: u64, offset_min: i32) -> String {
    let seconds = (time_ms / 1_000) as i64 + i64::from(offset_min) * 60;
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02} {}", time_of_day(time_ms, offset_min))
}

/// The date of a day since 1970, by Howard Hinnant's `civil_from_days`.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Seconds since the reader's midnight; `offset_min` is what to add to UTC.
fn seconds_of_day(time_ms: u64, offset_min: i32) -> i64 {
    // Both casts are exact: a time in seconds is far below 2^53.
    ((time_ms / 1_000) as i64 + i64::from(offset_min) * 60).rem_euclid(86_400)
}

/// The start of a hash, enough to tell two of one fleet apart.
pub fn short_id(id: &str) -> String {
    id.chars().take(12).collect()
}

/// A sentence of the audit log with the start of each hash in it only.
pub fn with_short_ids(text: &str) -> String {
    const HASH_DIGITS_MIN: usize = 40;
    let is_hash = |word: &&str| {
        word.len() >= HASH_DIGITS_MIN && word.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let words = text.split(' ').map(|word| match Some(word).filter(is_hash) {
        Some(hash) => short_id(hash),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `1 device`, `2 devices`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn three_digits(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_a_binary_unit() {
        for (value, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (65_536, "64.0 KiB"),
            (1_572_864, "1.50 MiB"),
            (134_217_728, "128 MiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn a_small_share_is_not_nothing() {
        assert_eq!(percent(0.0), "0.00 %");
        assert_eq!(percent(0.004), "< 0.01 %");
        assert_eq!(percent(0.42), "0.42 %");
        assert_eq!(percent(12.34), "12.3 %");
        assert_eq!(percent(100.0), "100 %");
    }

    #[test]
    fn numbers_of_a_second_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.25, "0.25"), (40.0, "40"), (4_200.0, "4.20 k"), (1.5e7, "15.0 M")]
        {
            assert_eq!(short_number(value), text);
        }
    }

    #[test]
    fn hashes_in_a_sentence_are_short() {
        let hash = "70ad5bcf11f7b866ac69e116bb882759b71c56eb36832368802e19e0334e88bd";
        let text = with_short_ids(&format!("release kept {hash} of d-f81272f85142acd61c0c"));
        assert_eq!(text, "release kept 70ad5bcf11f7 of d-f81272f85142acd61c0c");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn times_choose_their_unit() {
        assert_eq!(microseconds(850), "850 µs");
        assert_eq!(microseconds(12_340), "12.3 ms");
        assert_eq!(microseconds(4_200_000), "4.20 s");
        assert_eq!(duration(42_900), "42 s");
        assert_eq!(duration(185_000), "3 min 5 s");
        assert_eq!(duration(7_800_000), "2 h 10 min");
        assert_eq!(duration(349_200_000), "4 d 1 h");
    }

    #[test]
    fn a_time_ahead_of_us_is_now() {
        assert_eq!(ago(5_000, 1_000), "just now");
        assert_eq!(ago(1_000, 13_000), "12 s ago");
        assert_eq!(ago(0, 283_000), "4 min ago");
        assert_eq!(ago(0, 7_200_000), "2 h ago");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date_time(0, 0), "1970-01-01 00:00:00");
        assert_eq!(date_time(951_782_400_000, 0), "2000-02-29 00:00:00");
        assert_eq!(date_time(1_772_892_187_000, 60), "2026-03-07 15:03:07");
        assert_eq!(date_time(0, -60), "1969-12-31 23:00:00");
    }

    #[test]
    fn the_clock_is_the_readers() {
        assert_eq!(time_of_day(0, 0), "00:00:00");
        assert_eq!(time_of_day(3_661_000, 120), "03:01:01");
        assert_eq!(time_of_day(0, -60), "23:00:00");
    }
}
