//! Which stretch of time the charts show, as it stands in the address: `from=now-6h`.

/// What can be chosen, the usual one first, with its length.
pub const RANGES: [(&str, &str, u64); 6] = [
    ("", "15 minutes", 900_000),
    ("now-1h", "1 hour", 3_600_000),
    ("now-6h", "6 hours", 21_600_000),
    ("now-24h", "24 hours", 86_400_000),
    ("now-7d", "7 days", 604_800_000),
    ("now-90d", "90 days", 7_776_000_000),
];

/// How long `from` reaches back; any number of minutes, hours or days, within limits.
pub fn length_ms(from: &str) -> u64 {
    const LENGTH_MS_MIN: u64 = 60_000;
    let (usual, longest) = (RANGES[0].2, RANGES[RANGES.len() - 1].2);
    let given = || {
        let text = from.strip_prefix("now-")?;
        let unit = text.chars().last()?;
        let unit_ms = match unit {
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return None,
        };
        text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(unit_ms)
    };
    given().map_or(usual, |length_ms| length_ms.clamp(LENGTH_MS_MIN, longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_says_how_far_back() {
        for (from, _, length) in RANGES {
            assert_eq!(length_ms(from), length, "{from}");
        }
        assert_eq!(length_ms("now-5m"), 300_000);
        assert_eq!(length_ms("now-0m"), 60_000);
        assert_eq!(length_ms("now-999d"), 7_776_000_000);
        for from in ["now-1w", "now-", "yesterday", "now-99999999999999999999d", "now-µ"] {
            assert_eq!(length_ms(from), 900_000, "{from}");
        }
    }
}
