//! What was asked for, and how far each device is with it.

use super::deployment_card::DeploymentCard;
use crate::components::Empty;
use crate::live::Live;
use leptos::prelude::*;
use leptos_router::components::A;

#[component]
pub fn Deployments() -> impl IntoView {
    let live = Live::here();
    let none = Memo::new(move |_| live.deployments.with(Vec::is_empty));
    let ids = Memo::new(move |_| {
        live.deployments.with(|all| all.iter().map(|one| one.id.clone()).collect::<Vec<_>>())
    });
    view! {
        <h1 data-page="deployments">"Deployments"</h1>
        {move || if none.get() {
            view! {
                <Empty title="Nothing has been deployed yet">
                    <p>
                        "Choose a module on the page "<A href="/modules">"Modules"</A>
                        ", or use the command line:"
                    </p>
                    <pre><code>"farrier deploy filter --all"</code></pre>
                </Empty>
            }.into_any()
        } else {
            view! {
                <div class="deployments">
                    <For each=move || ids.get() key=String::clone let:id>
                        <DeploymentCard id/>
                    </For>
                </div>
            }.into_any()
        }}
    }
}
