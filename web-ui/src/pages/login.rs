//! Instead of every page while nobody is logged in.

use crate::api::{self, ApiError};
use crate::components::ProblemBox;
use crate::json::quoted;
use crate::live::Live;
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;

#[derive(Clone, PartialEq)]
enum Progress {
    Idle,
    Asking,
    Refused(ApiError),
}

#[component]
pub fn LoginNeeded() -> impl IntoView {
    let live = Live::here();
    let progress = RwSignal::new(Progress::Idle);
    let (name, password, token) =
        (RwSignal::new(String::new()), RwSignal::new(String::new()), RwSignal::new(String::new()));
    let by_password = move |event: SubmitEvent| {
        event.prevent_default();
        let (name, password) = (name.get_untracked(), password.get_untracked());
        let (name, password) = (quoted(name.trim()), quoted(&password));
        log_in(format!("{{\"name\":{name},\"password\":{password}}}"), progress, live);
    };
    let by_token = move |event: SubmitEvent| {
        event.prevent_default();
        let token = quoted(token.get_untracked().trim());
        log_in(format!("{{\"token\":{token}}}"), progress, live);
    };
    let is_asking = move || progress.get() == Progress::Asking;
    view! {
        <main id="main" tabindex="-1" class="narrow" data-page="login">
            <h1>"Log in to Farrier"</h1>
            <form class="card login" on:submit=by_password data-login="password">
                <label>
                    "Name"
                    <input type="text" name="name" autocomplete="username" required
                        autocapitalize="none" spellcheck="false" maxlength="64"
                        on:input=move |event| name.set(event_target_value(&event))/>
                </label>
                <label>
                    "Password"
                    <input type="password" name="password" autocomplete="current-password" required
                        on:input=move |event| password.set(event_target_value(&event))/>
                </label>
                <button type="submit" class="primary" disabled=is_asking>
                    {move || if is_asking() { "Logging in…" } else { "Log in" }}
                </button>
            </form>
            <div aria-live="polite">
                {move || match progress.get() {
                    Progress::Refused(error) => Some(view! { <ProblemBox error/> }),
                    _ => None,
                }}
            </div>
            <div class="card">
                <p>"Or, on a machine where the command line is logged in to this gateway, run"</p>
                <pre><code>"farrier dashboard"</code></pre>
                <p>"and open the link that it prints. It is good once, for ten minutes."</p>
                <details>
                    <summary>"With a token, or as the first user"</summary>
                    <form class="login" on:submit=by_token data-login="token">
                        <label>
                            "Token"
                            <input type="password" name="token" autocomplete="off" required
                                on:input=move |event| token.set(event_target_value(&event))/>
                        </label>
                        <button type="submit" disabled=is_asking>"Log in with the token"</button>
                    </form>
                    <p>"A gateway prints a set-up token at its first start. It makes the first user:"</p>
                    <pre><code>"farrier login NAME --setup-token-file FILE"</code></pre>
                </details>
            </div>
        </main>
    }
}

fn log_in(login: String, progress: RwSignal<Progress>, live: Live) {
    progress.set(Progress::Asking);
    spawn_local(async move {
        match api::log_in(&login).await {
            Ok(()) => live.logged_in(),
            Err(error) => progress.set(Progress::Refused(error)),
        }
    });
}
