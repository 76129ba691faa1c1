//! What a page shows before there is something, and when there is nothing.

use leptos::prelude::*;

/// Grey bars in the place of rows that are still on their way.
#[component]
pub fn Skeleton() -> impl IntoView {
    view! {
        <div class="card skeleton" role="status" aria-label="Loading">
            {(0..5).map(|_| view! { <span></span> }).collect_view()}
        </div>
    }
}

/// Nothing is there yet; the children say how to change that.
#[component]
pub fn Empty(title: &'static str, children: Children) -> impl IntoView {
    view! {
        <div class="card empty">
            <p class="box-title">{title}</p>
            {children()}
        </div>
    }
}
