//! The dialog that turns a module into a deployment.

use crate::api::{self, ApiError};
use crate::browser;
use crate::components::ProblemBox;
use crate::live::Live;
use crate::pages::deploy_draft::{Draft, prefill};
use gateway_api::Module;
use leptos::html::Dialog;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

/// Opens whenever `deploying` is set, and clears it when it closes.
#[component]
pub fn DeployDialog(deploying: RwSignal<Option<Module>>) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    Effect::new(move |_| {
        if deploying.with(Option::is_some) {
            browser::open_dialog(dialog.get());
        }
    });
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    view! {
        <dialog node_ref=dialog aria-labelledby="deploy-title" on:close=move |_| deploying.set(None)>
            {move || deploying.get().map(|module| view! { <DeployForm module close/> })}
        </dialog>
    }
}

#[component]
fn DeployForm(module: Module, close: impl Fn() + Copy + Send + Sync + 'static) -> impl IntoView {
    let live = Live::here();
    let navigate = use_navigate();
    let title = format!("Deploy {}@{}", module.name, module.version);
    let start = live
        .deployments
        .with_untracked(|earlier| live.devices.with_untracked(|d| prefill(&module, d, earlier)));
    let shows_sensors = start.sensors.is_some();
    let shows_channels = start.channels.is_some();
    let draft = RwSignal::new(start);
    let error = RwSignal::new(None::<ApiError>);
    let invalid = RwSignal::new(None::<String>);
    let sending = RwSignal::new(false);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        error.set(None);
        let new = match draft.with_untracked(|draft| draft.to_request(&module)) {
            Ok(new) => new,
            Err(reason) => return invalid.set(Some(reason)),
        };
        invalid.set(None);
        sending.set(true);
        let navigate = navigate.clone();
        spawn_local(async move {
            match api::deploy(&new).await {
                Ok(_) => {
                    close();
                    navigate("/deployments", NavigateOptions::default());
                }
                Err(problem) => error.set(Some(problem)),
            }
            sending.set(false);
        });
    };
    view! {
        <form on:submit=submit>
            <h2 id="deploy-title">{title}</h2>
            <DeviceChoice draft/>
            <label>
                "Interval between two ticks, in ms"
                <input type="number" name="interval" min="10" max="3600000" required
                    prop:value=move || draft.with(|draft| draft.interval_ms.clone())
                    on:input=move |e| draft.update(|draft| draft.interval_ms = event_target_value(&e))/>
            </label>
            {shows_sensors.then(|| view! {
                <label>
                    "Sensors that it may open, separated by commas"
                    <input type="text" name="sensors"
                        prop:value=move || draft.with(|draft| draft.sensors.clone())
                        on:input=move |e| draft.update(|draft| draft.sensors = Some(event_target_value(&e)))/>
                </label>
            })}
            {shows_channels.then(|| view! {
                <label>
                    "Channels that it may publish on, separated by commas"
                    <input type="text" name="channels" placeholder="such as average"
                        prop:value=move || draft.with(|draft| draft.channels.clone())
                        on:input=move |e| draft.update(|draft| draft.channels = Some(event_target_value(&e)))/>
                    <span class="sub muted">"It may publish on no other channel."</span>
                </label>
            })}
            {move || invalid.get().map(|reason| view! {
                <p class="box bad" role="alert"><span class="sign" aria-hidden="true">"✕ "</span>{reason}</p>
            })}
            {move || error.get().map(|error| view! { <ProblemBox error/> })}
            <div class="form-end">
                <button type="button" on:click=move |_| close()>"Cancel"</button>
                <button type="submit" class="primary" prop:disabled=sending data-deploy-submit="">
                    {move || if sending.get() { "Sending…" } else { "Deploy" }}
                </button>
            </div>
        </form>
    }
}

#[component]
fn DeviceChoice(draft: RwSignal<Draft>) -> impl IntoView {
    let live = Live::here();
    let all = Memo::new(move |_| draft.with(|draft| draft.all_devices));
    let choice = move |value: bool, text: &'static str, name: &'static str| {
        view! {
            <label class="check">
                <input type="radio" name="devices" value=name
                    prop:checked=move || all.get() == value
                    on:change=move |_| draft.update(|draft| draft.all_devices = value)/>
                {text}
            </label>
        }
    };
    let device = move |id: String, name: String, target: String| {
        let asked = id.clone();
        let checked = move || draft.with(|draft| draft.chosen.contains(&asked));
        view! {
            <label class="check">
                <input type="checkbox" prop:checked=checked
                    on:change=move |_| draft.update(|draft| draft.toggle(&id))/>
                {name}" "<span class="muted">{target}</span>
            </label>
        }
    };
    view! {
        <fieldset>
            <legend>"Devices"</legend>
            {choice(true, "All devices, also those that enrol later", "all")}
            {choice(false, "These", "these")}
            {move || (!all.get()).then(|| view! {
                <div class="choices">
                    {live.devices.with_untracked(|devices| devices.iter().map(|d| {
                        device(d.id.clone(), d.name.clone(), d.target.clone())
                    }).collect_view())}
                </div>
            })}
        </fieldset>
    }
}
