//! One device: who it is, whether it is to be trusted, its charts, its modules, its log.

use super::device_apps::DeviceApps;
use super::device_logs::DeviceLogs;
use super::devices::generation;
use super::history_charts::{HistoryCharts, OF_DEVICE};
use crate::chart::series;
use crate::chart::ticks::Unit;
use crate::chart::view::Chart;
use crate::components::{
    EmulatedMark, Pill, ProblemBox, RefusalBox, Skeleton, device_figure, figure_list,
};
use crate::live::{Live, Watched};
use crate::model::Device;
use crate::words::Tone;
use crate::{browser, format, words};
use leptos::prelude::*;

/// `reference` is an id, or a name where a person typed it.
#[component]
pub fn DevicePage(reference: String) -> impl IntoView {
    let live = Live::here();
    live.watch(Some(reference.clone()));
    on_cleanup(move || live.watch(None));
    // The page stands while its figures change below it.
    let id = Memo::new(move |_| live.watched.with(|w| w.device().map(|device| device.id.clone())));
    view! {
        <p class="crumbs"><a href="/devices">"Devices"</a></p>
        {move || match id.get() {
            Some(_) => view! {
                {move || live.watched.with(|w| w.device().cloned()).map(head)}
                <Charts/>
                <DeviceApps/>
                <HistoryCharts device=id.get_untracked() wanted=&OF_DEVICE/>
                <DeviceLogs/>
            }.into_any(),
            None => other_state(live.watched.get(), &reference),
        }}
    }
}

fn other_state(watched: Watched, reference: &str) -> AnyView {
    let live = Live::here();
    match watched {
        Watched::Failed(error) => {
            let again = reference.to_owned();
            view! {
                <h1>"This device cannot be shown"</h1>
                <ProblemBox error/>
                <button type="button" class="primary" on:click=move |_| {
                    live.watch(None);
                    live.watch(Some(again.clone()));
                }>"Try again"</button>
            }
            .into_any()
        }
        Watched::Missing => view! {
            <div data-page="device">
                <h1>"No such device"</h1>
                <p>"No device has the id or name "<code>{reference.to_owned()}</code>". "</p>
                <p><a href="/devices">"Search for it"</a></p>
            </div>
        }
        .into_any(),
        _ => view! { <Skeleton/> }.into_any(),
    }
}

fn head(device: Device) -> AnyView {
    let live = Live::here();
    let last_seen_ms = device.last_seen_ms;
    let (state, tone) = words::device_state(&device);
    let alarms = device.alarms.iter().map(|alarm| {
        let text = format!("Alarm, {}", alarm.kind);
        view! { <p role="alert"><Pill tone=Tone::Bad text/>" "{alarm.text.clone()}</p> }.into_any()
    });
    let undeployable = device.undeployable.clone().map(|why| {
        view! { <p><Pill tone=Tone::Warn text="nothing can be deployed to it"/>" "{why}</p> }
    });
    let revoked = device.revoked_at_ms.map(|_| {
        view! {
            <p class="box bad">
                "Its rights were taken away: it gets no modules, and nothing of it is believed. \
                 Remove it to let it enrol again."
            </p>
        }
    });
    view! {
        <div class="device-head" data-page="device" data-device-page=device.id.clone()>
            <h1>{device.name.clone()}</h1>
            <Pill tone text=state/>
            <EmulatedMark emulated=device.emulated/>
            <span class="muted">
                {device.target_name.clone()}
                {move || last_seen_ms.map(|ms| {
                    format!(" · last report {}", format::ago(ms, live.now_ms.get()))
                })}
            </span>
        </div>
        {revoked}
        {alarms.collect_view()}
        {undeployable}
        {device.refusal.clone().map(|refusal| view! { <RefusalBox refusal/> })}
        <div class="card">{figure_list(figures(&device))}</div>
        <details class="card facts">
            <summary>"What the device is, and what is trusted of it"</summary>
            <dl>
                {facts(&device).into_iter().map(|(name, value)| view! {
                    <div><dt>{name}</dt><dd><code>{value}</code></dd></div>
                }).collect_view()}
            </dl>
        </details>
    }
    .into_any()
}

fn figures(device: &Device) -> Vec<(&'static str, AnyView)> {
    let figure = |field, raw: Option<String>, text: Option<String>| {
        device_figure(device, field, raw, text.unwrap_or_default())
    };
    let size =
        |field, value: u64| figure(field, Some(value.to_string()), Some(format::bytes(value)));
    let percent = device.cpu_percent;
    let mut figures = vec![
        (
            "CPU of the device",
            figure("cpu_percent", percent.map(|p| p.to_string()), percent.map(format::percent)),
        ),
        ("Memory free", size("memory_available_bytes", device.memory_available_bytes)),
        ("Memory", size("memory_total_bytes", device.memory_total_bytes)),
        ("Agent's memory", size("agent_rss_bytes", device.agent_rss_bytes)),
        ("Store", size("store_bytes", device.store_bytes)),
        (
            "Agent's uptime",
            figure(
                "uptime_ms",
                Some(device.uptime_ms.to_string()),
                Some(format::duration(device.uptime_ms)),
            ),
        ),
        (
            "Generation",
            figure("generation", Some(device.generation.to_string()), Some(generation(device))),
        ),
    ];
    let Some(system) = &device.system else { return figures };
    let mut add = |name, text: Option<String>| {
        if let Some(text) = text {
            figures.push((name, view! { <span class="num">{text}</span> }.into_any()));
        }
    };
    let load: Vec<String> = system.load.iter().map(|load| format!("{load:.2}")).collect();
    add("Load, 1, 5, 15 min", (!load.is_empty()).then(|| load.join(" ")));
    add("Temperature", system.temperature_c.map(|c| format!("{c:.1} °C")));
    add("Storage free", system.storage_free_bytes.map(format::bytes));
    add("Storage", system.storage_total_bytes.map(format::bytes));
    add("System's uptime", system.uptime_s.map(|s| format::duration(s * 1_000)));
    add("Processors", system.cpus.map(|cpus| cpus.to_string()));
    figures
}

/// Names and values, in the order of: who, what, what it may do, what is believed of it.
fn facts(device: &Device) -> Vec<(&'static str, String)> {
    let time = |ms| format::date_time(ms, browser::utc_offset_min());
    let mut facts = vec![
        ("Id", device.id.clone()),
        ("Target", device.target.clone()),
        ("CPU features", or_none(&device.cpu_features)),
        ("Bounds checks", device.bounds_checks.clone()),
        ("Agent", device.agent.clone()),
        ("Runtime", device.runtime.clone()),
    ];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    if let Some(builds) = &device.builds {
        let hash = |of: &Option<String>| {
            of.as_deref().map_or(String::new(), |h| format!(", SHA-256 {h}…"))
        };
        add("Agent's build", Some(format!("{}{}", builds.agent, hash(&builds.agent_sha256_start))));
        add(
            "Runtime's build",
            Some(format!("{}{}", builds.runtime, hash(&builds.runtime_sha256_start))),
        );
        add("WAMR", Some(format!("{}, AoT format {}", builds.wamr_version, builds.aot_version)));
    }
    add("Sensors", Some(or_none(&device.sensors)));
    if let Some(own) = &device.capabilities {
        let pairs = |all: &[(String, String)]| {
            all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        add("Labels", Some(or_none(&pairs(&own.labels))));
        add("Actuators", Some(or_none(&own.actuators)));
        add("Accelerators", Some(or_none(&own.accelerators)));
        add(
            "Declared and not there",
            (!own.unavailable.is_empty()).then(|| pairs(&own.unavailable).join(", ")),
        );
    }
    let allowance = device.scheduling.as_ref().map(|allowed| {
        let cpus = allowed.cpus.iter().map(u32::to_string).collect::<Vec<_>>();
        format!(
            "{}, {} % of a processor, priority up to {}, processors {}",
            or_none(&allowed.policies),
            allowed.utilization_percent_max,
            allowed.priority_max,
            or_none(&cpus)
        )
    });
    add("Real time allowed", Some(allowance.unwrap_or_else(|| "none".to_owned())));
    add("Enrolled", Some(time(device.enrolled_at_ms)));
    add("Revoked", device.revoked_at_ms.map(time));
    add("Key's fingerprint", device.fingerprint.clone().filter(|text| !text.is_empty()));
    add("Root document trusted", device.root_version.map(|version| format!("version {version}")));
    add("Knows the time", device.clock.clone());
    add("Reports refused", device.reports_refused.map(|count| count.to_string()));
    add("Messages refused", device.refused_messages.map(|count| count.to_string()));
    facts
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
    let memory_max = Signal::derive(move || {
        live.watched.with(|watched| watched.device().map(|d| d.memory_total_bytes as f64))
    });
    view! {
        <h2 class="hidden">"Charts"</h2>
        <section class="charts" aria-label="Charts">
            <Chart id="app-cpu" title="CPU by module" axis="percent of one CPU"
                unit=Unit::Percent series=app_cpu/>
            <Chart id="app-memory" title="Memory by module" axis="linear memory"
                unit=Unit::Bytes series=app_memory/>
            <Chart id="device-cpu" title="CPU of the device" axis="percent of all its CPUs"
                unit=Unit::Percent series=device_cpu/>
            <Chart id="device-memory" title="Memory of the device" axis="in use"
                unit=Unit::Bytes series=device_memory limit=memory_max/>
        </section>
    }
}
