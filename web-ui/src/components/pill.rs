//! A state as a word with a sign before it; the colour only repeats them.
//!
//! Like the other small parts it hides its type, so that the download holds its
//! code once and not in each place of use.

use crate::words::Tone;
use leptos::prelude::*;

#[component]
pub fn Pill(tone: Tone, #[prop(into)] text: String) -> AnyView {
    view! {
        <span class=format!("pill {}", tone.class())>
            <span class="sign" aria-hidden="true">{tone.sign()}</span>
            {text}
        </span>
    }
    .into_any()
}
