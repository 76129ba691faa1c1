//! The devices that are selected, what can be done with all of them, and what came of it
//! for each.

use super::Listing;
use super::remove::RemoveDialog;
use crate::api::{self, ApiError};
use crate::components::{Pill, ProblemBox};
use crate::format;
use crate::pages::deploy_form::{DeployDialog, Deploying};
use crate::words::{self, Tone};
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::collections::BTreeMap;

/// A request names as many devices at most.
const SELECTED_MAX: usize = 10_000;
/// Results that are listed; those that went well are only counted beyond it.
const RESULTS_SHOWN: usize = 50;

/// Ids, with the names for people.
#[derive(Clone, Copy, Default)]
pub struct Selection(RwSignal<BTreeMap<String, String>>);

impl Selection {
    pub fn has(self, id: &str) -> bool {
        self.0.with(|all| all.contains_key(id))
    }

    pub fn put(self, devices: &[(String, String)], is_selected: bool) {
        self.0.update(|all| {
            for (id, name) in devices {
                if is_selected {
                    all.insert(id.clone(), name.clone());
                } else {
                    all.remove(id);
                }
            }
        });
    }

    pub fn clear(self) {
        self.0.update(BTreeMap::clear);
    }

    pub fn count(self) -> usize {
        self.0.with(BTreeMap::len)
    }

    pub fn list(self) -> Vec<(String, String)> {
        self.0
            .with_untracked(|all| all.iter().map(|(id, name)| (id.clone(), name.clone())).collect())
    }
}

/// What came of it for one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub device: String,
    pub name: String,
    pub tone: Tone,
    pub text: String,
}

/// What was done, and how far it is.
#[derive(Clone, Copy)]
pub struct Results {
    pub title: RwSignal<Option<String>>,
    pub outcomes: RwSignal<Vec<Outcome>>,
}

#[component]
pub fn BulkBar(selection: Selection, listing: Listing) -> impl IntoView {
    let deploying = RwSignal::new(None::<Deploying>);
    let removing = RwSignal::new(None::<Vec<(String, String)>>);
    let error = RwSignal::new(None::<ApiError>);
    let results = Results { title: RwSignal::new(None), outcomes: RwSignal::new(vec![]) };
    let total =
        move || listing.page.with(|page| page.as_ref().map_or(0, |page| page.total as usize));
    let select_all = move |_| {
        spawn_local(async move { error.set(gather(listing, selection).await.err()) });
    };
    let deployed = Callback::new(move |deployment: crate::model::Deployment| {
        let outcomes = deployment.progress.iter().map(|device| Outcome {
            device: device.device.clone(),
            name: device.device_name.clone(),
            tone: words::progress_tone(&device.state),
            text: match device.detail.as_str() {
                "" => words::spaced(&device.state),
                detail => format!("{}: {detail}", words::spaced(&device.state)),
            },
        });
        results.outcomes.set(outcomes.collect());
        let what = format!("{}@{}", deployment.app, deployment.module_version);
        results.title.set(Some(format!("Deployed {what}; its page shows how it goes on")));
    });
    view! {
        {move || (selection.count() > 0).then(|| view! {
            <div class="card bulk" role="region" aria-label="Selected devices">
                <strong role="status" data-selected="">
                    {move || format!("{} selected", format::plural(selection.count(), "device"))}
                </strong>
                {move || (total() > selection.count()).then(|| view! {
                    <button type="button" class="quiet" data-select-all="" on:click=select_all>
                        {move || format!("Select all {} that are found", format::count(total() as u64))}
                    </button>
                })}
                <button type="button" class="primary" data-bulk="deploy" on:click=move |_| {
                    deploying.set(Some(Deploying { module: None, devices: selection.list() }));
                }>"Deploy…"</button>
                <button type="button" class="danger" data-bulk="remove"
                    on:click=move |_| removing.set(Some(selection.list()))>"Remove…"</button>
                <button type="button" class="quiet" on:click=move |_| selection.clear()>"Clear"</button>
            </div>
        })}
        {move || error.get().map(|error| view! { <ProblemBox error/> })}
        {move || results.title.get().map(|title| outcomes(title, results))}
        <DeployDialog deploying on_done=deployed/>
        <RemoveDialog removing selection results listing/>
    }
}

/// Every device that the search finds, a thousand names at a time.
async fn gather(listing: Listing, selection: Selection) -> api::Answer<()> {
    let q = listing.q.get_untracked();
    let mut cursor = String::new();
    loop {
        let page = api::device_names(&q, &cursor).await?;
        let names: Vec<_> = page.items.into_iter().map(|one| (one.id, one.name)).collect();
        // Something else may have been searched for meanwhile.
        if listing.q.try_get_untracked().as_ref() != Some(&q) {
            return Ok(());
        }
        selection.put(&names, true);
        match page.next {
            Some(next) if selection.0.with_untracked(BTreeMap::len) < SELECTED_MAX => cursor = next,
            _ => return Ok(()),
        }
    }
}

/// Failures first.
fn outcomes(title: String, results: Results) -> AnyView {
    let shown = move || {
        let all = results.outcomes.get();
        let more = all.len().saturating_sub(RESULTS_SHOWN);
        let failed = all.iter().filter(|one| one.tone == Tone::Bad);
        let others = all.iter().filter(|one| one.tone != Tone::Bad);
        let items = failed.chain(others).take(RESULTS_SHOWN).cloned().map(|one| {
            view! {
                <li data-outcome=one.device.clone()>
                    <a href=format!("/devices/{}", one.device)>{one.name}</a>
                    <span><Pill tone=one.tone text=one.text/></span>
                </li>
            }
            .into_any()
        });
        let more = (more > 0).then(|| view! { <li>{format!("and {more} more")}</li> });
        view! { <ul class="outcomes">{items.collect_view()}{more}</ul> }.into_any()
    };
    view! {
        <section class="card" aria-live="polite" data-results="">
            <div class="section-head">
                <h2>{title}</h2>
                <button type="button" class="quiet" on:click=move |_| results.title.set(None)>
                    "Close"
                </button>
            </div>
            {shown}
        </section>
    }
    .into_any()
}
