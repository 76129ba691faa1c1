//! For an address that is no page.

use leptos::prelude::*;
use leptos_router::components::A;

#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <h1>"There is no such page"</h1>
        <p>"Perhaps it was renamed. "<A href="/">"Go to the overview"</A></p>
    }
}
