//! What a device and its modules wrote, oldest first, as `farrier logs` shows it.

use crate::live::Live;
use crate::{browser, fleet, format};
use gateway_api::LogLine;
use leptos::html::Div;
use leptos::prelude::*;

#[component]
pub fn DeviceLogs() -> impl IntoView {
    let live = Live::here();
    let follow = RwSignal::new(true);
    let place = NodeRef::<Div>::new();
    Effect::new(move |_| {
        live.log_lines.track();
        if let Some(place) = place.get().filter(|_| follow.get()) {
            // After the new lines stand in the page.
            request_animation_frame(move || place.set_scroll_top(place.scroll_height()));
        }
    });
    view! {
        <section class="card" aria-labelledby="log">
            <div class="section-head">
                <h2 id="log">"Log"</h2>
                <label class="check">
                    <input type="checkbox" prop:checked=follow
                        on:change=move |event| follow.set(event_target_checked(&event))/>
                    "Follow"
                </label>
            </div>
            {move || live.log_lines.with(Vec::is_empty).then(|| view! {
                <p class="muted">"No lines yet. A module writes one with "<code>"farrier.log"</code>"."</p>
            })}
            <div class="log" node_ref=place tabindex="0" role="log" aria-label="Log lines" aria-live="off">
                {move || live.log_lines.get().into_iter().map(row).collect_view()}
            </div>
            <p class="muted">{format!("The newest {} lines at most.", fleet::LOG_LINES_MAX)}</p>
        </section>
    }
}

fn row(line: LogLine) -> impl IntoView {
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
}

/// The stylesheet's colour; the word stands in the line.
fn level_class(level: &str) -> &'static str {
    match level {
        "error" => "bad",
        "warn" => "warn",
        _ => "plain",
    }
}
