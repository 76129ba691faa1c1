//! Instead of every page while nobody is logged in.

use leptos::prelude::*;

#[component]
pub fn LoginNeeded() -> impl IntoView {
    view! {
        <main id="main" tabindex="-1" class="narrow" data-page="login">
            <h1>"Log in to Farrier"</h1>
            <div class="card">
                <p>"On a machine where the command line is logged in to this gateway, run"</p>
                <pre><code>"farrier dashboard"</code></pre>
                <p>
                    "and open the link that it prints. The link is good once, for ten minutes; \
                     it logs this browser in. There is no password."
                </p>
            </div>
        </main>
    }
}
