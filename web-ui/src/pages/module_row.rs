//! One module in the matrix: an artifact for each target, and its facts below
//! when a person asks for them.

use super::deploy_form::Deploying;
use super::module_facts::ModuleFacts;
use crate::components::Pill;
use crate::live::Live;
use crate::model::{Artifact, Module};
use crate::{format, words};
use leptos::prelude::*;

#[component]
pub fn ModuleRow(
    id: String,
    targets: Memo<Vec<String>>,
    /// Set to open the dialog.
    deploying: RwSignal<Option<Deploying>>,
) -> impl IntoView {
    let live = Live::here();
    let row_id = id.clone();
    let module = Memo::new(move |_| {
        live.modules.with(|all| all.iter().find(|module| module.id == id).cloned())
    });
    let open = RwSignal::new(false);
    view! {
        <tbody data-module-row=row_id>
            {move || module.get().map(|module| view! {
                <tr>
                    <th scope="row">{title(&module, live.now_ms)}</th>
                    {targets.get().into_iter().map(|target| cell(&module, &target)).collect_view()}
                    <td class="actions">
                        <button type="button" class="primary" data-deploy=module.id.clone()
                            on:click=move |_| {
                                let module = Some(module.clone());
                                deploying.set(Some(Deploying { module, devices: vec![] }));
                            }>
                            "Deploy"
                        </button>
                        <button type="button" aria-expanded=move || open.get().to_string()
                            on:click=move |_| open.update(|open| *open = !*open)>
                            {move || if open.get() { "Less" } else { "Details" }}
                        </button>
                    </td>
                </tr>
            })}
            {move || open.get().then(|| view! {
                <tr class="facts-row">
                    <td colspan=move || (targets.with(Vec::len) + 2).to_string()>
                        <ModuleFacts module/>
                    </td>
                </tr>
            })}
        </tbody>
    }
}

fn title(module: &Module, now_ms: RwSignal<u64>) -> impl IntoView + use<> {
    let uploaded_at_ms = module.uploaded_at_ms;
    view! {
        {module.name.clone()}<span class="muted">{format!("@{}", module.version)}</span>
        <span class="sub muted">
            <span class="num" data-field="bytes" data-value=module.bytes.to_string()>
                {format::bytes(module.bytes)}
            </span>
            {move || format!(" · {}", format::ago(uploaded_at_ms, now_ms.get()))}
        </span>
        <code class="sub muted" title=module.id.clone()>{format::short_id(&module.id)}</code>
    }
}

fn cell(module: &Module, target: &str) -> impl IntoView + use<> {
    let artifacts: Vec<Artifact> =
        module.artifacts.iter().filter(|one| one.target == target).cloned().collect();
    view! {
        <td data-label=target.to_owned()>
            {artifacts.is_empty().then(|| view! { <span class="muted">"not deployed"</span> })}
            {artifacts.into_iter().map(artifact).collect_view()}
        </td>
    }
}

fn artifact(one: Artifact) -> impl IntoView {
    let bytes = one.bytes.map(|bytes| {
        view! {
            <span class="num" data-field="artifact_bytes" data-value=bytes.to_string()>
                {format::bytes(bytes)}
            </span>
        }
    });
    let compile = one.compile_ms.map(|ms| {
        view! {
            " in "<span class="num" data-field="compile_ms" data-value=ms.to_string()>
                {format!("{ms} ms")}
            </span>
        }
    });
    let checks = one.checks_passed.filter(|count| *count > 0).map(|count| {
        let checks = format::plural(count as usize, "check");
        view! { <span class="sub muted">{format!("{checks} passed")}</span> }
    });
    view! {
        <div class="artifact" data-target=one.target data-state=one.state.clone()>
            <Pill tone=words::artifact_tone(&one.state) text=words::spaced(&one.state)/>
            <span class="sub">{bytes}{compile}</span>
            <span class="sub muted">{one.bounds_checks}" bounds checks"</span>
            {checks}
            {(!one.detail.is_empty()).then(|| view! { <p class="sub">{one.detail}</p> })}
        </div>
    }
}
