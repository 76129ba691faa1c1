//! The fleet in one look: counts of the gateway, what needs attention, and
//! every module that runs somewhere.

use super::running::RunningTable;
use crate::components::{Empty, Pill};
use crate::live::Live;
use crate::words::Tone;
use crate::{format, words};
use gateway_api::{Connection, DeploymentState, Overview};
use leptos::prelude::*;
use leptos_router::components::A;

#[component]
pub fn OverviewPage() -> impl IntoView {
    let live = Live::here();
    live.show_overview(true);
    on_cleanup(move || live.show_overview(false));
    let has_devices = Memo::new(move |_| live.devices.with(|devices| !devices.is_empty()));
    view! {
        <h1 data-page="overview">"Overview"</h1>
        {move || live.overview.get().map(|overview| view! { <Counts overview/> })}
        <Attention/>
        {move || if has_devices.get() {
            view! { <RunningTable/> }.into_any()
        } else {
            view! {
                <Empty title="No device has enrolled yet">
                    <p>"Make a claim token and give it to an agent:"</p>
                    <pre><code>"farrier device enrol-token"</code></pre>
                    <p class="muted">"It appears here by itself."</p>
                </Empty>
            }.into_any()
        }}
    }
}

#[component]
fn Counts(overview: Overview) -> impl IntoView {
    let count = |value: u32| value.to_string();
    view! {
        <section class="tiles" aria-label="Counts">
            <Tile field="devices_online" label="devices online" value=count(overview.devices_online)
                raw=overview.devices_online.to_string() href="/devices">
                {part(overview.devices_offline, "offline", Tone::Bad)}
                {part(overview.devices_new, "new", Tone::Plain)}
            </Tile>
            <Tile field="apps_running" label="modules running" value=count(overview.apps_running)
                raw=overview.apps_running.to_string() href="/devices">
                {part(overview.apps_not_running, "not running", Tone::Warn)}
            </Tile>
            <Tile field="modules" label="modules uploaded" value=count(overview.modules)
                raw=overview.modules.to_string() href="/modules">
                {part(overview.artifacts_ready, "ready", Tone::Good)}
                {part(overview.artifacts_in_work, "in work", Tone::Busy)}
                {part(overview.artifacts_refused, "refused", Tone::Bad)}
            </Tile>
            <Tile field="deployments_in_progress" label="deployments in progress"
                value=count(overview.deployments_in_progress)
                raw=overview.deployments_in_progress.to_string() href="/deployments">
                {part(overview.deployments_failed, "failed", Tone::Bad)}
            </Tile>
            <Tile field="app_cpu_percent" label="CPU of all modules"
                value=format::percent(overview.app_cpu_percent)
                raw=overview.app_cpu_percent.to_string() href="/devices">
                <span class="muted">"of one CPU"</span>
            </Tile>
            <Tile field="app_memory_bytes" label="memory of all modules"
                value=format::bytes(overview.app_memory_bytes)
                raw=overview.app_memory_bytes.to_string() href="/devices">
                <span class="muted">"linear memory"</span>
            </Tile>
        </section>
    }
}

#[component]
fn Tile(
    field: &'static str,
    label: &'static str,
    value: String,
    raw: String,
    href: &'static str,
    children: Children,
) -> impl IntoView {
    view! {
        <A href=href attr:class="tile card">
            <span class="tile-value num" data-field=field data-value=raw>{value}</span>
            <span class="tile-label">{label}</span>
            <span class="tile-parts">{children()}</span>
        </A>
    }
}

/// A smaller count of a tile, left out when it is 0.
fn part(count: u32, word: &'static str, tone: Tone) -> impl IntoView {
    (count > 0).then(|| view! { <Pill tone text=format!("{count} {word}")/> })
}

/// What a person should look at first; nothing when all is well.
#[component]
fn Attention() -> impl IntoView {
    let live = Live::here();
    let rows = move || {
        let mut rows: Vec<(String, Tone, String, String)> = Vec::new();
        live.devices.with(|devices| {
            for device in devices {
                let href = format!("/devices/{}", device.id);
                if device.connection == Connection::Offline {
                    rows.push((device.name.clone(), Tone::Bad, "offline".into(), href.clone()));
                }
                let refusals = device.apps.iter().filter_map(|app| app.refusal.as_ref());
                for refusal in device.refusal.iter().chain(refusals) {
                    let text = format!("refusal {}: {}", refusal.code, refusal.title);
                    rows.push((device.name.clone(), Tone::Bad, text, href.clone()));
                }
                for app in device.apps.iter().filter(|app| app.fallback) {
                    let text = format!("{} runs an earlier version", app.app);
                    rows.push((device.name.clone(), Tone::Warn, text, href.clone()));
                }
            }
        });
        live.deployments.with(|deployments| {
            for one in deployments.iter().filter(|one| one.state == DeploymentState::Failed) {
                let name = format!("{}@{}", one.app, one.module_version);
                let (word, tone) = words::deployment_word(one.state);
                rows.push((name, tone, format!("deployment {word}"), "/deployments".into()));
            }
        });
        rows
    };
    view! {
        {move || {
            let rows = rows();
            (!rows.is_empty()).then(|| view! {
                <section class="card attention" aria-labelledby="attention">
                    <h2 id="attention">"Needs attention"</h2>
                    <ul>
                        {rows.into_iter().map(|(name, tone, text, href)| view! {
                            <li><A href=href>{name}</A><span><Pill tone text/></span></li>
                        }).collect_view()}
                    </ul>
                </section>
            })
        }}
    }
}
