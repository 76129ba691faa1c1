//! For an address that is no page.

use leptos::prelude::*;

#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <h1>"There is no such page"</h1>
        <p>"Perhaps it was renamed. "<a href="/">"Go to the overview"</a></p>
    }
}
