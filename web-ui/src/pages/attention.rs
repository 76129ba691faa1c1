//! What a person should look at first; nothing when all is well. Of each kind of trouble
//! the number of devices, and a few of them by name.

use crate::api;
use crate::components::Pill;
use crate::live::Live;
use crate::model::{Deployment, Device};
use crate::words::{self, Tone};
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Devices of each kind that are named.
const NAMED: usize = 5;

/// What to search for, what the devices found are, and how bad that is.
const TROUBLES: [(&str, &str, Tone); 4] = [
    ("status:offline", "offline", Tone::Bad),
    ("alarm:any", "with an alarm", Tone::Bad),
    ("status:refused", "with a refusal", Tone::Bad),
    ("status:drift", "without the wanted generation", Tone::Warn),
];

#[derive(Debug, Clone, PartialEq)]
struct Found {
    q: &'static str,
    word: &'static str,
    tone: Tone,
    total: u64,
    devices: Vec<Device>,
}

#[component]
pub fn Attention() -> impl IntoView {
    let live = Live::here();
    let found = RwSignal::new(Vec::<Found>::new());
    let is_asking = StoredValue::new(false);
    Effect::new(move |_| {
        live.beat.track();
        if is_asking.get_value() {
            return;
        }
        is_asking.set_value(true);
        spawn_local(async move {
            let mut all = Vec::new();
            for (q, word, tone) in TROUBLES {
                // A failure leaves this kind out until the next time; the banner says why.
                if let Ok(page) = api::devices(q, "-last_seen", "", NAMED).await {
                    let (total, devices) = (page.total, page.items);
                    all.push(Found { q, word, tone, total, devices });
                }
            }
            all.retain(|one| one.total > 0);
            found.try_set(all);
            is_asking.try_set_value(false);
        });
    });
    let failed = move || {
        let name = |one: &Deployment| format!("{}@{}", one.app, one.module_version);
        live.deployments.with(|all| {
            let failed = all.iter().filter(|one| one.state == "failed");
            failed.take(NAMED).map(name).collect::<Vec<_>>()
        })
    };
    let is_well = move || found.with(Vec::is_empty) && failed().is_empty();
    view! {
        {move || (!is_well()).then(|| view! {
            <section class="card attention" aria-labelledby="attention">
                <h2 id="attention">"Needs attention"</h2>
                <ul>
                    {found.get().into_iter().map(kind).collect_view()}
                    {failed().into_iter().map(|name| view! {
                        <li>
                            <a href="/deployments">{name}</a>
                            <span><Pill tone=Tone::Bad text="deployment failed"/></span>
                        </li>
                    }).collect_view()}
                </ul>
            </section>
        })}
    }
}

fn kind(found: Found) -> AnyView {
    let more = found.total.saturating_sub(found.devices.len() as u64);
    let q = found.q;
    let names = found.devices.iter().map(|device| {
        let why = reason(device, q);
        view! {
            <a href=format!("/devices/{}", device.id)>{device.name.clone()}</a>
            {why.map(|why| view! { <span class="muted">" "{why}</span> })}
            " "
        }
        .into_any()
    });
    view! {
        <li data-trouble=q>
            <a href=format!("/devices?q={q}")>
                <Pill tone=found.tone text=format!("{} {}", found.total, found.word)/>
            </a>
            <span class="names">
                {names.collect_view()}
                {(more > 0).then(|| view! { <span class="muted">{format!("and {more} more")}</span> })}
            </span>
        </li>
    }
    .into_any()
}

/// In few words, where the kind does not say it.
fn reason(device: &Device, q: &str) -> Option<String> {
    match q {
        "alarm:any" => device.alarms.first().map(|alarm| alarm.kind.clone()),
        "status:refused" => {
            let app = device.apps.iter().find(|app| app.refusal.is_some());
            let refusal = device.refusal.as_ref().or(app?.refusal.as_ref())?;
            Some(match app.filter(|_| device.refusal.is_none()) {
                Some(app) => format!("{}: {}", app.app, words::spaced(&refusal.title)),
                None => refusal.title.clone(),
            })
        }
        _ => None,
    }
}
