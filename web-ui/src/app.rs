//! The frame around the pages, and who may see them.

use crate::components::{Header, ProblemBox, Skeleton, StaleBanner, StorageBanner, TrustNotice};
use crate::live::{Gate, Live};
use crate::pages::{
    Deployments, DevicePage, Devices, LoginNeeded, Modules, NotFound, OverviewPage,
};
use leptos::prelude::*;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::path;

#[component]
pub fn App() -> impl IntoView {
    let live = Live::start();
    provide_context(live);
    // Only the kind of gate decides what stands; the lists change below it.
    let gate = Memo::new(move |_| live.gate.get());
    view! {
        <Router>
            {move || match gate.get() {
                Gate::LoginNeeded => view! { <LoginNeeded/> }.into_any(),
                Gate::Open => view! { <Frame/> }.into_any(),
                Gate::Loading => view! { <main id="main" tabindex="-1"><Skeleton/></main> }.into_any(),
                Gate::Failed(error) => view! {
                    <main id="main" tabindex="-1" class="narrow">
                        <h1>"Farrier"</h1>
                        <ProblemBox error/>
                        <button type="button" class="primary" on:click=move |_| live.reconnect()>
                            "Try again"
                        </button>
                    </main>
                }.into_any(),
            }}
        </Router>
    }
}

#[component]
fn Frame() -> impl IntoView {
    view! {
        <Header/>
        <TrustNotice/>
        <StaleBanner/>
        <StorageBanner/>
        <main id="main" tabindex="-1">
            <FlatRoutes fallback=NotFound>
                <Route path=path!("/") view=OverviewPage/>
                <Route path=path!("/devices") view=Devices/>
                <Route path=path!("/devices/:id") view=DevicePage/>
                <Route path=path!("/modules") view=Modules/>
                <Route path=path!("/deployments") view=Deployments/>
            </FlatRoutes>
        </main>
        <Footer/>
    }
}

#[component]
fn Footer() -> impl IntoView {
    let live = Live::here();
    view! {
        <footer class="muted">
            {move || live.session.get().map(|session| view! {
                <span>{session.gateway}</span>
                <span>{session.compiler}</span>
                <span>
                    {format!("root {} version {}, epoch {}",
                        crate::format::short_id(&session.trust.root_id),
                        session.trust.root_version, session.trust.epoch)}
                </span>
                <span>{crate::words::release_key_place(&session.trust)}</span>
            })}
            <span>"Every figure is from a device's report. "<code>"farrier ps"</code>" shows the same."</span>
        </footer>
    }
}
