//! The longer story of a module on a device: how punctual it is, what it calls and
//! sends, what confines it, how it trapped. Tables of text, so that one function draws
//! them all.

use crate::format::{bytes, count, microseconds};
use crate::model::AppStatus;
use leptos::prelude::*;

/// A title, heads, and rows; the first cell of a row is its name.
struct Table {
    title: &'static str,
    heads: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// The one that is open stays open while figures change.
pub fn details(app: &AppStatus, opened: RwSignal<bool>) -> AnyView {
    let tables: Vec<Table> = tables(app).into_iter().filter(|t| !t.rows.is_empty()).collect();
    if tables.is_empty() {
        return ().into_any();
    }
    view! {
        <button type="button" class="quiet" aria-expanded=move || opened.get().to_string()
            data-app-details="" on:click=move |_| opened.update(|opened| *opened = !*opened)>
            {move || if opened.get() { "Less" } else { "Ticks, channels, calls, confinement" }}
        </button>
        {opened.get().then(|| tables.into_iter().map(draw).collect_view())}
    }
    .into_any()
}

fn draw(table: Table) -> AnyView {
    let row = |cells: Vec<String>| {
        let cells = cells.into_iter().enumerate().map(|(index, text)| match index {
            0 => view! { <th scope="row">{text}</th> }.into_any(),
            _ => view! { <td class="num">{text}</td> }.into_any(),
        });
        view! { <tr>{cells.collect_view()}</tr> }.into_any()
    };
    let heads = table.heads.iter().enumerate().map(|(index, text)| {
        view! { <th scope="col" class=if index == 0 { "" } else { "num" }>{*text}</th> }.into_any()
    });
    view! {
        <div class="scroll small" tabindex="0" role="region" aria-label=table.title>
            <table>
                <caption>{table.title}</caption>
                <thead><tr>{heads.collect_view()}</tr></thead>
                <tbody>{table.rows.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn tables(app: &AppStatus) -> Vec<Table> {
    let channel = |name: &str, direction: &str, depth: u32, messages: u64, dropped: u64| {
        vec![
            name.to_owned(),
            direction.to_owned(),
            count(depth.into()),
            count(messages),
            count(dropped),
        ]
    };
    let outlets = app
        .outlets
        .iter()
        .map(|o| channel(&o.channel, "publishes", o.depth, o.published, o.dropped));
    let inboxes = app
        .inboxes
        .iter()
        .map(|i| channel(&i.channel, "subscribes", i.depth, i.received, i.dropped));
    let calls = app.host_calls.iter().map(|call| {
        vec![
            call.import.clone(),
            count(call.calls),
            bytes(call.bytes),
            microseconds(call.time_ns / 1_000),
        ]
    });
    let metrics =
        app.metrics.iter().map(|metric| vec![metric.name.clone(), metric.value.to_string()]);
    let traps =
        app.trap_kinds.iter().map(|trap| vec![trap.kind.replace('-', " "), count(trap.count)]);
    let limits =
        app.limit_hits.iter().map(|hit| vec![hit.limit.replace('-', " "), count(hit.hits)]);
    vec![
        Table { title: "Ticks", heads: &["Figure", "Value"], rows: ticks(app) },
        Table { title: "Class and confinement", heads: &["What", "Value"], rows: confinement(app) },
        Table {
            title: "Channels",
            heads: &["Channel", "Direction", "Waiting", "Messages", "Dropped"],
            rows: outlets.chain(inboxes).collect(),
        },
        Table {
            title: "Host calls",
            heads: &["Function", "Calls", "Bytes", "Time"],
            rows: calls.collect(),
        },
        Table { title: "Its own metrics", heads: &["Metric", "Value"], rows: metrics.collect() },
        Table {
            title: "Limits reached, and traps",
            heads: &["Kind", "Times"],
            rows: limits.chain(traps).chain(last_trap(app)).collect(),
        },
    ]
}

fn ticks(app: &AppStatus) -> Vec<Vec<String>> {
    let Some(ticks) = &app.ticks else { return vec![] };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("Period", microseconds(ticks.period_us)),
        row("Deadline", microseconds(ticks.deadline_us)),
        row("Ticks", count(ticks.ticks)),
        row("Deadlines missed", count(ticks.missed)),
        row("Left out, an earlier one was not over", count(ticks.skipped)),
        row("Over their processor time", count(ticks.overran)),
        row("Longest response", microseconds(ticks.response_max_us)),
    ];
    if let Some(last) = &ticks.last {
        rows.extend([
            row("Last report: missed", format!("{} of {}", last.missed, last.ticks)),
            row("Last report: response, p99", microseconds(last.response.p99_us)),
            row("Last report: response, mean", microseconds(last.response.mean_us)),
            row("Last report: late to begin, longest", microseconds(last.start.max_us)),
            row("Last report: jitter", microseconds(last.jitter_us)),
        ]);
    }
    rows
}

fn confinement(app: &AppStatus) -> Vec<Vec<String>> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let class = match &app.scheduling {
        None => "best effort".to_owned(),
        Some(in_force) => {
            let mut words =
                vec![in_force.policy.clone().unwrap_or_else(|| "best effort".to_owned())];
            words.extend(in_force.priority.map(|priority| format!("priority {priority}")));
            words.extend(in_force.runtime_us.map(|us| format!("{} of run time", microseconds(us))));
            words.extend(in_force.deadline_us.map(|us| format!("deadline {}", microseconds(us))));
            words.extend(in_force.period_us.map(|us| format!("period {}", microseconds(us))));
            words.extend(in_force.cpu_weight.map(|weight| format!("weight {weight}")));
            if !in_force.cpus.is_empty() {
                let cpus: Vec<String> = in_force.cpus.iter().map(u32::to_string).collect();
                words.push(format!("processors {}", cpus.join(" ")));
            }
            words.join(", ")
        }
    };
    let confined = match &app.confinement {
        None => "not reported".to_owned(),
        Some(by) if by.is_empty() => "nothing".to_owned(),
        Some(by) => by.join(", "),
    };
    let mut rows = vec![row("Scheduling class", class), row("Worker is confined by", confined)];
    if let Some(storage) = &app.storage {
        let text = format!("{} of {}", bytes(storage.used_bytes), bytes(storage.quota_bytes));
        rows.push(row("Storage", text));
    }
    if let Some(overhead) = app.overhead_bytes {
        rows.push(row("Runtime's memory for it", bytes(overhead)));
    }
    if let Some(company) = &app.company {
        let text = format!("{} modules, displaced {} times", company.modules, company.displaced);
        rows.push(row("Shares its process", text));
    }
    rows
}

fn last_trap(app: &AppStatus) -> Option<Vec<String>> {
    let trap = app.last_trap.as_ref()?;
    let kind = trap.kind.as_deref().unwrap_or("trap").replace('-', " ");
    let place = trap.place.as_ref().map(|place| {
        let name = place.name.clone().unwrap_or_else(|| format!("function {}", place.function));
        match place.offset {
            Some(offset) => format!(" in {name} at {offset:#x}"),
            None => format!(" in {name}"),
        }
    });
    let text = format!("{kind}{}: {}", place.unwrap_or_default(), trap.detail);
    Some(vec![format!("last, in {}", trap.export), text])
}
