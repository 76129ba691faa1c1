//! The modules of one device: state, figures, and refusals with advice.

use crate::components::{EmulatedMark, EmulatedNote, Pill, RefusalBox, app_figure, figure_list};
use crate::words::Tone;
use crate::{browser, format, words};
use gateway_api::{AppStatus, Device};
use leptos::prelude::*;
use leptos_router::components::A;

#[component]
pub fn DeviceApps(device: Memo<Option<Device>>) -> impl IntoView {
    let apps = Memo::new(move |_| {
        device.with(|device| device.as_ref().map(|d| d.apps.clone()).unwrap_or_default())
    });
    let emulated =
        Memo::new(move |_| device.with(|device| device.as_ref().is_some_and(|d| d.emulated)));
    view! {
        <section aria-labelledby="apps">
            <h2 id="apps">"Modules"</h2>
            {move || apps.with(Vec::is_empty).then(|| view! {
                <p class="card muted">
                    "No module is deployed to this device. "<A href="/modules">"Deploy one"</A>
                </p>
            })}
            <div class="apps">
                {move || apps.get().into_iter().map(card).collect_view()}
            </div>
            <EmulatedNote shown=emulated/>
        </section>
    }
}

fn card(app: AppStatus) -> impl IntoView {
    let reported = format::time_of_day(app.reported_at_ms, browser::utc_offset_min());
    let report = format!("Report {} at {reported}", app.report_counter);
    view! {
        <article class="card app" data-app-card=app.app.clone()>
            <header>
                <h3>{app.app.clone()}<span class="muted">{format!("@{}", app.version)}</span></h3>
                <Pill tone=words::app_tone(&app.state) text=app.state.clone()/>
                {app.fallback.then(|| view! {
                    <Pill tone=Tone::Warn text="earlier version, the wanted one was refused"/>
                })}
                <EmulatedMark emulated=app.emulated/>
            </header>
            {app.refusal.clone().map(|refusal| view! { <RefusalBox refusal/> })}
            {has_more_to_say(&app).then(|| view! { <p class="muted">{app.detail.clone()}</p> })}
            {figure_list(figures(&app))}
            <p class="muted">
                {report}
                {app.module.as_deref().map(|id| view! {
                    " · module "<code title=id.to_owned()>{format::short_id(id)}</code>
                })}
                {app.artifact.as_deref().map(|id| view! {
                    " · artifact "<code title=id.to_owned()>{format::short_id(id)}</code>
                })}
            </p>
        </article>
    }
}

/// The refusal's box shows the device's own words already.
fn has_more_to_say(app: &AppStatus) -> bool {
    let said = app.refusal.as_ref().map_or("", |refusal| refusal.detail.as_str());
    !app.detail.is_empty() && app.detail != said
}

/// In the order in which a person asks: does it work, what does it cost, what
/// went wrong.
fn figures(app: &AppStatus) -> Vec<(&'static str, AnyView)> {
    let count =
        |field, value: u64| app_figure(app, field, Some(value), format::count(value)).into_any();
    let size =
        |field, value: u64| app_figure(app, field, Some(value), format::bytes(value)).into_any();
    let cpu = app.cpu_percent.map(format::percent).unwrap_or_default();
    let cpu_time = format::microseconds(app.cpu_us);
    let artifact = app.artifact_bytes.map(format::bytes).unwrap_or_default();
    let compile = app.compile_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
    vec![
        ("CPU", app_figure(app, "cpu_percent", app.cpu_percent, cpu).into_any()),
        ("CPU time", app_figure(app, "cpu_us", Some(app.cpu_us), cpu_time).into_any()),
        ("Memory", size("memory_bytes", app.memory_bytes)),
        ("Memory, peak", size("memory_peak_bytes", app.memory_peak_bytes)),
        ("Worker's memory", size("worker_rss_bytes", app.worker_rss_bytes)),
        ("Calls", count("calls", app.calls)),
        ("Published", count("published", app.published)),
        ("Log lines", count("log_lines", app.log_lines)),
        ("Checks passed", count("checks_passed", app.checks_passed)),
        ("Checks failed", count("checks_failed", app.checks_failed)),
        ("Traps", count("traps", app.traps)),
        ("Restarts", count("restarts", app.restarts)),
        ("Publishes dropped", count("publishes_dropped", app.publishes_dropped)),
        ("Log lines dropped", count("log_lines_dropped", app.log_lines_dropped)),
        ("Artifact", app_figure(app, "artifact_bytes", app.artifact_bytes, artifact).into_any()),
        ("Compile time", app_figure(app, "compile_ms", app.compile_ms, compile).into_any()),
    ]
}
