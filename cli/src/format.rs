//! Quantities, times and foreign text in a form for people.

/// `1.5 KiB`; exact below one KiB.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be rounded to 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

pub fn maybe<T>(value: Option<T>, in_words: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), in_words)
}

pub fn percent(value: f64) -> String {
    format!("{value:.1}%")
}

/// `850 ms`, `12.3 s`.
pub fn millis(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1000.0) }
}

/// `5 s ago`, or `in 5 s`. Clocks of gateway and terminal may differ a little, so
/// a moment that lies close is now.
pub fn ago(now_ms: u64, time_ms: u64) -> String {
    let seconds = now_ms.abs_diff(time_ms) / 1000;
    match time_ms > now_ms {
        _ if seconds < 1 => "now".to_owned(),
        true => format!("in {}", span(seconds)),
        false => format!("{} ago", span(seconds)),
    }
}

/// The largest unit that fits.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `14:03:07.250`, UTC.
pub fn clock(time_ms: u64) -> String {
    let (seconds, ms) = (time_ms / 1000 % 86_400, time_ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2026-03-01T14:03:07.250Z`.
pub fn date_time(time_ms: u64) -> String {
    let (year, month, day) = civil_date(time_ms / 86_400_000);
    format!("{year:04}-{month:02}-{day:02}T{}Z", clock(time_ms))
}

/// The date of a day after 1970-01-01. Years begin in March, so that the leap day
/// is a year's last; 400 of them are 146,097 days.
fn civil_date(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between March 1st of the year 0 and 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Enough of an id to tell it from others.
pub fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Text from elsewhere without control characters, which could drive a terminal:
/// a module logs what it likes, and a device chooses its name.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        if c.is_control() || is_direction(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        line
    })
}

/// Marks that turn the direction of the text after them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Hexadecimal bytes as text if that can be read, else as they are.
pub fn payload(digits: &str) -> String {
    let text = hex::decode(digits).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match text {
        Some(text) if !text.is_empty() && !text.contains(char::is_control) => {
            format!("{:?}", printable(&text))
        }
        _ => format!("0x{}", printable(digits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_decimal_from_a_kib_on() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (16 << 20, "16.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn times_are_told_by_their_largest_unit() {
        let now = 1_000_000_000;
        assert_eq!(ago(now, now - 999), "now");
        assert_eq!(ago(now, now - 119_000), "119 s ago");
        assert_eq!(ago(now, now - 120_000), "2 min ago");
        assert_eq!(ago(now, now - 7_200_000), "2 h ago");
        assert_eq!(ago(now, now + 600_000), "in 10 min");
        assert_eq!(ago(now, 0), "11 d ago");
        assert_eq!(millis(9_999), "9999 ms");
        assert_eq!(millis(12_345), "12.3 s");
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(date_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(date_time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(date_time(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(date_time(1_772_373_787_250), "2026-03-01T14:03:07.250Z");
    }

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\nc\u{202e}ä"), "a\\u{1b}[31mb\\nc\\u{202e}ä");
        assert_eq!(payload("68c3a4"), "\"hä\"");
        assert_eq!(payload("681b"), "0x681b");
        assert_eq!(payload(""), "0x");
        assert_eq!(short_id("äöüäöüä"), "äöüäöü");
    }
}
