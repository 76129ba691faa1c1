//! The deployments that are under way, each with its bar.

use super::deployment_card::bar;
use crate::live::Live;
use crate::model::Deployment;
use leptos::prelude::*;

/// As many as fit a look.
const SHOWN: usize = 4;

#[component]
pub fn RunningDeployments() -> impl IntoView {
    let live = Live::here();
    let one = |one: &Deployment| {
        view! {
            <div class="under-way">
                <a href="/deployments">{format!("{}@{}", one.app, one.module_version)}</a>
                {bar(&one.progress)}
            </div>
        }
        .into_any()
    };
    let running = move || {
        live.deployments.with(|all| {
            let running = all.iter().filter(|one| one.state == "in-progress");
            running.take(SHOWN).map(one).collect::<Vec<_>>()
        })
    };
    view! {
        {move || Some(running()).filter(|running| !running.is_empty()).map(|running| view! {
            <section class="card" aria-labelledby="under-way" data-under-way="">
                <h2 id="under-way">"Deployments under way"</h2>
                {running}
            </section>
        })}
    }
}
