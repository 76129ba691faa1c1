//! The modules of one device: state, figures, and refusals with advice.

use super::app_details::details;
use crate::components::{EmulatedMark, EmulatedNote, Pill, RefusalBox, app_figure, figure_list};
use crate::live::Live;
use crate::model::{AppStatus, Device};
use crate::words::Tone;
use crate::{browser, format, words};
use leptos::prelude::*;

#[component]
pub fn DeviceApps() -> impl IntoView {
    let live = Live::here();
    let device = live.watched;
    let emulated =
        Memo::new(move |_| device.with(|device| device.device().is_some_and(|d| d.emulated)));
    // By name, so that what somebody has opened in a card stays open.
    let names = Memo::new(move |_| {
        let apps = |d: &Device| d.apps.iter().map(|app| app.app.clone()).collect::<Vec<_>>();
        device.with(|device| device.device().map(apps).unwrap_or_default())
    });
    let card = move |name: String| {
        let opened = RwSignal::new(false);
        let card_name = name.clone();
        view! {
            <article class="card app" data-app-card=card_name>
                {move || device.with(|device| {
                    let mut apps = device.device()?.apps.iter();
                    apps.find(|app| app.app == name).map(|app| body(app, opened))
                })}
            </article>
        }
        .into_any()
    };
    view! {
        <section aria-labelledby="apps">
            <h2 id="apps">"Modules"</h2>
            {move || names.with(Vec::is_empty).then(|| view! {
                <p class="card muted">
                    "No module is deployed to this device. "<a href="/modules">"Deploy one"</a>
                </p>
            })}
            <div class="apps">{move || names.get().into_iter().map(card).collect_view()}</div>
            <EmulatedNote shown=emulated/>
        </section>
    }
}

fn body(app: &AppStatus, opened: RwSignal<bool>) -> AnyView {
    let reported = format::time_of_day(app.reported_at_ms, browser::utc_offset_min());
    let report = format!("Report {} at {reported}", app.report_counter);
    let id = |what: &'static str, id: &Option<String>| {
        id.as_ref().map(|id| {
            view! { " · "{what}" "<code title=id.clone()>{format::short_id(id)}</code> }.into_any()
        })
    };
    view! {
        <header>
            <h3>{app.app.clone()}<span class="muted">{format!("@{}", app.version)}</span></h3>
            <Pill tone=words::app_tone(&app.state) text=app.state.clone()/>
            {app.throttled.then(|| view! {
                <Pill tone=Tone::Warn text="called less often, it uses too much gas"/>
            })}
            {app.fallback.then(|| view! {
                <Pill tone=Tone::Warn text="earlier version, the wanted one was refused"/>
            })}
            <EmulatedMark emulated=app.emulated/>
        </header>
        {app.refusal.clone().map(|refusal| view! { <RefusalBox refusal/> })}
        {has_more_to_say(app).then(|| view! { <p class="muted">{app.detail.clone()}</p> })}
        {figure_list(figures(app))}
        {details(app, opened)}
        <p class="muted">{report}{id("module", &app.module)}{id("artifact", &app.artifact)}</p>
    }
    .into_any()
}

/// The refusal's box shows the device's own words already.
fn has_more_to_say(app: &AppStatus) -> bool {
    let said = app.refusal.as_ref().map_or("", |refusal| refusal.detail.as_str());
    !app.detail.is_empty() && app.detail != said
}

/// In the order in which a person asks: does it work, what does it cost, what
/// went wrong.
fn figures(app: &AppStatus) -> Vec<(&'static str, AnyView)> {
    let figure = |field, raw: Option<String>, text: Option<String>| {
        app_figure(app, field, raw, text.unwrap_or_default())
    };
    let count =
        |field, value: u64| figure(field, Some(value.to_string()), Some(format::count(value)));
    let size =
        |field, value: u64| figure(field, Some(value.to_string()), Some(format::bytes(value)));
    let some_size = |field, value: Option<u64>| {
        figure(field, value.map(|v| v.to_string()), value.map(format::bytes))
    };
    let cpu = app.cpu_percent;
    vec![
        ("CPU", figure("cpu_percent", cpu.map(|p| p.to_string()), cpu.map(format::percent))),
        (
            "CPU time",
            figure("cpu_us", Some(app.cpu_us.to_string()), Some(format::microseconds(app.cpu_us))),
        ),
        ("Memory", size("memory_bytes", app.memory_bytes)),
        ("Memory, peak", size("memory_peak_bytes", app.memory_peak_bytes)),
        ("Worker's memory", size("worker_rss_bytes", app.worker_rss_bytes)),
        ("Calls", count("calls", app.calls)),
        (
            "Gas",
            figure(
                "gas_used",
                app.gas_used.map(|g| g.to_string()),
                app.gas_used.map(format::count),
            ),
        ),
        ("Published", count("published", app.published)),
        ("Log lines", count("log_lines", app.log_lines)),
        ("Checks passed", count("checks_passed", app.checks_passed)),
        ("Checks failed", count("checks_failed", app.checks_failed)),
        ("Traps", count("traps", app.traps)),
        ("Restarts", count("restarts", app.restarts)),
        ("Publishes dropped", count("publishes_dropped", app.publishes_dropped)),
        ("Log lines dropped", count("log_lines_dropped", app.log_lines_dropped)),
        ("Artifact", some_size("artifact_bytes", app.artifact_bytes)),
        (
            "Compile time",
            figure(
                "compile_ms",
                app.compile_ms.map(|m| m.to_string()),
                app.compile_ms.map(|m| format!("{m} ms")),
            ),
        ),
    ]
}
