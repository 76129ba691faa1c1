//! One deployment: a bar with a part for each state, the same in words, and
//! every device with what it says.

use crate::api::{self, ApiError};
use crate::components::{Pill, ProblemBox, RefusalBox};
use crate::live::Live;
use crate::model::{Deployment, DeviceProgress, DeviceSelector, earlier_deployment};
use crate::words::Tone;
use crate::{format, words};
use leptos::prelude::*;
use leptos::task::spawn_local;

#[component]
pub fn DeploymentCard(id: String) -> impl IntoView {
    let live = Live::here();
    let own_id = id.clone();
    let deployment = Memo::new(move |_| {
        live.deployments.with(|all| all.iter().find(|one| one.id == id).cloned())
    });
    view! {
        <article class="card deployment" data-deployment=own_id.clone()>
            {move || deployment.get().map(|one| view! {
                {head(&one, live.now_ms)}
                {body(&one)}
            })}
            <Actions id=own_id.clone() deployment/>
        </article>
    }
}

fn head(one: &Deployment, now_ms: RwSignal<u64>) -> impl IntoView + use<> {
    let (word, tone) = words::deployment_word(&one.state);
    let created_at_ms = one.created_at_ms;
    let whom = match &one.devices {
        DeviceSelector::All => "all devices, also later ones".to_owned(),
        DeviceSelector::These(devices) => format::plural(devices.len(), "chosen device"),
    };
    let mut terms = vec![
        whom,
        format!("each {} ms", one.interval_ms),
        format!("call at most {} ms", one.call_ms_max),
        format!("memory at most {}", format::bytes(one.memory_bytes_max)),
    ];
    if !one.sensors.is_empty() {
        terms.push(format!("sensors {}", one.sensors.join(", ")));
    }
    if !one.channels.is_empty() {
        terms.push(format!("channels {}", one.channels.join(", ")));
    }
    view! {
        <header>
            <h2>{one.app.clone()}<span class="muted">{format!("@{}", one.module_version)}</span></h2>
            <span data-deployment-state=word.to_owned()><Pill tone text=word/></span>
            <span class="muted">{move || format::ago(created_at_ms, now_ms.get())}</span>
        </header>
        <p class="muted">{terms.join(" · ")}</p>
    }
}

fn body(one: &Deployment) -> AnyView {
    if one.state == "replaced" {
        return view! {
            <p>"A later deployment of this application has taken all its devices."</p>
        }
        .into_any();
    }
    view! { {bar(&one.progress)} {table(one)} }.into_any()
}

/// All states in the order of a deployment's life.
const STATES: [&str; 9] = [
    "running",
    "starting",
    "fetching",
    "published",
    "awaiting-release-signature",
    "compiling",
    "stopped",
    "refused",
    "replaced",
];

/// Devices that have a row; those with trouble come first.
const ROWS: usize = 50;

pub fn bar(progress: &[DeviceProgress]) -> AnyView {
    let counts: Vec<(&str, usize)> = STATES
        .into_iter()
        .map(|state| (state, progress.iter().filter(|device| device.state == state).count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    let words: Vec<String> =
        counts.iter().map(|(state, count)| format!("{count} {}", words::spaced(state))).collect();
    let parts = counts.into_iter().map(|(state, count)| {
        view! {
            <span class=format!("part {}", words::progress_tone(state).class())
                style:flex-grow=count.to_string()></span>
        }
    });
    view! {
        <div class="bar" aria-hidden="true">{parts.collect_view()}</div>
        <p class="bar-words">
            {if words.is_empty() { "No device is concerned yet.".to_owned() } else { words.join(", ") }}
        </p>
    }
    .into_any()
}

fn table(one: &Deployment) -> impl IntoView + use<> {
    let of = |tones: &'static [Tone]| {
        one.progress.iter().filter(|device| tones.contains(&words::progress_tone(&device.state)))
    };
    let devices = of(&[Tone::Bad]).chain(of(&[Tone::Busy])).chain(of(&[Tone::Good, Tone::Plain]));
    let more = one.progress.len().saturating_sub(ROWS);
    let rows = devices.take(ROWS).cloned().map(row).collect_view();
    (!one.progress.is_empty()).then(|| {
        view! {
            <table class="stack progress-table">
                <thead>
                    <tr>
                        <th scope="col">"Device"</th>
                        <th scope="col">"Architecture"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Fetched"</th>
                        <th scope="col" class="num">"Generation"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            {(more > 0).then(|| view! {
                <p class="muted">{format!("and {more} more that are as far or further")}</p>
            })}
        }
    })
}

fn row(device: DeviceProgress) -> AnyView {
    let name = device.device_name.clone();
    let href = format!("/devices/{}", device.device);
    let generation = device.generation.map_or_else(|| "–".to_owned(), |seq| seq.to_string());
    let explained = device.refusal.is_some() || !device.detail.is_empty();
    let class = match words::progress_tone(&device.state) {
        Tone::Bad => "box bad",
        _ => "muted",
    };
    let reasons = explained.then(|| {
        view! {
            <tr class="facts-row reason">
                <td colspan="5">
                    {device.refusal.clone().map(|refusal| view! { <RefusalBox refusal/> })}
                    {(!device.detail.is_empty() && device.refusal.is_none()).then(|| view! {
                        <p class=class>{device.detail.clone()}</p>
                    })}
                </td>
            </tr>
        }
    });
    view! {
        <tr class:explained=explained
            data-progress-device=device.device.clone() data-progress-state=device.state.clone()>
            <th scope="row">
                <a href=href>{name}</a>
            </th>
            <td data-label="Architecture">{device.target.clone()}</td>
            <td data-label="State">
                <Pill tone=words::progress_tone(&device.state) text=words::spaced(&device.state)/>
            </td>
            <td data-label="Fetched">{fetched(&device)}</td>
            <td data-label="Generation" class="num">{generation}</td>
        </tr>
        {reasons}
    }
    .into_any()
}

fn fetched(device: &DeviceProgress) -> AnyView {
    let total = device.fetch_total_bytes;
    if total == 0 {
        return view! { <span class="muted">"–"</span> }.into_any();
    }
    let text = format!("{} of {}", format::bytes(device.fetched_bytes), format::bytes(total));
    view! {
        <span class="fetched"><progress max=total.to_string() value=device.fetched_bytes.to_string()
            aria-label="fetched"></progress>
        <span class="sub num">{text}</span></span>
    }
    .into_any()
}

/// Where one click leads back to: what the button says, and the deployment to repeat.
/// From the one in force to what ran before, and to any that was replaced.
fn way_back(newest_first: &[Deployment], one: &Deployment) -> Option<(String, String)> {
    if one.application.is_some() {
        return None;
    }
    if one.state == "replaced" {
        return Some(("Run this again".to_owned(), one.id.clone()));
    }
    let (now, earlier) = earlier_deployment(newest_first, &one.app)?;
    let text = format!("Go back to {}@{}", earlier.app, earlier.module_version);
    (now.id == one.id).then(|| (text, earlier.id.clone()))
}

/// Goes back at once, because that can be taken back too. Takes the application off its
/// devices and asks once more before that.
#[component]
fn Actions(id: String, deployment: Memo<Option<Deployment>>) -> impl IntoView {
    let asking = RwSignal::new(false);
    let error = RwSignal::new(None::<ApiError>);
    let ends = Memo::new(move |_| {
        deployment.with(|one| one.as_ref().is_some_and(|one| one.state != "replaced"))
    });
    let live = Live::here();
    let back =
        move || deployment.with(|one| live.deployments.with(|all| way_back(all, one.as_ref()?)));
    let is_busy = RwSignal::new(false);
    let go_back = move |_| {
        let Some((_, target)) = untrack(back) else { return };
        is_busy.set(true);
        spawn_local(async move {
            // The stream's events show the new one.
            error.set(api::repeat_deployment(&target).await.err());
            is_busy.set(false);
        });
    };
    let id = StoredValue::new(id);
    let remove = move |_| {
        spawn_local(async move {
            // The stream's event takes the card away.
            error.set(api::remove_deployment(&id.get_value()).await.err());
            asking.set(false);
        });
    };
    view! {
        {move || (ends.get() || back().is_some()).then(|| view! {
            <div class="form-end">
                {move || back().map(|(text, _)| view! {
                    <button type="button" class="quiet" data-go-back="" disabled=move || is_busy.get()
                        on:click=go_back>{text}</button>
                })}
                {move || if !ends.get() {
                    ().into_any()
                } else if asking.get() {
                    view! {
                        <span>"The module stops on all these devices."</span>
                        <button type="button" on:click=move |_| asking.set(false)>"Keep"</button>
                        <button type="button" class="danger" on:click=remove>"Remove"</button>
                    }.into_any()
                } else {
                    view! {
                        <button type="button" class="quiet" on:click=move |_| asking.set(true)>
                            "Remove…"
                        </button>
                    }.into_any()
                }}
            </div>
        })}
        {move || error.get().map(|error| view! { <ProblemBox error/> })}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(id: &str, module_version: u32, state: &str) -> Deployment {
        crate::json::read_value(&serde_json::json!({
            "id": id, "app": "filter", "module": "9f86", "module_version": module_version,
            "devices": "all", "interval_ms": 1000, "call_ms_max": 1000,
            "memory_bytes_max": 65536, "sensors": [], "channels": [], "created_at_ms": 1,
            "state": state, "progress": [],
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_leads_to_what_ran_before_and_a_replaced_one_to_itself() {
        let mut all = vec![
            deployment("d-3", 2, "in-progress"),
            deployment("d-2", 2, "replaced"),
            deployment("d-1", 1, "replaced"),
        ];
        let back = |all: &[Deployment], at: usize| way_back(all, &all[at]);
        let to = |text: &str, id: &str| Some((text.to_owned(), id.to_owned()));
        assert_eq!(back(&all, 0), to("Go back to filter@1", "d-1"));
        assert_eq!(back(&all, 2), to("Run this again", "d-1"));
        assert_eq!(back(&all[..2], 0), None);
        all[2].application = Some("climate".to_owned());
        assert_eq!(back(&all, 2), None);
    }
}
