//! The fleet in one look: counts of the gateway, what needs attention, and
//! every module that runs somewhere.

use super::attention::Attention;
use super::history_charts::{HistoryCharts, OF_FLEET};
use super::recent::Recent;
use super::running::RunningTable;
use super::running_deployments::RunningDeployments;
use crate::components::{Empty, Pill, Skeleton};
use crate::format;
use crate::live::Live;
use crate::model::Overview;
use crate::words::Tone;
use leptos::prelude::*;

#[component]
pub fn OverviewPage() -> impl IntoView {
    let live = Live::here();
    live.show_overview(true);
    on_cleanup(move || live.show_overview(false));
    let devices = Memo::new(move |_| {
        live.overview.with(|overview| {
            let counts = overview.as_ref()?;
            Some(
                u64::from(counts.devices_online + counts.devices_offline + counts.devices_new)
                    .min(1),
            )
        })
    });
    view! {
        <h1 data-page="overview">"Overview"</h1>
        {move || live.overview.get().map(|overview| view! { <Counts overview/> })}
        {move || match devices.get() {
            None => view! { <Skeleton/> }.into_any(),
            Some(0) => view! {
                <Empty title="No device has enrolled yet">
                    <p>"Make a claim token and give it to an agent:"</p>
                    <pre><code>"farrier device enrol-token"</code></pre>
                    <p class="muted">"It appears here by itself."</p>
                </Empty>
            }.into_any(),
            Some(_) => view! {
                <Attention/>
                <RunningDeployments/>
                <HistoryCharts device=None wanted=&OF_FLEET/>
                <RunningTable/>
                <Recent/>
            }.into_any(),
        }}
    }
}

#[component]
fn Counts(overview: Overview) -> impl IntoView {
    let count = |value: u32| value.to_string();
    view! {
        <section class="tiles" aria-label="Counts">
            <Tile field="devices_online" label="devices online" value=count(overview.devices_online)
                raw=overview.devices_online.to_string() href="/devices?q=status:online">
                {part(overview.devices_offline, "offline", Tone::Bad, "/devices?q=status:offline")}
                {part(overview.devices_new, "new", Tone::Plain, "/devices?q=status:new")}
            </Tile>
            <Tile field="apps_running" label="modules running" value=count(overview.apps_running)
                raw=overview.apps_running.to_string() href="/devices">
                {part(overview.apps_not_running, "not running", Tone::Warn, "/devices?q=status:refused")}
            </Tile>
            <Tile field="modules" label="modules uploaded" value=count(overview.modules)
                raw=overview.modules.to_string() href="/modules">
                {part(overview.artifacts_ready, "ready", Tone::Good, "/modules")}
                {part(overview.artifacts_in_work, "in work", Tone::Busy, "/modules")}
                {part(overview.artifacts_refused, "refused", Tone::Bad, "/modules")}
            </Tile>
            <Tile field="deployments_in_progress" label="deployments in progress"
                value=count(overview.deployments_in_progress)
                raw=overview.deployments_in_progress.to_string() href="/deployments">
                {part(overview.deployments_failed, "failed", Tone::Bad, "/deployments")}
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

/// The smaller counts lead to their own lists, so the tile is no link around them.
#[component]
fn Tile(
    field: &'static str,
    label: &'static str,
    value: String,
    raw: String,
    href: &'static str,
    children: Children,
) -> AnyView {
    view! {
        <div class="tile card">
            <a href=href>
                <span class="tile-value num" data-field=field data-value=raw>{value}</span>
                <span class="tile-label">{label}</span>
            </a>
            <span class="tile-parts">{children()}</span>
        </div>
    }
    .into_any()
}

/// A smaller count of a tile, left out when it is 0.
fn part(count: u32, word: &'static str, tone: Tone, href: &'static str) -> AnyView {
    (count > 0)
        .then(|| view! { <a href=href><Pill tone text=format!("{count} {word}")/></a> })
        .into_any()
}
