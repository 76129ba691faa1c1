//! Numbers of a report, each with where it came from.
//!
//! A figure shows text for people and carries the raw value, the field of the
//! API that it is, and for applications the report: so a program can compare a
//! page with `farrier ps -o json` of the same report.

use crate::model::{AppStatus, Device};
use leptos::prelude::*;

/// `raw` is the field's value as it came; None stands for a figure that the
/// device did not report.
pub fn app_figure(
    app: &AppStatus,
    field: &'static str,
    raw: Option<String>,
    text: String,
) -> AnyView {
    let text = if raw.is_some() { text } else { "–".to_owned() };
    view! {
        <span
            class="num"
            data-device=app.device.clone()
            data-app=app.app.clone()
            data-field=field
            data-value=raw
            data-report-counter=app.report_counter.to_string()
            data-report-boot=app.report_boot_id.clone()
        >
            {text}
        </span>
    }
    .into_any()
}

pub fn device_figure(
    device: &Device,
    field: &'static str,
    raw: Option<String>,
    text: String,
) -> AnyView {
    let text = if raw.is_some() { text } else { "–".to_owned() };
    view! {
        <span class="num" data-device=device.id.clone() data-field=field data-value=raw>{text}</span>
    }
    .into_any()
}

/// Beside the figures of a device whose worker runs in an emulator.
#[component]
pub fn EmulatedMark(emulated: bool) -> AnyView {
    emulated
        .then(|| {
            view! {
                <span class="mark" title="CPU and memory include the emulator that runs the worker">
                    "emulated"
                </span>
            }
        })
        .into_any()
}

/// What the mark means, once for a table.
#[component]
pub fn EmulatedNote(#[prop(into)] shown: Signal<bool>) -> AnyView {
    view! {
        {move || shown.get().then(|| view! {
            <p class="note muted">
                <span class="mark">"emulated"</span>
                " Figures include the emulator that runs the worker; a device of its own needs less."
            </p>
        })}
    }
    .into_any()
}

/// Names and figures side by side.
pub fn figure_list(entries: Vec<(&'static str, AnyView)>) -> AnyView {
    let entry = |(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
    view! { <dl class="figures">{entries.into_iter().map(entry).collect_view()}</dl> }.into_any()
}
