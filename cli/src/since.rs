//! `--since`: how long ago, or a time.

use gateway_client::Since;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The most that a gateway gives at once.
const LIMIT_MAX: u32 = 5_000;

/// Who names a time wants all that came since.
pub fn limit(since: Option<Since>, limit: Option<u32>) -> Option<u32> {
    limit.or(since.map(|_| LIMIT_MAX))
}

/// Of what comes while it is followed. It is younger than any age; a time may lie ahead.
pub fn is_reached(since: Option<Since>, time_ms: u64) -> bool {
    match since {
        Some(Since::TimeMs(since_ms)) => time_ms >= since_ms,
        Some(Since::LastS(_)) | None => true,
    }
}

/// An age is counted by the gateway's clock, which also gives the lines their times.
pub fn parse_since(text: &str) -> Result<Since, String> {
    match parse_age_s(text) {
        Some(age_s) => Ok(Since::LastS(age_s)),
        None => {
            let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
                "give an age with a unit (30s, 10m, 2h, 3d), or a time with its zone such as \
                 2026-03-01T14:00:00Z"
                    .to_owned()
            })?;
            let time_ms = time.unix_timestamp_nanos() / 1_000_000;
            let time_ms = time_ms.try_into().map_err(|_| "that was before 1970".to_owned())?;
            Ok(Since::TimeMs(time_ms))
        }
    }
}

fn parse_age_s(text: &str) -> Option<u64> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_end);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit_and_times_a_zone() {
        for (text, expected) in [
            ("30s", Since::LastS(30)),
            ("10m", Since::LastS(600)),
            ("2h", Since::LastS(7_200)),
            ("3d", Since::LastS(259_200)),
            ("1970-01-01T00:00:01.5Z", Since::TimeMs(1_500)),
            ("1970-01-01T01:00:00+01:00", Since::TimeMs(0)),
        ] {
            assert_eq!(parse_since(text), Ok(expected), "{text}");
        }
        for wrong in ["", "10", "m", "-1m", "1.5h", "10min", "2026-03-01", "1969-12-31T00:00:00Z"] {
            assert!(parse_since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_that_lies_ahead_is_waited_for() {
        assert!(is_reached(None, 5) && is_reached(Some(Since::LastS(1)), 5));
        assert!(!is_reached(Some(Since::TimeMs(6)), 5));
        assert!(is_reached(Some(Since::TimeMs(5)), 5));
    }

    #[test]
    fn who_names_a_time_gets_all_since_unless_he_limits_it() {
        assert_eq!(limit(None, None), None);
        assert_eq!(limit(Some(Since::LastS(1)), None), Some(LIMIT_MAX));
        assert_eq!(limit(Some(Since::LastS(1)), Some(3)), Some(3));
    }
}
