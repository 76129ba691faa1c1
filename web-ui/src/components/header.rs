//! The head of every page: where one can go, whether figures are live, theme.

use crate::browser::{self, Theme};
use crate::components::Pill;
use crate::live::{Link, Live};
use crate::route::{Page, Route};
use crate::words::Tone;
use leptos::prelude::*;

#[component]
pub fn Header() -> impl IntoView {
    let live = Live::here();
    view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        <header class="top">
            <a href="/" class="brand">
                <svg viewBox="0 0 32 32" aria-hidden="true">
                    <path d="M9 24c-3-5-3-17 7-17s10 12 7 17"/>
                </svg>
                "Farrier"
            </a>
            <nav aria-label="Pages">
                {nav_link("/", "Overview", |page| *page == Page::Overview)}
                {nav_link("/devices", "Devices", |page| {
                    matches!(page, Page::Devices | Page::Device(_))
                })}
                {nav_link("/modules", "Modules", |page| *page == Page::Modules)}
                {nav_link("/deployments", "Deployments", |page| *page == Page::Deployments)}
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

fn nav_link(href: &'static str, text: &'static str, is_here: fn(&Page) -> bool) -> AnyView {
    let page = Route::here().page;
    let current = move || page.with(is_here).then_some("page");
    view! { <a href=href aria-current=current>{text}</a> }.into_any()
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
