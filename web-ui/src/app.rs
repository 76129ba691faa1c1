//! The frame around the pages, and who may see them.

use crate::components::{Header, ProblemBox, Skeleton, StaleBanner, StorageBanner, TrustNotice};
use crate::keyboard::Keyboard;
use crate::live::{Gate, Live};
use crate::pages::{
    Deployments, DevicePage, Devices, LoginNeeded, Modules, NotFound, OverviewPage,
};
use crate::route::{Page, Route};
use leptos::prelude::*;

#[component]
pub fn App() -> impl IntoView {
    let live = Live::start();
    provide_context(live);
    provide_context(Route::start());
    view! {
        {move || match live.gate.get() {
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
    }
}

#[component]
fn Frame() -> impl IntoView {
    let page = Route::here().page;
    view! {
        <Header/>
        <section aria-label="Notices">
            <TrustNotice/>
            <StaleBanner/>
            <StorageBanner/>
        </section>
        <main id="main" tabindex="-1">
            {move || match page.get() {
                Page::Overview => view! { <OverviewPage/> }.into_any(),
                Page::Devices => view! { <Devices/> }.into_any(),
                Page::Device(reference) => view! { <DevicePage reference/> }.into_any(),
                Page::Modules => view! { <Modules/> }.into_any(),
                Page::Deployments => view! { <Deployments/> }.into_any(),
                Page::NotFound => view! { <NotFound/> }.into_any(),
            }}
        </main>
        <Footer/>
        <Keyboard/>
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
            <span><kbd>"?"</kbd>" keys"</span>
            <span><a href="/api/v1/openapi.json">"API"</a></span>
            <span>"Every figure is from a device's report. "<code>"farrier ps"</code>" shows the same."</span>
        </footer>
    }
}
