//! Asks before devices are removed, and removes them one after the other.

use super::Listing;
use super::bulk::{Outcome, Results, Selection};
use crate::words::Tone;
use crate::{api, browser, format};
use leptos::html::Dialog;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Names that stand in the question.
const NAMES_SHOWN: usize = 5;

#[component]
pub fn RemoveDialog(
    removing: RwSignal<Option<Vec<(String, String)>>>,
    selection: Selection,
    results: Results,
    listing: Listing,
) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let typed = RwSignal::new(String::new());
    Effect::new(move |_| {
        if removing.with(Option::is_some) {
            typed.set(String::new());
            browser::open_dialog(dialog.get());
        }
    });
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let count = move || removing.with(|all| all.as_ref().map_or(0, Vec::len));
    let is_sure = move || typed.with(|typed| typed.trim() == count().to_string());
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(devices) = removing.get_untracked() else { return };
        close();
        spawn_local(async move {
            remove(devices, results).await;
            selection.clear();
            listing.ask();
        });
    };
    view! {
        <dialog node_ref=dialog aria-labelledby="remove-title" on:close=move |_| removing.set(None)>
            <form on:submit=submit>
                <h2 id="remove-title">{move || format!("Remove {}?", format::plural(count(), "device"))}</h2>
                <p class="muted">{move || names(removing)}</p>
                <p>
                    "They lose their rights at once, and their modules stop. Each has to enrol \
                     again to come back. This cannot be undone."
                </p>
                <label>
                    {move || format!("Type {} to confirm", count())}
                    <input type="text" name="confirm" inputmode="numeric" autocomplete="off"
                        prop:value=typed
                        on:input=move |event| typed.set(event_target_value(&event))/>
                </label>
                <div class="form-end">
                    <button type="button" autofocus on:click=move |_| close()>"Keep them"</button>
                    <button type="submit" class="danger" disabled=move || !is_sure()>"Remove"</button>
                </div>
            </form>
        </dialog>
    }
}

fn names(removing: RwSignal<Option<Vec<(String, String)>>>) -> String {
    removing.with(|all| {
        let all = all.as_deref().unwrap_or_default();
        let names: Vec<&str> =
            all.iter().take(NAMES_SHOWN).map(|(_, name)| name.as_str()).collect();
        match all.len().saturating_sub(NAMES_SHOWN) {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    })
}

async fn remove(devices: Vec<(String, String)>, results: Results) {
    results.outcomes.set(vec![]);
    let all = devices.len();
    let mut failed = 0;
    for (index, (device, name)) in devices.into_iter().enumerate() {
        results.title.set(Some(format!("Removing {} of {all}…", index + 1)));
        let (tone, text) = match api::remove_device(&device).await {
            Ok(()) => (Tone::Good, "removed".to_owned()),
            Err(error) => {
                failed += 1;
                (Tone::Bad, format!("{}: {}", error.title(), error.detail()))
            }
        };
        results.outcomes.update(|all| all.push(Outcome { device, name, tone, text }));
    }
    results.title.set(Some(match failed {
        0 => format!("Removed {}", format::plural(all, "device")),
        failed => format!("Removed {} of {all} devices; {failed} are still there", all - failed),
    }));
}
