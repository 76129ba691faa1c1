//! A device's numbered refusal in words.

use crate::model::Refusal;
use leptos::prelude::*;

#[component]
pub fn RefusalBox(refusal: Refusal) -> AnyView {
    view! {
        <div class="box bad" data-refusal=refusal.code.to_string()>
            <p class="box-title">
                <span class="sign" aria-hidden="true">"✕ "</span>
                {format!("Refusal {}: {}", refusal.code, refusal.title)}
            </p>
            <p>{refusal.advice}</p>
            {(!refusal.detail.is_empty()).then(|| view! {
                <p class="muted">"The device says: " {refusal.detail}</p>
            })}
        </div>
    }
    .into_any()
}
