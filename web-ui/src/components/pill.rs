//! A state as a word with a sign before it; the colour only repeats them.

use crate::words::Tone;
use leptos::prelude::*;

#[component]
pub fn Pill(tone: Tone, #[prop(into)] text: String) -> impl IntoView {
    view! {
        <span class=format!("pill {}", tone.class())>
            <span class="sign" aria-hidden="true">{tone.sign()}</span>
            {text}
        </span>
    }
}
