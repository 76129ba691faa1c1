//! A place to drop a Wasm file on, and a button for those who do not drag.
//!
//! What is plainly not a module is said at once; all else the gateway checks.

use crate::api::{self, ApiError};
use crate::components::ProblemBox;
use crate::live::Live;
use crate::model::Module;
use crate::wasm_check;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{DragEvent, File};

#[derive(Clone, PartialEq)]
enum Progress {
    Idle,
    Sending(String),
    /// Refused before it was sent.
    NotSent(String),
    Refused(ApiError),
    Done(Box<Module>),
}

#[component]
pub fn Upload() -> impl IntoView {
    let live = Live::here();
    let progress = RwSignal::new(Progress::Idle);
    let name = RwSignal::new(String::new());
    let dragging = RwSignal::new(false);
    let send = move |file: File| {
        let bytes_max = live.session.with_untracked(|session| {
            session.as_ref().map_or(0, |session| session.upload_bytes_max)
        });
        spawn_local(async move {
            progress.set(Progress::Sending(file.name()));
            progress.set(upload(&file, name.get_untracked(), bytes_max).await);
            if matches!(progress.get_untracked(), Progress::Done(_)) {
                name.set(String::new());
            }
        });
    };
    let on_drop = move |event: DragEvent| {
        event.prevent_default();
        dragging.set(false);
        let files = event.data_transfer().and_then(|transfer| transfer.files());
        if let Some(file) = files.and_then(|files| files.get(0)) {
            send(file);
        }
    };
    let on_choose = move |event: leptos::ev::Event| {
        let input = event.target().and_then(|t| t.dyn_into::<web_sys::HtmlInputElement>().ok());
        let Some(input) = input else { return };
        let file = input.files().and_then(|files| files.get(0));
        // So that the same file, repaired, can be chosen once more.
        input.set_value("");
        if let Some(file) = file {
            send(file);
        }
    };
    view! {
        <section
            class="card drop"
            class:dragging=dragging
            aria-labelledby="upload"
            on:dragover=move |event: DragEvent| {
                event.prevent_default();
                dragging.set(true);
            }
            on:dragleave=move |_| dragging.set(false)
            on:drop=on_drop
        >
            <h2 id="upload">"Upload a module"</h2>
            <p class="muted">"Drop a .wasm file here, or choose one."</p>
            <div class="form-row">
                <label>
                    "Name"
                    <input type="text" name="name" placeholder="from the file's name"
                        prop:value=name
                        on:input=move |event| name.set(event_target_value(&event))/>
                </label>
                <label class="button primary">
                    "Choose a file"
                    <input type="file" class="hidden" accept=".wasm,application/wasm"
                        data-upload="" on:change=on_choose/>
                </label>
            </div>
            <div aria-live="polite" data-upload-result="">{move || outcome(progress.get())}</div>
        </section>
    }
}

async fn upload(file: &File, name: String, bytes_max: u64) -> Progress {
    let header = match read_header(file).await {
        Some(header) => header,
        None => return Progress::NotSent("The browser cannot read the file.".to_owned()),
    };
    // A file's size is a whole number far below 2^53.
    if let Err(reason) = wasm_check::check(&header, file.size() as u64, bytes_max) {
        return Progress::NotSent(reason);
    }
    let name = if name.trim().is_empty() {
        wasm_check::suggest_name(&file.name())
    } else {
        name.trim().to_owned()
    };
    match api::upload_module(&name, file).await {
        Ok(module) => Progress::Done(Box::new(module)),
        Err(error) => Progress::Refused(error),
    }
}

async fn read_header(file: &File) -> Option<Vec<u8>> {
    let start = file.slice_with_i32_and_i32(0, wasm_check::HEADER_BYTES as i32).ok()?;
    let buffer = JsFuture::from(start.array_buffer()).await.ok()?;
    Some(js_sys::Uint8Array::new(&buffer).to_vec())
}

fn outcome(progress: Progress) -> AnyView {
    match progress {
        Progress::Idle => ().into_any(),
        Progress::Sending(name) => view! { <p>"Sending "{name}"…"</p> }.into_any(),
        Progress::NotSent(reason) => view! {
            <div class="box bad" role="alert" data-not-sent="">
                <p class="box-title"><span class="sign" aria-hidden="true">"✕ "</span>"Not sent"</p>
                <p>{reason}</p>
            </div>
        }
        .into_any(),
        Progress::Refused(error) => view! { <ProblemBox error/> }.into_any(),
        Progress::Done(module) => view! {
            <div class="box good" data-uploaded=module.id.clone()>
                <p class="box-title">
                    <span class="sign" aria-hidden="true">"● "</span>
                    {format!("{}@{} is here", module.name, module.version)}
                </p>
                <p>"Deploy it below to have it compiled for your devices."</p>
            </div>
        }
        .into_any(),
    }
}
