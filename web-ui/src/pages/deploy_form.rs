//! The dialog that turns a module and some devices into a deployment.

use crate::api::{self, ApiError};
use crate::browser;
use crate::components::ProblemBox;
use crate::format;
use crate::live::Live;
use crate::model::{Deployment, DeviceName, Module};
use crate::pages::deploy_draft::{Draft, prefill};
use leptos::html::Dialog;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Devices that a search in the dialog shows.
const FOUND_MAX: usize = 20;

/// What is known before the dialog opens.
#[derive(Clone, PartialEq)]
pub struct Deploying {
    /// None to choose one.
    pub module: Option<Module>,
    /// Ids and names; empty to choose some, or all.
    pub devices: Vec<(String, String)>,
}

/// Opens whenever `deploying` is set, and clears it when it closes.
#[component]
pub fn DeployDialog(
    deploying: RwSignal<Option<Deploying>>,
    on_done: Callback<Deployment>,
) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    Effect::new(move |_| {
        if deploying.with(Option::is_some) {
            browser::open_dialog(dialog.get());
        }
    });
    let close = Callback::new(move |()| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    });
    view! {
        <dialog node_ref=dialog aria-labelledby="deploy-title" on:close=move |_| deploying.set(None)>
            {move || deploying.get().map(|start| view! { <DeployForm start close on_done/> })}
        </dialog>
    }
}

#[component]
fn DeployForm(
    start: Deploying,
    close: Callback<()>,
    on_done: Callback<Deployment>,
) -> impl IntoView {
    let live = Live::here();
    let offers_modules = start.module.is_none();
    let newest = || live.modules.with_untracked(|modules| modules.first().cloned());
    let module = RwSignal::new(start.module.clone().or_else(newest));
    let sensors = RwSignal::new(Vec::<String>::new());
    let draft = RwSignal::new(None::<Draft>);
    let chosen = StoredValue::new(start.devices);
    let fresh = move || {
        let start = module.with_untracked(|module| {
            let module = module.as_ref()?;
            let sensors = sensors.get_untracked();
            Some(live.deployments.with_untracked(|earlier| prefill(module, &sensors, earlier)))
        });
        draft.set(start.map(|mut start| {
            start.chosen = chosen.get_value().into_iter().collect();
            start.all_devices = start.chosen.is_empty();
            start
        }));
    };
    fresh();
    // Which sensors there are the devices know; until they have told, nothing is filled in.
    spawn_local(async move {
        if let Ok(known) = api::device_sensors().await {
            sensors.try_set(known);
            draft.try_update(|draft| {
                if let Some(own) = draft.as_mut().filter(|d| d.sensors.as_deref() == Some("")) {
                    own.sensors = Some(sensors.get_untracked().join(", "));
                }
            });
        }
    });
    let error = RwSignal::new(None::<ApiError>);
    let invalid = RwSignal::new(None::<String>);
    let sending = RwSignal::new(false);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        error.set(None);
        let (Some(module), Some(draft)) = (module.get_untracked(), draft.get_untracked()) else {
            return;
        };
        let new = match draft.to_request(&module) {
            Ok(new) => new,
            Err(reason) => return invalid.set(Some(reason)),
        };
        invalid.set(None);
        sending.set(true);
        spawn_local(async move {
            match api::deploy(&new).await {
                Ok(deployment) => {
                    close.run(());
                    on_done.run(deployment);
                }
                Err(problem) => drop(error.try_set(Some(problem))),
            }
            sending.try_set(false);
        });
    };
    let title = move || {
        let what = module.with(|module| {
            module.as_ref().map(|module| format!("{}@{}", module.name, module.version))
        });
        match chosen.with_value(Vec::len) {
            0 => format!("Deploy {}", what.unwrap_or_default()),
            count => format!(
                "Deploy {} to {}",
                what.unwrap_or_default(),
                format::plural(count, "device")
            ),
        }
    };
    let choose_module = move |event: leptos::ev::Event| {
        let id = event_target_value(&event);
        module.set(live.modules.with_untracked(|all| all.iter().find(|m| m.id == id).cloned()));
        fresh();
    };
    let shows = move |field: fn(&Draft) -> bool| {
        Memo::new(move |_| draft.with(|draft| draft.as_ref().is_some_and(field)))
    };
    let shows_sensors = shows(|draft| draft.sensors.is_some());
    let shows_channels = shows(|draft| draft.channels.is_some());
    view! {
        <form on:submit=submit>
            <h2 id="deploy-title">{title}</h2>
            {offers_modules.then(|| view! {
                <label>
                    "Module"
                    <select name="module" on:change=choose_module>
                        {live.modules.with_untracked(|all| all.iter().map(|module| view! {
                            <option value=module.id.clone()>
                                {format!("{}@{}", module.name, module.version)}
                            </option>
                        }).collect_view())}
                    </select>
                </label>
            })}
            {module.with_untracked(Option::is_none).then(|| view! {
                <p>"No module has been uploaded yet. "<a href="/modules">"Upload one"</a></p>
            })}
            {chosen.with_value(Vec::is_empty).then(|| view! { <DeviceChoice draft/> })}
            {field(draft, "Interval between two ticks, in ms", "interval", "",
                |draft| Some(&mut draft.interval_ms))}
            {move || shows_sensors.get().then(|| field(
                draft, "Sensors that it may open, separated by commas", "sensors", "",
                |draft| draft.sensors.as_mut(),
            ))}
            {move || shows_channels.get().then(|| field(
                draft, "Channels that it may publish on, separated by commas; on no other", "channels",
                "such as average", |draft| draft.channels.as_mut(),
            ))}
            {move || invalid.get().map(|reason| view! {
                <p class="box bad" role="alert"><span class="sign" aria-hidden="true">"✕ "</span>{reason}</p>
            })}
            {move || error.get().map(|error| view! { <ProblemBox error/> })}
            <div class="form-end">
                <button type="button" on:click=move |_| close.run(())>"Cancel"</button>
                <button type="submit" class="primary" data-deploy-submit=""
                    prop:disabled=move || sending.get() || draft.with(Option::is_none)>
                    {move || if sending.get() { "Sending…" } else { "Deploy" }}
                </button>
            </div>
        </form>
    }
}

/// A line of text of the draft.
fn field(
    draft: RwSignal<Option<Draft>>,
    label: &'static str,
    name: &'static str,
    placeholder: &'static str,
    of: fn(&mut Draft) -> Option<&mut String>,
) -> AnyView {
    let text = move || {
        let text = draft.get().and_then(|mut draft| of(&mut draft).cloned());
        text.unwrap_or_default()
    };
    let change = move |event: leptos::ev::Event| {
        draft.update(|draft| {
            if let Some(place) = draft.as_mut().and_then(of) {
                *place = event_target_value(&event);
            }
        });
    };
    view! {
        <label>
            {label}
            <input type="text" name=name placeholder=placeholder prop:value=text on:input=change/>
        </label>
    }
    .into_any()
}

#[component]
fn DeviceChoice(draft: RwSignal<Option<Draft>>) -> impl IntoView {
    let all = Memo::new(move |_| draft.with(|d| d.as_ref().is_none_or(|draft| draft.all_devices)));
    let found = RwSignal::new(Vec::<DeviceName>::new());
    let total = RwSignal::new(0_u64);
    let search = move |q: String| {
        spawn_local(async move {
            // A search that means nothing finds nothing; its words are said on the devices' page.
            let (items, count) = api::devices(&q, "", "", FOUND_MAX).await.map_or_else(
                |_| (vec![], 0),
                |page| {
                    let name = |d: crate::model::Device| DeviceName { id: d.id, name: d.name };
                    (page.items.into_iter().map(name).collect(), page.total)
                },
            );
            found.try_set(items);
            total.try_set(count);
        });
    };
    search(String::new());
    let change = move |edit: &dyn Fn(&mut Draft)| {
        draft.update(|draft| {
            if let Some(draft) = draft {
                edit(draft);
            }
        });
    };
    let choice = move |value: bool, text: &'static str, name: &'static str| {
        view! {
            <label class="check">
                <input type="radio" name="devices" value=name
                    prop:checked=move || all.get() == value
                    on:change=move |_| change(&|draft| draft.all_devices = value)/>
                {text}
            </label>
        }
        .into_any()
    };
    let device = move |one: DeviceName| {
        let asked = one.id.clone();
        let checked =
            move || draft.with(|d| d.as_ref().is_some_and(|d| d.chosen.contains_key(&asked)));
        let name = one.name.clone();
        view! {
            <label class="check">
                <input type="checkbox" prop:checked=checked
                    on:change=move |_| change(&|draft| draft.toggle(&one.id, &one.name))/>
                {name}
            </label>
        }
        .into_any()
    };
    let chosen = move || draft.with(|d| d.as_ref().map_or(0, |draft| draft.chosen.len()));
    view! {
        <fieldset>
            <legend>"Devices"</legend>
            {choice(true, "All devices, also those that enrol later", "all")}
            {choice(false, "These", "these")}
            {move || (!all.get()).then(|| view! {
                <div class="choices">
                    <input type="search" aria-label="Search devices" placeholder="arch:riscv64 kitchen"
                        on:input=move |event| search(event_target_value(&event))/>
                    {move || found.get().into_iter().map(device).collect_view()}
                    <p class="sub muted">
                        {move || format!("{} found, {} chosen", total.get(), chosen())}
                    </p>
                </div>
            })}
        </fieldset>
    }
}
