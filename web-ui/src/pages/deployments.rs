//! What was asked for, and how far each device is with it.

use super::deployment_card::DeploymentCard;
use crate::components::Empty;
use crate::live::Live;
use leptos::prelude::*;

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
                        "Choose a module on the page "<a href="/modules">"Modules"</a>
                        ", or use the command line:"
                    </p>
                    <pre><code>"farrier deploy filter --all"</code></pre>
                </Empty>
            }.into_any()
        } else {
            view! {
                <div class="deployments">
                    {move || ids.get().into_iter().map(|id| view! { <DeploymentCard id/> }.into_any())
                        .collect_view()}
                </div>
            }.into_any()
        }}
    }
}
