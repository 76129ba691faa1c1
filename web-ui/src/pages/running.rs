//! The modules on devices, as `farrier ps` lists them.

use crate::api;
use crate::components::{EmulatedMark, EmulatedNote, Pill, app_figure};
use crate::live::Live;
use crate::model::{AppStatus, Page};
use crate::{format, words};
use leptos::prelude::*;
use leptos::task::spawn_local;

/// As many as fit a look; the devices' pages have the rest.
const ROWS: usize = 40;

#[component]
pub fn RunningTable() -> impl IntoView {
    let live = Live::here();
    let answer = RwSignal::new(None::<Page<AppStatus>>);
    Effect::new(move |_| {
        live.beat.track();
        spawn_local(async move {
            // A failure leaves the old rows; the banner says that they are.
            if let Ok(page) = api::running(ROWS).await {
                answer.try_set(Some(page));
            }
        });
    });
    let apps =
        move || answer.with(|page| page.as_ref().map(|p| p.items.clone()).unwrap_or_default());
    let more = move || {
        let beyond = |page: &Page<AppStatus>| page.total.saturating_sub(page.items.len() as u64);
        answer.with(|page| page.as_ref().map_or(0, beyond))
    };
    let any_emulated = Memo::new(move |_| {
        answer.with(|page| page.iter().flat_map(|page| &page.items).any(|app| app.emulated))
    });
    // Whether there are rows, and not which: the table stands while they change.
    let rows = Memo::new(move |_| {
        answer.with(|page| page.as_ref().map(|page| page.items.len().min(1) as u64))
    });
    view! {
        <section class="card" aria-labelledby="running">
            <h2 id="running">"Modules on devices"</h2>
            {move || if rows.get().is_none() {
                view! { <p class="muted" role="status">"Loading…"</p> }.into_any()
            } else if rows.get() == Some(0) {
                view! {
                    <p class="muted">
                        "No device runs a module yet. "
                        <a href="/modules">"Upload one and deploy it"</a>
                    </p>
                }.into_any()
            } else {
                view! {
                    <table class="stack" data-table="running">
                        <thead>
                            <tr>
                                <th scope="col">"Device"</th>
                                <th scope="col">"Architecture"</th>
                                <th scope="col">"Module"</th>
                                <th scope="col">"State"</th>
                                <th scope="col" class="num">"CPU"</th>
                                <th scope="col" class="num">"Memory"</th>
                                <th scope="col" class="num">"Calls"</th>
                                <th scope="col" class="num">"Artifact"</th>
                                <th scope="col" class="num">"Compile"</th>
                            </tr>
                        </thead>
                        <tbody>
                            {move || apps().into_iter().map(row).collect_view()}
                        </tbody>
                    </table>
                }.into_any()
            }}
            {move || (more() > 0).then(|| view! {
                <p class="muted">{format!("and {} more on the ", format::count(more()))}
                    <a href="/devices">"devices' pages"</a></p>
            })}
            <EmulatedNote shown=any_emulated/>
        </section>
    }
}

fn row(app: AppStatus) -> AnyView {
    let figure = |field, raw: Option<String>, text: Option<String>| {
        app_figure(&app, field, raw, text.unwrap_or_default())
    };
    let cpu = app.cpu_percent;
    let cpu = figure("cpu_percent", cpu.map(|p| p.to_string()), cpu.map(format::percent));
    let memory = app.memory_bytes;
    let memory = figure("memory_bytes", Some(memory.to_string()), Some(format::bytes(memory)));
    let calls = figure("calls", Some(app.calls.to_string()), Some(format::count(app.calls)));
    let size = app.artifact_bytes;
    let size = figure("artifact_bytes", size.map(|s| s.to_string()), size.map(format::bytes));
    let compile = app.compile_ms;
    let compile =
        figure("compile_ms", compile.map(|m| m.to_string()), compile.map(|ms| format!("{ms} ms")));
    let href = format!("/devices/{}", app.device);
    view! {
        <tr data-app-row=format!("{}/{}", app.device, app.app)>
            <th scope="row">
                <a href=href>{app.device_name.clone()}</a>
            </th>
            <td data-label="Architecture">
                <span>{app.target.clone()}" "<EmulatedMark emulated=app.emulated/></span>
            </td>
            <td data-label="Module">
                <span>{app.app.clone()}<span class="muted">{format!("@{}", app.version)}</span></span>
            </td>
            <td data-label="State"><Pill tone=words::app_tone(&app.state) text=app.state.clone()/></td>
            <td data-label="CPU" class="num">{cpu}</td>
            <td data-label="Memory" class="num">{memory}</td>
            <td data-label="Calls" class="num">{calls}</td>
            <td data-label="Artifact" class="num">{size}</td>
            <td data-label="Compile" class="num">{compile}</td>
        </tr>
    }
    .into_any()
}
