//! One device: who it is, its charts, its modules, its log.

use super::device_apps::DeviceApps;
use super::device_logs::DeviceLogs;
use super::devices::generation;
use crate::chart::series;
use crate::chart::ticks::Unit;
use crate::chart::view::Chart;
use crate::components::{EmulatedMark, Pill, RefusalBox, device_figure, figure_list};
use crate::live::Live;
use crate::words::Tone;
use crate::{format, words};
use gateway_api::Device;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_params_map;

#[component]
pub fn DevicePage() -> impl IntoView {
    let live = Live::here();
    let params = use_params_map();
    // The address holds an id, or a name where a person typed it.
    let wanted = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let device = Memo::new(move |_| {
        let wanted = wanted.get();
        live.devices.with(|all| all.iter().find(|d| d.id == wanted || d.name == wanted).cloned())
    });
    let id = Memo::new(move |_| device.with(|device| device.as_ref().map(|d| d.id.clone())));
    Effect::new(move |_| live.watch(id.get()));
    on_cleanup(move || live.watch(None));
    view! {
        <p class="crumbs"><A href="/devices">"Devices"</A></p>
        {move || if id.get().is_some() {
            view! {
                {move || device.get().map(head)}
                <Charts/>
                <DeviceApps device/>
                <DeviceLogs/>
            }.into_any()
        } else {
            view! {
                <h1>"No such device"</h1>
                <p>"No device has the id or name "<code>{wanted.get()}</code>"."</p>
            }.into_any()
        }}
    }
}

fn head(device: Device) -> impl IntoView {
    let live = Live::here();
    let last_seen_ms = device.last_seen_ms;
    let cpu = device_figure(
        &device,
        "cpu_percent",
        device.cpu_percent,
        device.cpu_percent.map(format::percent).unwrap_or_default(),
    );
    let uptime = format::duration(device.uptime_ms);
    let size = |field, value: u64| device_figure(&device, field, Some(value), format::bytes(value));
    let figures = vec![
        ("CPU of the device", cpu.into_any()),
        ("Memory free", size("memory_available_bytes", device.memory_available_bytes).into_any()),
        ("Memory", size("memory_total_bytes", device.memory_total_bytes).into_any()),
        ("Agent's memory", size("agent_rss_bytes", device.agent_rss_bytes).into_any()),
        ("Store", size("store_bytes", device.store_bytes).into_any()),
        ("Uptime", device_figure(&device, "uptime_ms", Some(device.uptime_ms), uptime).into_any()),
        ("Generation", view! { <span class="num">{generation(&device)}</span> }.into_any()),
    ];
    let facts = [
        ("Id", device.id.clone()),
        ("Target", device.target.clone()),
        ("CPU features", or_none(&device.cpu_features)),
        ("Bounds checks", device.bounds_checks.clone()),
        ("Sensors", or_none(&device.sensors)),
        ("Agent", device.agent.clone()),
        ("Runtime", device.runtime.clone()),
    ];
    view! {
        <div class="device-head" data-page="device" data-device-page=device.id.clone()>
            <h1>{device.name.clone()}</h1>
            <Pill tone=words::connection_tone(device.connection) text=device.connection.as_str()/>
            <EmulatedMark emulated=device.emulated/>
            <span class="muted">
                {device.target_name.clone()}
                {move || last_seen_ms.map(|ms| {
                    format!(" · last report {}", format::ago(ms, live.now_ms.get()))
                })}
            </span>
        </div>
        {device.alarms.iter().map(|alarm| {
            let text = format!("Alarm, {}", alarm.kind);
            view! { <p role="alert"><Pill tone=Tone::Bad text/>" "{alarm.text.clone()}</p> }
        }).collect_view()}
        {device.refusal.clone().map(|refusal| view! { <RefusalBox refusal/> })}
        <div class="card">{figure_list(figures)}</div>
        <details class="card facts">
            <summary>"What the device is"</summary>
            <dl>
                {facts.into_iter().map(|(name, value)| view! {
                    <div><dt>{name}</dt><dd><code>{value}</code></dd></div>
                }).collect_view()}
            </dl>
        </details>
    }
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[component]
fn Charts() -> impl IntoView {
    let live = Live::here();
    let app_cpu = Memo::new(move |_| live.history.with(series::app_cpu));
    let app_memory = Memo::new(move |_| live.history.with(series::app_memory));
    let device_cpu = Memo::new(move |_| live.history.with(series::device_cpu));
    let device_memory = Memo::new(move |_| live.history.with(series::device_memory));
    view! {
        <section class="charts" aria-label="Charts">
            <Chart id="app-cpu" title="CPU by module" axis="percent of one CPU"
                unit=Unit::Percent series=app_cpu/>
            <Chart id="app-memory" title="Memory by module" axis="linear memory"
                unit=Unit::Bytes series=app_memory/>
            <Chart id="device-cpu" title="CPU of the device" axis="percent of all its CPUs"
                unit=Unit::Percent series=device_cpu/>
            <Chart id="device-memory" title="Memory of the device" axis="in use"
                unit=Unit::Bytes series=device_memory/>
        </section>
    }
}
