//! One chart: axes, lines, a legend with values, and a table for those who
//! cannot or do not want to read lines.
//!
//! Labels are HTML around a stretched SVG, so that text keeps its size on every
//! screen. Lines differ by dashes as well as by colour.

use super::geometry::{self, HEIGHT, Scale, Series, WIDTH};
use super::ticks::{self, Tick, Unit};
use crate::{browser, format};
use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// As many lines of the table as fit a look.
const TABLE_ROWS: usize = 60;
/// The stylesheet has as many colours and dashes.
const STYLES: usize = 6;

#[derive(Debug, Clone, PartialEq)]
struct Plot {
    scale: Scale,
    value_ticks: Vec<Tick<f64>>,
    time_ticks: Vec<Tick<u64>>,
    /// The `d` of each series.
    paths: Vec<String>,
    /// What cannot be exceeded, where the scale reaches so far.
    limit: Option<f64>,
}

/// From and to, in milliseconds.
pub type Window = Option<(u64, u64)>;

/// A limit is drawn where the values come near it; far above them it would press the
/// lines to the ground.
const LIMIT_SHARE_LEAST: f64 = 0.2;

fn plot(series: &[Series], unit: Unit, limit: Option<f64>, window: Window) -> Option<Plot> {
    let (from_ms, to_ms) = geometry::window(series).map(|own| window.unwrap_or(own))?;
    let largest = geometry::largest(series, from_ms);
    let limit = limit.filter(|limit| largest >= limit * LIMIT_SHARE_LEAST);
    let value_ticks = ticks::value_ticks(unit, largest.max(limit.unwrap_or_default()));
    let top = value_ticks.last().map_or(1.0, |tick| tick.at);
    let scale = Scale { from_ms, to_ms, top };
    let time_ticks = ticks::time_ticks(from_ms, to_ms, browser::utc_offset_min());
    let paths = series.iter().map(|one| geometry::path(one, &scale)).collect();
    Some(Plot { scale, value_ticks, time_ticks, paths, limit })
}

#[component]
pub fn Chart(
    /// Names the chart for tests and styles.
    id: &'static str,
    title: &'static str,
    /// What a value is, under the title.
    axis: &'static str,
    unit: Unit,
    series: Memo<Vec<Series>>,
    /// What the values cannot exceed.
    #[prop(optional, into)]
    limit: Signal<Option<f64>>,
    /// What is shown; as far back as there are points, within limits, unless set.
    #[prop(optional, into)]
    window: Signal<Window>,
) -> AnyView {
    let plot =
        Memo::new(move |_| series.with(|series| plot(series, unit, limit.get(), window.get())));
    let hover_share = RwSignal::new(None::<f64>);
    let hover_ms = Memo::new(move |_| {
        let share = hover_share.get()?;
        plot.with(|plot| plot.as_ref().map(|plot| plot.scale.time_ms_at(share)))
    });
    view! {
        <figure class="chart card" data-chart=id>
            <figcaption>
                <h3>{title}</h3>
                <p class="muted">{axis}</p>
            </figcaption>
            {move || match plot.get() {
                None => view! { <p class="chart-empty muted">"No samples yet."</p> }.into_any(),
                Some(plot) => {
                    let label = series.with(|series| describe(title, series, unit));
                    draw(plot, label, hover_share)
                }
            }}
            <Legend series unit hover_ms/>
            {summaries(series, unit, limit, window)}
            <Table series unit/>
        </figure>
    }
    .into_any()
}

/// Least, mean, p95 and largest of each line, over what is shown.
fn summaries(
    series: Memo<Vec<Series>>,
    unit: Unit,
    limit: Signal<Option<f64>>,
    window: Signal<Window>,
) -> AnyView {
    let text = move |one: &Series, from_ms: u64| {
        let of = geometry::summary(one, from_ms)?;
        let [least, mean, p95, largest] =
            [of.least, of.mean, of.p95, of.largest].map(|value| unit.format(value));
        Some(format!("{}: min {least}, avg {mean}, p95 {p95}, max {largest}", one.name))
    };
    let lines = move || {
        series.with(|series| {
            let shown = window.get().or_else(|| geometry::window(series));
            let from_ms = shown.map_or(0, |(from_ms, _)| from_ms);
            let texts = series.iter().filter_map(|one| text(one, from_ms));
            texts.map(|text| view! { <li>{text}</li> }.into_any()).collect_view()
        })
    };
    let limit = move || {
        limit.get().map(|limit| view! { <li>{format!("limit {}", unit.format(limit))}</li> })
    };
    view! { <ul class="summary muted" data-summary="">{lines}{limit}</ul> }.into_any()
}

fn draw(plot: Plot, label: String, hover_share: RwSignal<Option<f64>>) -> AnyView {
    let scale = plot.scale;
    let on_move = move |event: web_sys::PointerEvent| {
        let target = event.current_target().and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        if let Some(target) = target {
            let area = target.get_bounding_client_rect();
            let share = (f64::from(event.client_x()) - area.left()) / area.width().max(1.0);
            hover_share.set(Some(share.clamp(0.0, 1.0)));
        }
    };
    let grid = plot.value_ticks.iter().map(|tick| {
        let y = scale.y(tick.at);
        view! { <line class="grid" x1="0" x2=WIDTH y1=y y2=y/> }
    });
    let lines = plot.paths.into_iter().enumerate().map(|(index, d)| {
        view! { <path class=format!("line s{}", index % STYLES) data-series=index d=d/> }
    });
    let limit = plot.limit.map(|limit| {
        let y = scale.y(limit);
        view! { <line class="limit" x1="0" x2=WIDTH y1=y y2=y/> }
    });
    let value_labels = plot.value_ticks.iter().map(|tick| {
        let bottom = format!("{:.2}%", tick.at / scale.top * 100.0);
        view! { <span style:bottom=bottom>{tick.label.clone()}</span> }
    });
    let time_labels = plot.time_ticks.iter().map(|tick| {
        let share = scale.x(tick.at) / WIDTH;
        let left = format!("{:.2}%", share * 100.0);
        // At the edges a label stays within the chart.
        let class = match share {
            _ if share < 0.08 => "at-start",
            _ if share > 0.92 => "at-end",
            _ => "",
        };
        view! { <span class=class style:left=left>{tick.label.clone()}</span> }
    });
    view! {
        <div class="plot">
            <div class="y-axis" aria-hidden="true">{value_labels.collect_view()}</div>
            <svg
                role="img"
                aria-label=label
                viewBox=format!("0 0 {WIDTH} {HEIGHT}")
                preserveAspectRatio="none"
                on:pointermove=on_move
                on:pointerleave=move |_| hover_share.set(None)
            >
                {grid.collect_view()}
                {limit}
                {lines.collect_view()}
                {move || hover_share.get().map(|share| {
                    let x = share * WIDTH;
                    view! { <line class="cursor" x1=x x2=x y1="0" y2=HEIGHT/> }
                })}
            </svg>
            <div class="x-axis" aria-hidden="true">{time_labels.collect_view()}</div>
        </div>
    }
    .into_any()
}

/// Each line's name, and its value now or where the pointer is.
#[component]
fn Legend(series: Memo<Vec<Series>>, unit: Unit, hover_ms: Memo<Option<u64>>) -> impl IntoView {
    let entry = move |index: usize, one: &Series| {
        let value = match hover_ms.get() {
            Some(time_ms) => geometry::nearest(one, time_ms).and_then(|point| point.value),
            None => one.last_value(),
        };
        view! {
            <li>
                <svg class="swatch" viewBox="0 0 24 8" aria-hidden="true">
                    <path class=format!("line s{}", index % STYLES) d="M1 4L23 4"/>
                </svg>
                <span>{one.name.clone()}</span>
                <span class="num">{value.map_or_else(|| "–".to_owned(), |v| unit.format(v))}</span>
            </li>
        }
    };
    view! {
        <ul class="legend">
            {move || series.with(|series| {
                series.iter().enumerate().map(|(index, one)| entry(index, one)).collect_view()
            })}
            <li class="muted legend-time">
                {move || hover_ms.get().map(|time_ms| {
                    format!("at {}", format::date_time(time_ms, browser::utc_offset_min()))
                })}
            </li>
        </ul>
    }
}

/// The same figures as text, newest first, made only while it is open.
#[component]
fn Table(series: Memo<Vec<Series>>, unit: Unit) -> impl IntoView {
    let open = RwSignal::new(false);
    let on_toggle = move |event: leptos::ev::Event| {
        let details = event.target().and_then(|t| t.dyn_into::<web_sys::HtmlDetailsElement>().ok());
        open.set(details.is_some_and(|details| details.open()));
    };
    let rows = move |series: &[Series]| {
        let mut times: Vec<u64> =
            series.iter().flat_map(|one| one.points.iter().map(|point| point.time_ms)).collect();
        times.sort_unstable();
        times.dedup();
        let row = |time_ms: u64| {
            let cells = series.iter().map(|one| {
                let point = geometry::nearest(one, time_ms).filter(|p| p.time_ms == time_ms);
                let value = point.and_then(|point| point.value);
                view! { <td class="num">{value.map_or_else(|| "–".to_owned(), |v| unit.format(v))}</td> }
            });
            let time = format::time_of_day(time_ms, browser::utc_offset_min());
            view! { <tr><th scope="row">{time}</th>{cells.collect_view()}</tr> }
        };
        times.into_iter().rev().take(TABLE_ROWS).map(row).collect_view()
    };
    view! {
        <details on:toggle=on_toggle>
            <summary>"Show as a table"</summary>
            {move || open.get().then(|| series.with(|series| view! {
                <div class="scroll chart-table" tabindex="0" role="region" aria-label="Samples">
                    <table>
                        <thead>
                            <tr>
                                <th scope="col">"Time"</th>
                                {series.iter().map(|one| view! {
                                    <th scope="col" class="num">{one.name.clone()}</th>
                                }).collect_view()}
                            </tr>
                        </thead>
                        <tbody>{rows(series)}</tbody>
                    </table>
                </div>
            }))}
        </details>
    }
}

/// What a screen reader says instead of the picture.
fn describe(title: &str, series: &[Series], unit: Unit) -> String {
    let now = series.iter().map(|one| match one.last_value() {
        Some(value) => format!("{} now {}", one.name, unit.format(value)),
        None => format!("{} without a figure now", one.name),
    });
    format!("{title}: {}", now.collect::<Vec<_>>().join(", "))
}
