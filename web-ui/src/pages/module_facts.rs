//! What the gateway found in a module, and the known answers that it must give.

use crate::api::{self, ApiError};
use crate::components::ProblemBox;
use crate::format;
use crate::model::{Module, ModuleExtern};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;

#[component]
pub fn ModuleFacts(module: Memo<Option<Module>>) -> impl IntoView {
    view! {
        <div class="module-facts">
            {move || module.get().map(facts)}
            <KnownAnswers module/>
        </div>
    }
}

fn facts(module: Module) -> impl IntoView {
    let memory = match &module.memory {
        None => "none".to_owned(),
        Some(memory) => match memory.max_pages {
            Some(max) => format!("{} to {max} pages of 64 KiB", memory.min_pages),
            None => format!("{} pages of 64 KiB or more", memory.min_pages),
        },
    };
    let proposals = if module.proposals.is_empty() {
        "none beyond WebAssembly 1.0".to_owned()
    } else {
        module.proposals.join(", ")
    };
    view! {
        <dl>
            <div><dt>"SHA-256"</dt><dd><code class="wrap">{module.id}</code></dd></div>
            <div><dt>"Functions"</dt><dd class="num">{module.function_count}</dd></div>
            <div><dt>"Memory"</dt><dd>{memory}</dd></div>
            <div><dt>"Data"</dt><dd class="num">{format::bytes(module.data_bytes)}</dd></div>
            <div><dt>"Proposals"</dt><dd>{proposals}</dd></div>
            <div><dt>"Imports"</dt><dd>{externs(module.imports)}</dd></div>
            <div><dt>"Exports"</dt><dd>{externs(module.exports)}</dd></div>
        </dl>
    }
}

fn externs(all: Vec<ModuleExtern>) -> AnyView {
    if all.is_empty() {
        return view! { "none" }.into_any();
    }
    let item = |one: ModuleExtern| {
        let name = match one.module {
            None => one.name,
            Some(module) => format!("{module}.{}", one.name),
        };
        let shape = if one.signature.is_empty() { one.kind } else { one.signature };
        view! { <li><code>{name}</code>" "<span class="muted">{shape}</span></li> }
    };
    view! { <ul class="plain-list">{all.into_iter().map(item).collect_view()}</ul> }.into_any()
}

#[component]
fn KnownAnswers(module: Memo<Option<Module>>) -> impl IntoView {
    let error = RwSignal::new(None::<ApiError>);
    let on_file = move |event: leptos::ev::Event| {
        let input = event.target().and_then(|t| t.dyn_into::<web_sys::HtmlInputElement>().ok());
        let Some(input) = input else { return };
        let Some(file) = input.files().and_then(|files| files.get(0)) else { return };
        let Some(id) = module.with_untracked(|module| module.as_ref().map(|m| m.id.clone())) else {
            return;
        };
        // So that the same file, repaired, can be chosen once more.
        input.set_value("");
        spawn_local(async move {
            // The module's event brings the new steps.
            error.set(api::set_known_answers(&id, &file).await.err());
        });
    };
    view! {
        <h3>"Known answers"</h3>
        {move || {
            let steps =
                module.with(|m| m.as_ref().map(|m| m.known_answers.clone()).unwrap_or_default());
            if steps.is_empty() {
                view! {
                    <p class="muted">
                        "None. Steps such as \u{201c}call this export, expect that result\u{201d} are checked \
                         before the module is released and again on each device."
                    </p>
                }.into_any()
            } else {
                view! {
                    <ol class="steps">
                        {steps.into_iter().map(|step| view! { <li><code>{step}</code></li> }).collect_view()}
                    </ol>
                }.into_any()
            }
        }}
        <label class="file">
            "Upload known answers (TOML) "
            <input type="file" accept=".toml" on:change=on_file/>
        </label>
        {move || error.get().map(|error| view! { <ProblemBox error/> })}
    }
}
