//! The search box with its chips, the facets to choose from, and saved searches.

use super::Listing;
use crate::live::Live;
use crate::{browser, device_search};
use leptos::prelude::*;

const SAVED_KEY: &str = "farrier-device-searches";
const STATUSES: [&str; 6] = ["online", "offline", "new", "drift", "refused", "revoked"];

#[component]
pub fn SearchBar(listing: Listing) -> impl IntoView {
    let live = Live::here();
    let architectures = Memo::new(move |_| {
        let targets = live.session.get().map(|session| session.targets).unwrap_or_default();
        let mut all: Vec<String> =
            targets.iter().map(|t| t.split('-').next().unwrap_or_default().to_owned()).collect();
        all.dedup();
        all
    });
    view! {
        <search class="card search">
            <div class="search-row">
                <label class="search-box">
                    <span class="hidden">"Search devices"</span>
                    <input type="search" id="search" maxlength="500" autocomplete="off" spellcheck="false"
                        placeholder="status:offline arch:riscv64 module:filter@2 kitchen"
                        prop:value=move || listing.q.get()
                        on:input=move |event| listing.search(&event_target_value(&event))/>
                </label>
                {facet(listing, "status", "Any status", || {
                    STATUSES.iter().map(|status| (*status).to_owned()).collect()
                })}
                {facet(listing, "arch", "Any architecture", move || architectures.get())}
            </div>
            {chips(listing)}
        </search>
    }
}

fn facet(
    listing: Listing,
    facet: &'static str,
    any: &'static str,
    values: impl Fn() -> Vec<String> + Send + 'static,
) -> AnyView {
    let prefix = format!("{facet}:");
    let of_search = {
        let prefix = prefix.clone();
        Memo::new(move |_| {
            let terms = listing.q.with(|q| device_search::terms(q));
            terms.iter().find_map(|term| term.strip_prefix(&prefix).map(str::to_owned))
        })
    };
    let choose = move |event: leptos::ev::Event| {
        let q = listing.q.get_untracked();
        let now = of_search.get_untracked().unwrap_or_default();
        let q = match event_target_value(&event) {
            value if value.is_empty() => device_search::without(&q, &format!("{prefix}{now}")),
            value => device_search::with(&q, &format!("{prefix}{value}")),
        };
        listing.search(&q);
    };
    view! {
        <select aria-label=any on:change=choose data-facet=facet
            prop:value=move || of_search.get().unwrap_or_default()>
            <option value="">{any}</option>
            {move || values().into_iter().map(|value| {
                let is_chosen = of_search.with_untracked(|now| now.as_ref() == Some(&value));
                view! { <option value=value.clone() selected=is_chosen>{value.clone()}</option> }
            }).collect_view()}
        </select>
    }
    .into_any()
}

/// The terms of this search, to take away; and those that were kept, to go back to.
fn chips(listing: Listing) -> AnyView {
    let saved = RwSignal::new(device_search::saved(browser::stored(SAVED_KEY)));
    let change = move |edit: &dyn Fn(&mut Vec<String>)| {
        saved.update(|saved| edit(saved));
        browser::store(SAVED_KEY, &saved.with_untracked(|saved| saved.join("\n")));
    };
    let chip = move |term: String| {
        let (gone, own) = (term.clone(), term.clone());
        let title = format!("Remove {term}");
        view! {
            <button type="button" class="chip" aria-label=title data-chip=own
                on:click=move |_| {
                    listing.search(&device_search::without(&listing.q.get_untracked(), &gone));
                }>
                {term}" "<span aria-hidden="true">"✕"</span>
            </button>
        }
        .into_any()
    };
    let kept = move |q: String| {
        let (wanted, gone) = (q.clone(), q.clone());
        view! {
            <span class="saved" data-saved=q.clone()>
                <button type="button" class="chip" on:click=move |_| listing.search(&wanted)>
                    <span aria-hidden="true">"★ "</span>{q.clone()}
                </button>
                <button type="button" class="quiet" aria-label=format!("Forget {q}")
                    on:click=move |_| change(&|saved| saved.retain(|one| *one != gone))>
                    "✕"
                </button>
            </span>
        }
        .into_any()
    };
    let is_new = move || {
        let q = listing.q.with(|q| device_search::terms(q).join(" "));
        !q.is_empty() && !saved.with(|saved| saved.contains(&q))
    };
    view! {
        <div class="chips">
            {move || listing.q.with(|q| device_search::terms(q)).into_iter().map(chip).collect_view()}
            {move || is_new().then(|| view! {
                <button type="button" class="quiet" data-save=""
                    on:click=move |_| change(&|saved| {
                        device_search::save(saved, &listing.q.get_untracked());
                    })>
                    "☆ Save this search"
                </button>
            })}
            {move || saved.get().into_iter().map(kept).collect_view()}
        </div>
    }
    .into_any()
}
