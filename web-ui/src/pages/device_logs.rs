//! What a device and its modules wrote, oldest first, as `farrier logs` shows it; by
//! level and text, followed or held.

use crate::live::Live;
use crate::log_filter::{LogFilter, shown};
use crate::model::LogLine;
use crate::{browser, fleet, format};
use leptos::html::Div;
use leptos::prelude::*;

#[component]
pub fn DeviceLogs() -> impl IntoView {
    let live = Live::here();
    let follow = RwSignal::new(true);
    let filter = RwSignal::new(LogFilter::default());
    // While it is paused the lines stay as they were when it was.
    let held = RwSignal::new(None::<Vec<LogLine>>);
    let place = NodeRef::<Div>::new();
    let lines = RwSignal::new(Vec::<LogLine>::new());
    Effect::new(move |_| {
        let filtered = |lines: &Vec<LogLine>| filter.with(|filter| shown(lines, filter));
        let of_held = held.with(|held| held.as_ref().map(filtered));
        lines.set(of_held.unwrap_or_else(|| live.log_lines.with(filtered)));
    });
    let set_follow = move |on: bool| {
        follow.set(on);
        held.set((!on).then(|| live.log_lines.get_untracked()));
    };
    Effect::new(move |_| {
        lines.track();
        if let Some(place) = place.get().filter(|_| follow.get()) {
            // After the new lines stand in the page.
            request_animation_frame(move || place.set_scroll_top(place.scroll_height()));
        }
    });
    view! {
        <section class="card" aria-labelledby="log">
            <div class="section-head log-head">
                <h2 id="log">"Log"</h2>
                <label>
                    <span class="hidden">"Level"</span>
                    <select data-log-level="" on:change=move |event| {
                        filter.update(|filter| filter.level = event_target_value(&event));
                    }>
                        <option value="">"All levels"</option>
                        <option value="info">"info and worse"</option>
                        <option value="warn">"warn and worse"</option>
                        <option value="error">"error"</option>
                    </select>
                </label>
                <label>
                    <span class="hidden">"Text in the log"</span>
                    <input type="search" placeholder="text or module" data-log-text=""
                        on:input=move |event| {
                            filter.update(|filter| filter.text = event_target_value(&event));
                        }/>
                </label>
                <button type="button" aria-pressed=move || (!follow.get()).to_string()
                    data-log-pause="" on:click=move |_| set_follow(!follow.get_untracked())>
                    {move || if follow.get() { "Pause" } else { "Follow" }}
                </button>
            </div>
            {move || lines.with(Vec::is_empty).then(|| view! {
                <p class="muted">
                    {if live.log_lines.with(Vec::is_empty) {
                        "No lines yet. A module writes one with farrier.log."
                    } else {
                        "No line fits this filter."
                    }}
                </p>
            })}
            <div class="log" node_ref=place tabindex="0" role="log" aria-label="Log lines" aria-live="off">
                {move || lines.get().into_iter().map(row).collect_view()}
            </div>
            <p class="muted">
                {move || {
                    let (some, all) = (lines.with(Vec::len), live.log_lines.with(Vec::len));
                    let held = if follow.get() { "" } else { " Paused: newer lines wait." };
                    format!("{some} of the newest {all} lines, {} at most.{held}", fleet::LOG_LINES_MAX)
                }}
            </p>
        </section>
    }
}

fn row(line: LogLine) -> AnyView {
    let source = if line.app.is_empty() { "agent".to_owned() } else { line.app };
    let class = format!("log-line {}", level_class(&line.level));
    view! {
        <p class=class>
            <time>{format::time_of_day(line.time_ms, browser::utc_offset_min())}</time>
            " "<span class="log-level">{line.level}</span>
            " "<span class="log-source">{source}</span>
            " "<span class="log-text">{line.text}</span>
        </p>
    }
    .into_any()
}

/// The stylesheet's colour; the word stands in the line.
fn level_class(level: &str) -> &'static str {
    match level {
        "error" => "bad",
        "warn" => "warn",
        _ => "plain",
    }
}
