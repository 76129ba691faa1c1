//! A request that failed: what, why, and what to do.

use crate::api::ApiError;
use leptos::prelude::*;

#[component]
pub fn ProblemBox(error: ApiError) -> AnyView {
    view! {
        <div class="box bad" role="alert" data-problem="">
            <p class="box-title"><span class="sign" aria-hidden="true">"✕ "</span>{error.title()}</p>
            <p>{error.detail()}</p>
            {error.request_id().map(|id| view! {
                <p class="muted">"Request " <code>{id}</code>" in the gateway's log"</p>
            })}
        </div>
    }
    .into_any()
}
