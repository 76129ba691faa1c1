//! All devices, one a row.

use crate::components::{Empty, EmulatedMark, EmulatedNote, Pill, device_figure};
use crate::live::Live;
use crate::words::Tone;
use crate::{format, words};
use gateway_api::Device;
use leptos::prelude::*;
use leptos_router::components::A;

#[component]
pub fn Devices() -> impl IntoView {
    let live = Live::here();
    let none = Memo::new(move |_| live.devices.with(Vec::is_empty));
    let any_emulated = Memo::new(move |_| live.devices.with(|all| all.iter().any(|d| d.emulated)));
    view! {
        <h1 data-page="devices">"Devices"</h1>
        {move || if none.get() {
            view! {
                <Empty title="No device has enrolled yet">
                    <p>"Make a claim token and give it to an agent:"</p>
                    <pre><code>"farrier device enrol-token"</code></pre>
                </Empty>
            }.into_any()
        } else {
            view! {
                <section class="card">
                    <table class="stack" data-table="devices">
                        <thead>
                            <tr>
                                <th scope="col">"Device"</th>
                                <th scope="col">"Connection"</th>
                                <th scope="col">"Architecture"</th>
                                <th scope="col" class="num">"Modules"</th>
                                <th scope="col" class="num">"CPU"</th>
                                <th scope="col" class="num">"Memory free"</th>
                                <th scope="col" class="num">"Agent"</th>
                                <th scope="col" class="num">"Generation"</th>
                            </tr>
                        </thead>
                        <tbody>
                            {move || {
                                let now_ms = live.now_ms.get();
                                live.devices.get().into_iter().map(|d| row(d, now_ms)).collect_view()
                            }}
                        </tbody>
                    </table>
                    <EmulatedNote shown=any_emulated/>
                </section>
            }.into_any()
        }}
    }
}

fn row(device: Device, now_ms: u64) -> impl IntoView {
    let running = device.apps.iter().filter(|app| words::app_tone(&app.state) == Tone::Good);
    let modules = format!("{} of {}", running.count(), device.apps.len());
    let cpu = device_figure(
        &device,
        "cpu_percent",
        device.cpu_percent,
        device.cpu_percent.map(format::percent).unwrap_or_default(),
    );
    let free = device_figure(
        &device,
        "memory_available_bytes",
        Some(device.memory_available_bytes),
        format!(
            "{} of {}",
            format::bytes(device.memory_available_bytes),
            format::bytes(device.memory_total_bytes)
        ),
    );
    let agent = device_figure(
        &device,
        "agent_rss_bytes",
        Some(device.agent_rss_bytes),
        format::bytes(device.agent_rss_bytes),
    );
    let name = device.name.clone();
    let href = format!("/devices/{}", device.id);
    let refusal = device.refusal.as_ref().map(|refusal| {
        let text = format!("refusal {}: {}", refusal.code, refusal.title);
        view! { <Pill tone=Tone::Bad text/> }
    });
    let alarms = device.alarms.iter().map(|alarm| {
        let text = format!("alarm: {}", alarm.kind);
        view! { <Pill tone=Tone::Bad text/> }
    });
    let alarms = alarms.collect_view();
    view! {
        <tr data-device-row=device.id.clone()>
            <th scope="row">
                <A href=href>{name}</A>
                " "{alarms}{refusal}
            </th>
            <td data-label="Connection">
                <Pill
                    tone=words::connection_tone(device.connection)
                    text=device.connection.as_str()
                />
                <span class="muted sub">{seen(&device, now_ms)}</span>
            </td>
            <td data-label="Architecture">
                <span>{device.target_name.clone()}" "<EmulatedMark emulated=device.emulated/></span>
                <span class="muted sub">{device.target.clone()}</span>
            </td>
            <td data-label="Modules" class="num">{modules}</td>
            <td data-label="CPU" class="num">{cpu}</td>
            <td data-label="Memory free" class="num">{free}</td>
            <td data-label="Agent" class="num">{agent}</td>
            <td data-label="Generation" class="num">{generation(&device)}</td>
        </tr>
    }
}

fn seen(device: &Device, now_ms: u64) -> String {
    device.last_seen_ms.map_or_else(|| "never seen".to_owned(), |ms| format::ago(ms, now_ms))
}

/// `7`, or `7 → 8` while the device has not taken the wanted one.
pub fn generation(device: &Device) -> String {
    if device.generation == device.generation_wanted {
        device.generation.to_string()
    } else {
        format!("{} → {}", device.generation, device.generation_wanted)
    }
}
