//! What stands above every page: whose keys are trusted, and whether the
//! figures are fresh.

use crate::live::{Link, Live};
use crate::{browser, format, words};
use leptos::prelude::*;

/// A stream that is back within this time was never missed.
const GRACE_MS: u64 = 1_500;

#[component]
pub fn TrustNotice() -> impl IntoView {
    let live = Live::here();
    let notice = Memo::new(move |_| {
        live.session.with(|session| session.as_ref().and_then(|s| words::trust_notice(&s.trust)))
    });
    view! {
        {move || notice.get().map(|notice| view! {
            <p class="strip warn" role="note" data-trust-notice="">
                <span class="sign" aria-hidden="true">"▲ "</span>
                {notice}
            </p>
        })}
    }
}

#[component]
pub fn StorageBanner() -> impl IntoView {
    let live = Live::here();
    let is_full = Memo::new(move |_| {
        live.session.with(|session| session.as_ref().is_some_and(|s| s.storage_full))
    });
    view! {
        <div aria-live="polite">
            {move || is_full.get().then(|| view! {
                <p class="strip bad" data-storage-full="">
                    <span class="sign" aria-hidden="true">"✕ "</span>
                    "The gateway's disk is full: changes are refused until there is space. \
                     What runs on devices goes on."
                </p>
            })}
        </div>
    }
}

#[component]
pub fn StaleBanner() -> impl IntoView {
    let live = Live::here();
    let stale_since_ms = Memo::new(move |_| match live.link.get() {
        Link::Down { since_ms } if live.now_ms.get() > since_ms + GRACE_MS => Some(since_ms),
        _ => None,
    });
    view! {
        <div aria-live="polite">
            {move || stale_since_ms.get().map(|since_ms| view! {
                <p class="strip bad" data-stale="">
                    <span class="sign" aria-hidden="true">"✕ "</span>
                    {format!(
                        "No connection to the gateway since {}: the figures are old. Trying again…",
                        format::time_of_day(since_ms, browser::utc_offset_min()),
                    )}
                    <button type="button" on:click=move |_| live.reconnect()>"Try now"</button>
                </p>
            })}
        </div>
    }
}
