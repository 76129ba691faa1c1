//! The head of every page: where one can go, whether figures are live, theme.

use crate::browser::{self, Theme};
use crate::components::Pill;
use crate::live::{Link, Live};
use crate::words::Tone;
use leptos::prelude::*;
use leptos_router::components::A;

#[component]
pub fn Header() -> impl IntoView {
    let live = Live::here();
    view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        <header class="top">
            <A href="/" attr:class="brand">
                <svg viewBox="0 0 32 32" aria-hidden="true">
                    <path d="M9 24c-3-5-3-17 7-17s10 12 7 17"/>
                </svg>
                "Farrier"
            </A>
            <nav aria-label="Pages">
                <A href="/" exact=true>"Overview"</A>
                <A href="/devices">"Devices"</A>
                <A href="/modules">"Modules"</A>
                <A href="/deployments">"Deployments"</A>
            </nav>
            <div class="top-end">
                <LinkPill/>
                <ThemeButton/>
                <button type="button" class="quiet" on:click=move |_| live.log_out()>
                    "Log out"
                </button>
            </div>
        </header>
    }
}

#[component]
fn LinkPill() -> impl IntoView {
    let live = Live::here();
    view! {
        <span role="status" data-link=move || word(live.link.get()).0>
            {move || {
                let (text, tone) = word(live.link.get());
                view! { <Pill tone text/> }
            }}
        </span>
    }
}

fn word(link: Link) -> (&'static str, Tone) {
    match link {
        Link::Connecting => ("connecting", Tone::Busy),
        Link::Live => ("live", Tone::Good),
        Link::Down { .. } => ("reconnecting", Tone::Bad),
    }
}

#[component]
fn ThemeButton() -> impl IntoView {
    let theme = RwSignal::new(browser::theme());
    let change = move |_| {
        theme.update(|theme| *theme = theme.next());
        browser::set_theme(theme.get_untracked());
    };
    let sign = move || match theme.get() {
        Theme::System => "◑",
        Theme::Light => "☀",
        Theme::Dark => "☾",
    };
    view! {
        <button type="button" class="quiet" title="Change the theme" data-theme-button="" on:click=change>
            <span aria-hidden="true">{sign}" "</span>
            <span class="theme-word">{move || theme.get().as_str()}</span>
            <span class="hidden">" theme"</span>
        </button>
    }
}
