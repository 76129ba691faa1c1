//! Every module on every device, as `farrier ps` lists them.

use crate::components::{EmulatedMark, EmulatedNote, Pill, app_figure};
use crate::live::Live;
use crate::{format, words};
use gateway_api::AppStatus;
use leptos::prelude::*;
use leptos_router::components::A;

#[component]
pub fn RunningTable() -> impl IntoView {
    let live = Live::here();
    let apps = Memo::new(move |_| {
        live.devices.with(|devices| {
            devices.iter().flat_map(|device| device.apps.iter().cloned()).collect::<Vec<_>>()
        })
    });
    let any_emulated = Memo::new(move |_| apps.with(|apps| apps.iter().any(|app| app.emulated)));
    view! {
        <section class="card" aria-labelledby="running">
            <h2 id="running">"Modules on devices"</h2>
            {move || if apps.with(Vec::is_empty) {
                view! {
                    <p class="muted">
                        "No device runs a module yet. "
                        <A href="/modules">"Upload one and deploy it"</A>
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
                            {move || apps.get().into_iter().map(row).collect_view()}
                        </tbody>
                    </table>
                }.into_any()
            }}
            <EmulatedNote shown=any_emulated/>
        </section>
    }
}

fn row(app: AppStatus) -> impl IntoView {
    let cpu = app_figure(
        &app,
        "cpu_percent",
        app.cpu_percent,
        app.cpu_percent.map(format::percent).unwrap_or_default(),
    );
    let memory =
        app_figure(&app, "memory_bytes", Some(app.memory_bytes), format::bytes(app.memory_bytes));
    let calls = app_figure(&app, "calls", Some(app.calls), format::count(app.calls));
    let size = app_figure(
        &app,
        "artifact_bytes",
        app.artifact_bytes,
        app.artifact_bytes.map(format::bytes).unwrap_or_default(),
    );
    let compile = app_figure(
        &app,
        "compile_ms",
        app.compile_ms,
        app.compile_ms.map(|ms| format!("{ms} ms")).unwrap_or_default(),
    );
    let href = format!("/devices/{}", app.device);
    view! {
        <tr data-app-row=format!("{}/{}", app.device, app.app)>
            <th scope="row">
                <A href=href>{app.device_name.clone()}</A>
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
}
