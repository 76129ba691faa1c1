//! Charts of what the gateway has measured over a stretch of time that the address names,
//! of a device or of the fleet. The gateway cuts it into buckets; here they are lines.

use crate::api::{self, ApiError};
use crate::browser;
use crate::chart::range::{RANGES, length_ms};
use crate::chart::series;
use crate::chart::ticks::Unit;
use crate::chart::view::Chart;
use crate::components::ProblemBox;
use crate::live::Live;
use crate::model::HistoryRange;
use crate::route::Route;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// A chart: the metric as the API names it, what people call it, and its unit.
pub struct Wanted {
    pub metric: &'static str,
    pub title: &'static str,
    pub axis: &'static str,
    pub unit: Unit,
}

pub const OF_FLEET: [Wanted; 5] = [
    Wanted {
        metric: "cpu_percent",
        title: "CPU of all modules",
        axis: "percent of one CPU",
        unit: Unit::Percent,
    },
    Wanted {
        metric: "memory_bytes",
        title: "Memory of all modules",
        axis: "linear memory",
        unit: Unit::Bytes,
    },
    Wanted {
        metric: "gas_per_s",
        title: "Gas of metered modules",
        axis: "in a second",
        unit: Unit::PerSecond,
    },
    Wanted {
        metric: "messages_per_s",
        title: "Messages",
        axis: "published in a second",
        unit: Unit::PerSecond,
    },
    Wanted {
        metric: "devices_online",
        title: "Devices online",
        axis: "that report",
        unit: Unit::Count,
    },
];

pub const OF_DEVICE: [Wanted; 6] = [
    Wanted {
        metric: "gas_per_s",
        title: "Gas by module",
        axis: "in a second, of metered modules",
        unit: Unit::PerSecond,
    },
    Wanted {
        metric: "host_calls_per_s",
        title: "Host calls by module",
        axis: "in a second",
        unit: Unit::PerSecond,
    },
    Wanted {
        metric: "messages_per_s",
        title: "Messages by module",
        axis: "published in a second",
        unit: Unit::PerSecond,
    },
    Wanted {
        metric: "drops_per_s",
        title: "Drops by module",
        axis: "messages and lines lost in a second",
        unit: Unit::PerSecond,
    },
    Wanted {
        metric: "tick_p99_us",
        title: "Tick response by module",
        axis: "from due to over, p99",
        unit: Unit::Microseconds,
    },
    Wanted {
        metric: "tick_misses_per_s",
        title: "Missed deadlines by module",
        axis: "in a second",
        unit: Unit::PerSecond,
    },
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
    let names: Vec<&str> = wanted.iter().map(|chart| chart.metric).collect();
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
    let chart = move |one: &'static Wanted| {
        let lines = Memo::new(move |_| {
            range
                .with(|range| range.as_ref().map(|r| series::of_range(r, one.metric)))
                .unwrap_or_default()
        });
        view! {
            <Chart id=one.metric title=one.title axis=one.axis unit=one.unit series=lines window/>
        }
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
