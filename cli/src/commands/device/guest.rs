//! What the modules of a device do through the guest API: a part of `farrier device show`.

use crate::format;
use crate::grid::{Align, Grid, Look, plain};
use gateway_api::AppStatus;

/// Empty where no module has called anything.
pub fn view(apps: &[AppStatus], look: &Look) -> String {
    host_calls(apps, look)
        + &metrics(apps, look)
        + &outlets(apps, look)
        + &inboxes(apps, look)
        + &storage(apps)
}

fn host_calls(apps: &[AppStatus], look: &Look) -> String {
    let columns = [
        ("MODULE", Align::Left),
        ("IMPORT", Align::Left),
        ("CALLS", Align::Right),
        ("BYTES", Align::Right),
        ("TIME", Align::Right),
        ("PER CALL", Align::Right),
    ];
    let mut grid = Grid::new(look, &columns);
    let calls = apps.iter().flat_map(|app| app.host_calls.iter().map(move |call| (app, call)));
    for (app, call) in calls {
        grid.row(vec![
            plain(name_of(app)),
            plain(&call.import),
            plain(call.calls.to_string()),
            plain(format::bytes(call.bytes)),
            plain(nanos(call.time_ns)),
            plain(nanos(call.time_ns / call.calls.max(1))),
        ]);
    }
    grid.to_section()
}

fn metrics(apps: &[AppStatus], look: &Look) -> String {
    let columns = [("MODULE", Align::Left), ("METRIC", Align::Left), ("VALUE", Align::Right)];
    let mut grid = Grid::new(look, &columns);
    let metrics = apps.iter().flat_map(|app| app.metrics.iter().map(move |metric| (app, metric)));
    for (app, metric) in metrics {
        grid.row(vec![plain(name_of(app)), plain(&metric.name), plain(metric.value.to_string())]);
    }
    grid.to_section()
}

fn outlets(apps: &[AppStatus], look: &Look) -> String {
    let columns = [
        ("MODULE", Align::Left),
        ("PUBLISHES ON", Align::Left),
        ("WAITING", Align::Right),
        ("PUBLISHED", Align::Right),
        ("DROPPED", Align::Right),
    ];
    let mut grid = Grid::new(look, &columns);
    let outlets = apps.iter().flat_map(|app| app.outlets.iter().map(move |outlet| (app, outlet)));
    for (app, outlet) in outlets {
        grid.row(vec![
            plain(name_of(app)),
            plain(&outlet.channel),
            plain(outlet.depth.to_string()),
            plain(outlet.published.to_string()),
            plain(outlet.dropped.to_string()),
        ]);
    }
    grid.to_section()
}

fn inboxes(apps: &[AppStatus], look: &Look) -> String {
    let columns = [
        ("MODULE", Align::Left),
        ("SUBSCRIBES TO", Align::Left),
        ("WAITING", Align::Right),
        ("RECEIVED", Align::Right),
        ("DROPPED", Align::Right),
    ];
    let mut grid = Grid::new(look, &columns);
    let inboxes = apps.iter().flat_map(|app| app.inboxes.iter().map(move |inbox| (app, inbox)));
    for (app, inbox) in inboxes {
        grid.row(vec![
            plain(name_of(app)),
            plain(&inbox.channel),
            plain(inbox.depth.to_string()),
            plain(inbox.received.to_string()),
            plain(inbox.dropped.to_string()),
        ]);
    }
    grid.to_section()
}

fn storage(apps: &[AppStatus]) -> String {
    let line = |app: &AppStatus| {
        let storage = app.storage?;
        let (used, quota) = (format::bytes(storage.used_bytes), format::bytes(storage.quota_bytes));
        Some(format!("\n{} stores {used} of {quota}\n", format::printable(&name_of(app))))
    };
    apps.iter().filter_map(line).collect()
}

pub fn name_of(app: &AppStatus) -> String {
    format!("{}@{}", app.app, app.version)
}

/// Three digits are enough for people; `-o json` has them all.
fn nanos(time_ns: u64) -> String {
    match time_ns {
        0..1_000 => format!("{time_ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", time_ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", time_ns as f64 / 1e6),
        _ => format!("{:.1} s", time_ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;
    use gateway_api::{HostCallStatus, MetricStatus, OutletStatus, StorageStatus};

    #[test]
    fn calls_and_metrics_take_a_line_each() {
        let mut apps = sample::apps();
        assert_eq!(view(&apps, &Look::plain(false)), "");
        apps[0].storage = Some(StorageStatus { used_bytes: 100, quota_bytes: 4_096 });
        let (import, calls) = ("farrier.publish".to_owned(), 120);
        let call = HostCallStatus { import, calls, bytes: 2_048, time_ns: 360_000 };
        apps[0].host_calls = vec![call];
        apps[0].metrics = vec![MetricStatus { name: "rpm\x1b[2J".into(), value: -1.5 }];
        let channel = "average".to_owned();
        apps[0].outlets = vec![OutletStatus { channel, depth: 3, published: 120, dropped: 4 }];
        let shown = view(&apps, &Look::plain(false));
        assert!(!shown.contains('\x1b'), "a module's text cannot drive the terminal");
        expect![[r#"

            MODULE    IMPORT           CALLS    BYTES      TIME  PER CALL
            filter@2  farrier.publish    120  2.0 KiB  360.0 µs    3.0 µs

            MODULE    METRIC        VALUE
            filter@2  rpm\u{1b}[2J   -1.5

            MODULE    PUBLISHES ON  WAITING  PUBLISHED  DROPPED
            filter@2  average             3        120        4

            filter@2 stores 100 B of 4.0 KiB
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn times_have_units() {
        assert_eq!(nanos(999), "999 ns");
        assert_eq!(nanos(1_500), "1.5 µs");
        assert_eq!(nanos(2_000_000), "2.0 ms");
        assert_eq!(nanos(3_000_000_000), "3.0 s");
    }
}
