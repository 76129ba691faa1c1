//! The table of devices: heads that sort, and one row a device.

use super::Listing;
use super::bulk::Selection;
use crate::components::{EmulatedMark, Pill, device_figure};
use crate::live::Live;
use crate::model::Device;
use crate::words::Tone;
use crate::{device_search, format, words};
use leptos::prelude::*;

/// What a head says, what it sorts by if the gateway can, and whether it is of numbers.
const COLUMNS: [(&str, &str, bool); 8] = [
    ("Device", "name", false),
    ("Status", "status", false),
    ("Architecture", "target", false),
    ("Modules", "", true),
    ("CPU", "cpu", true),
    ("Memory used", "memory", true),
    ("Generation", "", true),
    ("Last report", "last_seen", true),
];

pub fn table(listing: Listing, selection: Selection) -> AnyView {
    let live = Live::here();
    let heads = COLUMNS.map(|(text, sort, is_number)| head(listing, text, sort, is_number));
    let names = move || {
        let name = |d: &Device| (d.id.clone(), d.name.clone());
        listing.page.with(|page| page.iter().flat_map(|p| &p.items).map(name).collect::<Vec<_>>())
    };
    let all = Memo::new(move |_| names().iter().all(|(id, _)| selection.has(id)));
    let rows = move || {
        let now_ms = live.now_ms.get();
        let items = listing.page.with(|page| page.as_ref().map(|page| page.items.clone()));
        items.unwrap_or_default().into_iter().map(|d| row(d, now_ms, selection)).collect_view()
    };
    view! {
        <table class="stack" data-table="devices">
            <thead>
                <tr>
                    <th scope="col" class="pick">
                        <input type="checkbox" aria-label="Select this page" prop:checked=all
                            on:change=move |event| {
                                selection.put(&untrack(names), event_target_checked(&event));
                            }/>
                    </th>
                    {heads.into_iter().collect_view()}
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn head(listing: Listing, text: &'static str, column: &'static str, is_number: bool) -> AnyView {
    let class = if is_number { "num" } else { "" };
    if column.is_empty() {
        return view! { <th scope="col" class=class>{text}</th> }.into_any();
    }
    let direction = move || listing.sort.with(|sort| device_search::sort_direction(sort, column));
    view! {
        <th scope="col" class=class aria-sort=move || direction().map(|(word, _)| word)>
            <button type="button" class="sort" data-sort=column
                on:click=move |_| listing.order(column)>
                {text}
                <span aria-hidden="true">{move || direction().map(|(_, sign)| format!(" {sign}"))}</span>
            </button>
        </th>
    }
    .into_any()
}

fn row(device: Device, now_ms: u64, selection: Selection) -> AnyView {
    let running = device.apps.iter().filter(|app| words::app_tone(&app.state) == Tone::Good);
    let modules = format!("{} of {}", running.count(), device.apps.len());
    let cpu = device.cpu_percent.map(format::percent).unwrap_or_default();
    let used = device.memory_total_bytes.saturating_sub(device.memory_available_bytes);
    let used = format!("{} of {}", format::bytes(used), format::bytes(device.memory_total_bytes));
    let free = Some(device.memory_available_bytes.to_string());
    let (id, name) = (device.id.clone(), device.name.clone());
    let (state, tone) = words::device_state(&device);
    let drift = device.generation != device.generation_wanted && device.last_seen_ms.is_some();
    let refusals =
        device.refusal.iter().chain(device.apps.iter().filter_map(|a| a.refusal.as_ref()));
    let mut marks: Vec<AnyView> = Vec::new();
    for alarm in &device.alarms {
        let text = format!("alarm: {}", alarm.kind);
        marks.push(view! { <Pill tone=Tone::Bad text/> }.into_any());
    }
    if let Some(refusal) = refusals.into_iter().next() {
        let text = format!("refusal {}: {}", refusal.code, refusal.title);
        marks.push(view! { <Pill tone=Tone::Bad text/> }.into_any());
    }
    if drift {
        marks.push(view! { <Pill tone=Tone::Warn text="drift"/> }.into_any());
    }
    let picked = (id.clone(), name.clone());
    let is_picked = {
        let id = id.clone();
        move || selection.has(&id)
    };
    view! {
        <tr data-device-row=id.clone() tabindex="-1">
            <td class="pick">
                <input type="checkbox" aria-label=format!("Select {name}") prop:checked=is_picked
                    on:change=move |event| {
                        selection.put(std::slice::from_ref(&picked), event_target_checked(&event));
                    }/>
            </td>
            <th scope="row"><a href=format!("/devices/{id}")>{name}</a>" "{marks}</th>
            <td data-label="Status"><Pill tone text=state/></td>
            <td data-label="Architecture" class="nowrap">
                <span title=device.target_name.clone()>
                    {device.target.clone()}" "<EmulatedMark emulated=device.emulated/>
                </span>
            </td>
            <td data-label="Modules" class="num"><span>{modules}</span></td>
            <td data-label="CPU" class="num">
                {device_figure(&device, "cpu_percent", device.cpu_percent.map(|p| p.to_string()), cpu)}
            </td>
            <td data-label="Memory used" class="num">
                {device_figure(&device, "memory_available_bytes", free, used)}
            </td>
            <td data-label="Generation" class="num"><span>{generation(&device)}</span></td>
            <td data-label="Last report" class="num"><span>{seen(&device, now_ms)}</span></td>
        </tr>
    }
    .into_any()
}

fn seen(device: &Device, now_ms: u64) -> String {
    device.last_seen_ms.map_or_else(|| "never".to_owned(), |ms| format::ago(ms, now_ms))
}

/// `7`, or `7 → 8` while the device has not taken the wanted one.
pub fn generation(device: &Device) -> String {
    if device.generation == device.generation_wanted {
        device.generation.to_string()
    } else {
        format!("{} → {}", device.generation, device.generation_wanted)
    }
}
