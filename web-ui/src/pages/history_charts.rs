//! Charts of what the gateway has measured over a stretch of time that the address names,
//! of a device or of the fleet. The gateway cuts it into buckets; here they are lines.

use crate::api::{self, ApiError};
use crate::browser;
use crate::chart::range::{RANGES, length_ms};
use crate::chart::series::{self, Lines};
use crate::chart::ticks::Unit;
use crate::chart::view::Chart;
use crate::components::ProblemBox;
use crate::live::Live;
use crate::model::HistoryRange;
use crate::route::Route;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// A chart: its name in the page, the metric as the API names it, what people call it, what
/// a value is, and whose lines it has.
pub struct Wanted(&'static str, &'static str, &'static str, &'static str, Unit, Lines);

use Lines::{Both, Modules, Whole};
use Unit::{Bytes, Count, Microseconds, PerSecond, Percent};

pub const OF_FLEET: [Wanted; 6] = [
    Wanted(
        "devices-cpu",
        "cpu_percent",
        "CPU of the devices",
        "percent, on the average",
        Percent,
        Whole,
    ),
    Wanted(
        "cpu",
        "cpu_percent",
        "CPU by module",
        "percent of one CPU, on all devices",
        Percent,
        Modules,
    ),
    Wanted("memory", "memory_bytes", "Memory by module", "linear, on all devices", Bytes, Modules),
    Wanted("gas", "gas_per_s", "Gas", "in a second, of metered modules", PerSecond, Both),
    Wanted("messages", "messages_per_s", "Messages", "published in a second", PerSecond, Both),
    Wanted("online", "devices_online", "Devices online", "that report", Count, Whole),
];

pub const OF_DEVICE: [Wanted; 6] = [
    Wanted(
        "gas",
        "gas_per_s",
        "Gas by module",
        "in a second, of metered modules",
        PerSecond,
        Modules,
    ),
    Wanted(
        "host-calls",
        "host_calls_per_s",
        "Host calls by module",
        "in a second",
        PerSecond,
        Modules,
    ),
    Wanted(
        "messages",
        "messages_per_s",
        "Messages by module",
        "published in a second",
        PerSecond,
        Modules,
    ),
    Wanted(
        "drops",
        "drops_per_s",
        "Drops by module",
        "messages and lines lost in a second",
        PerSecond,
        Modules,
    ),
    Wanted(
        "ticks",
        "tick_p99_us",
        "Tick response by module",
        "from due to over, p99",
        Microseconds,
        Modules,
    ),
    Wanted(
        "misses",
        "tick_misses_per_s",
        "Missed deadlines by module",
        "in a second",
        PerSecond,
        Modules,
    ),
];

#[component]
pub fn HistoryCharts(
    /// None for the whole fleet.
    device: Option<String>,
    wanted: &'static [Wanted],
) -> AnyView {
    let live = Live::here();
    let route = Route::here();
    let from = Memo::new(move |_| route.parameter("from"));
    let range = RwSignal::new(None::<HistoryRange>);
    let window = RwSignal::new(None::<(u64, u64)>);
    let error = RwSignal::new(None::<ApiError>);
    let is_asking = StoredValue::new(false);
    let mut names: Vec<&str> = wanted.iter().map(|chart| chart.1).collect();
    names.dedup();
    let names = StoredValue::new(names.join(","));
    let device = StoredValue::new(device);
    let ask = move || {
        let to_ms = browser::now_ms();
        let from_ms = to_ms.saturating_sub(length_ms(&from.get_untracked()));
        is_asking.set_value(true);
        spawn_local(async move {
            let (of, names) = (device.get_value(), names.get_value());
            let answer = api::history_range(of.as_deref(), &names, from_ms, to_ms).await;
            match answer {
                Ok(found) => {
                    window.try_set(Some((from_ms, to_ms)));
                    range.try_set(Some(found));
                    error.try_set(None);
                }
                // The old lines stay, and the banner says that they are old.
                Err(ApiError::Unreachable(_)) => {}
                Err(refused) => drop(error.try_set(Some(refused))),
            }
            is_asking.try_set_value(false);
        });
    };
    Effect::new(move |_| {
        from.track();
        ask();
    });
    Effect::new(move |_| {
        live.beat.track();
        if !is_asking.get_value() {
            ask();
        }
    });
    let chart = move |Wanted(id, metric, title, axis, unit, whose): &'static Wanted| {
        let lines = Memo::new(move |_| {
            let of = |range: &HistoryRange| series::of_range(range, metric, *whose);
            range.with(|range| range.as_ref().map(of)).unwrap_or_default()
        });
        view! { <Chart id=*id title=*title axis=*axis unit=*unit series=lines window/> }
    };
    view! {
        <section aria-label="History">
            <div class="section-head">
                <h2>"History"</h2>
                <label>
                    <span class="hidden">"Time range"</span>
                    <select data-range="" prop:value=move || from.get()
                        on:change=move |event| {
                            route.set_parameters(&[("from", &event_target_value(&event))]);
                        }>
                        {RANGES.map(|(value, text, _)| {
                            let is_chosen = from.with_untracked(|from| from == value);
                            view! { <option value=value selected=is_chosen>"Last "{text}</option> }
                        }).collect_view()}
                    </select>
                </label>
            </div>
            {move || error.get().map(|error| view! { <ProblemBox error/> })}
            <div class="charts">{wanted.iter().map(chart).collect_view()}</div>
        </section>
    }
    .into_any()
}
