//! Upload, and what became of every module on every target.

use super::deploy_form::{DeployDialog, Deploying};
use super::module_row::ModuleRow;
use super::upload::Upload;
use crate::components::Empty;
use crate::live::Live;
use crate::model::Module;
use crate::route::Route;
use leptos::prelude::*;

#[component]
pub fn Modules() -> impl IntoView {
    let live = Live::here();
    let none = Memo::new(move |_| live.modules.with(Vec::is_empty));
    let ids = Memo::new(move |_| {
        live.modules.with(|all| all.iter().map(|module| module.id.clone()).collect::<Vec<_>>())
    });
    let targets = Memo::new(move |_| {
        let known = live.session.get().map(|session| session.targets).unwrap_or_default();
        live.modules.with(|modules| columns(known, modules))
    });
    let deploying = RwSignal::new(None::<Deploying>);
    let route = Route::here();
    view! {
        <h1 data-page="modules">"Modules"</h1>
        <Upload/>
        {move || if none.get() {
            view! {
                <Empty title="No module has been uploaded yet">
                    <p>"Drop a Wasm file above, or use the command line:"</p>
                    <pre><code>"farrier module push filter.wasm"</code></pre>
                </Empty>
            }.into_any()
        } else {
            view! {
                <section class="card" aria-labelledby="matrix">
                    <h2 id="matrix">"Artifacts"</h2>
                    <p class="muted">
                        "A module is compiled once it is deployed to a device."
                    </p>
                    <table class="stack matrix" data-table="matrix">
                        <thead>
                            <tr>
                                <th scope="col">"Module"</th>
                                {move || targets.get().into_iter().map(|target| view! {
                                    <th scope="col">{target}</th>
                                }).collect_view()}
                                <th scope="col"><span class="hidden">"Actions"</span></th>
                            </tr>
                        </thead>
                        {move || ids.get().into_iter().map(|id| view! {
                            <ModuleRow id targets deploying/>
                        }.into_any()).collect_view()}
                    </table>
                </section>
            }.into_any()
        }}
        <DeployDialog deploying on_done=Callback::new(move |_| route.go("/deployments"))/>
    }
}

/// The targets that the gateway compiles for, and any others that an artifact
/// is still there for.
fn columns(mut known: Vec<String>, modules: &[Module]) -> Vec<String> {
    for artifact in modules.iter().flat_map(|module| &module.artifacts) {
        if !known.contains(&artifact.target) {
            known.push(artifact.target.clone());
        }
    }
    known
}
