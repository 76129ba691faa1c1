//! Who did what last, from the audit log.

use crate::api::{self, ApiError};
use crate::components::ProblemBox;
use crate::live::Live;
use crate::model::AuditRecord;
use crate::{browser, format};
use leptos::prelude::*;
use leptos::task::spawn_local;

const RECORDS: u64 = 8;
/// Of one record, which can be of many devices.
const ACTIONS_SHOWN: usize = 2;

#[component]
pub fn Recent() -> impl IntoView {
    let live = Live::here();
    let records = RwSignal::new(Vec::<AuditRecord>::new());
    let error = RwSignal::new(None::<ApiError>);
    let is_asking = StoredValue::new(false);
    Effect::new(move |_| {
        live.beat.track();
        if is_asking.get_value() {
            return;
        }
        is_asking.set_value(true);
        spawn_local(async move {
            match api::audit(RECORDS).await {
                Ok(page) => {
                    records.try_set(page.records.into_iter().rev().collect());
                    error.try_set(None);
                }
                // The old ones stay, and the banner says that they are old.
                Err(ApiError::Unreachable(_)) => {}
                Err(refused) => drop(error.try_set(Some(refused))),
            }
            is_asking.try_set_value(false);
        });
    });
    let row = |record: AuditRecord| {
        let more = record.actions.len().saturating_sub(ACTIONS_SHOWN);
        let what = record.actions.iter().take(ACTIONS_SHOWN);
        let what = what.map(|action| format!("{} {}", action.what, action.subject));
        let mut what = format::with_short_ids(&what.collect::<Vec<_>>().join(", "));
        if more > 0 {
            what.push_str(&format!(" and {more} more"));
        }
        let time = format::date_time(record.time_ms, browser::utc_offset_min());
        let ago = format::ago(record.time_ms, browser::now_ms());
        view! {
            <tr>
                <td data-label="When" class="nowrap"><span title=time>{ago}</span></td>
                <td data-label="Who"><span>{record.actor}</span></td>
                <td data-label="What"><span class="wrap">{what}</span></td>
            </tr>
        }
        .into_any()
    };
    view! {
        <section class="card" aria-labelledby="recent">
            <h2 id="recent">"Recent changes"</h2>
            {move || error.get().map(|error| view! { <ProblemBox error/> })}
            <table class="stack" data-table="recent">
                <thead><tr>
                    <th scope="col">"When"</th><th scope="col">"Who"</th><th scope="col">"What"</th>
                </tr></thead>
                <tbody>{move || records.get().into_iter().map(row).collect_view()}</tbody>
            </table>
        </section>
    }
}
