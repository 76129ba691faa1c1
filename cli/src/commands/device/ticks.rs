//! How punctual the modules of a device are: a part of `farrier device show`.

use super::guest::name_of;
use crate::grid::{Align, Grid, Look, plain};
use gateway_api::{AppStatus, Spread, TickReport, TickWindow};

/// Empty where no module ticks.
pub fn view(apps: &[AppStatus], look: &Look) -> String {
    let columns = [
        ("MODULE", Align::Left),
        ("PERIOD", Align::Right),
        ("DEADLINE", Align::Right),
        ("TICKS", Align::Right),
        ("MISSED", Align::Right),
        ("SKIPPED", Align::Right),
        ("START P99", Align::Right),
        ("MAX", Align::Right),
        ("RESPONSE MEAN", Align::Right),
        ("P99", Align::Right),
        ("MAX", Align::Right),
        ("JITTER", Align::Right),
    ];
    let mut grid = Grid::new(look, &columns);
    for (app, ticks) in apps.iter().filter_map(|app| Some((app, app.ticks.as_ref()?))) {
        let of_last = |get: fn(&TickWindow) -> u32| {
            ticks.last.as_ref().map_or_else(|| "-".to_owned(), |last| micros(get(last)))
        };
        grid.row(vec![
            plain(name_of(app)),
            plain(micros(ticks.period_us)),
            plain(micros(ticks.deadline_us)),
            plain(ticks.ticks.to_string()),
            plain(ticks.missed.to_string()),
            plain(ticks.skipped.to_string()),
            plain(of_last(|last| last.start.p99_us)),
            plain(of_last(|last| last.start.max_us)),
            plain(of_last(|last| last.response.mean_us)),
            plain(of_last(|last| last.response.p99_us)),
            plain(of_last(|last| last.response.max_us)),
            plain(of_last(|last| last.jitter_us)),
        ]);
    }
    grid.to_section()
}

/// `3/1199, 980 us`: missed deadlines of all ticks, and the last interval's response.
pub fn short(ticks: &TickReport) -> String {
    let late = ticks.missed.saturating_add(ticks.skipped);
    let p99 = |last: &TickWindow| {
        let Spread { p99_us, .. } = last.response;
        format!(", {}", micros(p99_us))
    };
    let all = ticks.ticks.saturating_add(ticks.skipped);
    format!("{late}/{all}{}", ticks.last.as_ref().map(p99).unwrap_or_default())
}

pub fn micros(us: u32) -> String {
    match us {
        0..10_000 => format!("{us} us"),
        10_000..10_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{} s", us / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;

    #[test]
    fn each_module_that_ticks_has_a_line() {
        let mut apps = sample::apps();
        assert_eq!(view(&apps, &Look::plain(false)), "");
        let response = Spread { min_us: 90, mean_us: 150, p99_us: 980, max_us: 12_345 };
        let start = Spread { p99_us: 70, max_us: 800, ..Spread::default() };
        let last = Some(TickWindow { ticks: 50, missed: 1, start, response, jitter_us: 730 });
        let report =
            TickReport { period_us: 100_000, deadline_us: 10_000, last, ..Default::default() };
        apps[0].ticks = Some(TickReport { ticks: 1_197, missed: 1, skipped: 2, ..report });
        expect![[r#"

            MODULE    PERIOD  DEADLINE  TICKS  MISSED  SKIPPED  START P99     MAX  RESPONSE MEAN     P99    MAX  JITTER
            filter@2  100 ms     10 ms   1197       1        2      70 us  800 us         150 us  980 us  12 ms  730 us
        "#]].assert_eq(&view(&apps, &Look::plain(false)));
        assert_eq!(short(apps[0].ticks.as_ref().unwrap()), "3/1199, 980 us");
    }
}
