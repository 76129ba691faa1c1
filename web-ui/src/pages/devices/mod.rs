//! Find the devices that matter: one search, a page of rows, and what to do with those
//! that are selected. The gateway finds and orders; at most [`ROWS`] rows are here.

mod bulk;
mod remove;
mod row;
mod search;

use crate::api::{self, ApiError};
use crate::components::{Empty, EmulatedNote, ProblemBox, Skeleton};
use crate::device_search;
use crate::live::Live;
use crate::model::{Device, Page};
use crate::route::Route;
use bulk::{BulkBar, Selection};
use leptos::prelude::*;
use leptos::task::spawn_local;
pub use row::generation;
use search::SearchBar;

/// In a page of the list.
const ROWS: usize = 50;

/// What is shown, and how it came there.
#[derive(Clone, Copy)]
struct Listing {
    route: Route,
    q: Memo<String>,
    sort: Memo<String>,
    cursor: Memo<String>,
    page: RwSignal<Option<Page<Device>>>,
    error: RwSignal<Option<ApiError>>,
    /// Cursors of the pages before this one.
    trail: RwSignal<Vec<String>>,
    /// The number of the newest question, and whether it is not answered yet.
    asked: StoredValue<(u64, bool)>,
}

impl Listing {
    fn of_address() -> Self {
        let route = Route::here();
        Self {
            route,
            q: Memo::new(move |_| route.parameter("q")),
            sort: Memo::new(move |_| route.parameter("sort")),
            cursor: Memo::new(move |_| route.parameter("cursor")),
            page: RwSignal::new(None),
            error: RwSignal::new(None),
            trail: RwSignal::new(vec![]),
            asked: StoredValue::new((0, false)),
        }
    }

    /// The answer to an older question is dropped: rows always fit the search box.
    fn ask(self) {
        let number = self.asked.with_value(|(number, _)| number + 1);
        self.asked.set_value((number, true));
        let (q, sort) = (self.q.get_untracked(), self.sort.get_untracked());
        let cursor = self.cursor.get_untracked();
        spawn_local(async move {
            let answer = api::devices(&q, &sort, &cursor, ROWS).await;
            // `try`: the page may have been left.
            if self.asked.try_get_value().is_none_or(|(newest, _)| newest != number) {
                return;
            }
            self.asked.set_value((number, false));
            match answer {
                Ok(page) => {
                    self.error.set(None);
                    self.page.set(Some(page));
                }
                // The rows stay, and the banner says that they are old.
                Err(ApiError::Unreachable(_)) if self.page.with_untracked(Option::is_some) => {}
                Err(error) => self.error.set(Some(error)),
            }
        });
    }

    fn ask_again(self) {
        if !self.asked.with_value(|(_, is_open)| *is_open) {
            self.ask();
        }
    }

    fn search(self, q: &str) {
        self.change(&[("q", q), ("cursor", "")]);
    }

    fn order(self, column: &str) {
        let sort = device_search::next_sort(&self.sort.get_untracked(), column);
        self.change(&[("sort", &sort), ("cursor", "")]);
    }

    fn change(self, parameters: &[(&str, &str)]) {
        self.trail.set(vec![]);
        self.route.set_parameters(parameters);
    }

    fn forward(self, next: &str) {
        self.trail.update(|trail| trail.push(self.cursor.get_untracked()));
        self.route.set_parameters(&[("cursor", next)]);
    }

    fn back(self) {
        let before = self.trail.try_update(Vec::pop).flatten().unwrap_or_default();
        self.route.set_parameters(&[("cursor", &before)]);
    }
}

#[component]
pub fn Devices() -> impl IntoView {
    let live = Live::here();
    let listing = Listing::of_address();
    let selection = Selection::default();
    Effect::new(move |_| {
        listing.q.track();
        listing.sort.track();
        listing.cursor.track();
        listing.ask();
    });
    Effect::new(move |_| {
        live.beat.track();
        listing.ask_again();
    });
    // Who searches for something else means other devices.
    Effect::new(move |_| {
        listing.q.track();
        selection.clear();
    });
    let nobody = Memo::new(move |_| {
        let is_empty = listing.page.with(|page| page.as_ref().is_some_and(|page| page.total == 0));
        is_empty && listing.q.with(String::is_empty)
    });
    view! {
        <h1 data-page="devices">"Devices"</h1>
        {move || if nobody.get() {
            view! {
                <Empty title="No device has enrolled yet">
                    <p>"Make a claim token and give it to an agent:"</p>
                    <pre><code>"farrier device enrol-token"</code></pre>
                    <p class="muted">"It appears here by itself."</p>
                </Empty>
            }.into_any()
        } else {
            view! {
                <SearchBar listing/>
                <BulkBar selection listing/>
                {move || listing.error.get().map(|error| view! { <ProblemBox error/> })}
                <List listing selection/>
            }.into_any()
        }}
    }
}

#[component]
fn List(listing: Listing, selection: Selection) -> impl IntoView {
    let any_emulated = Memo::new(move |_| {
        listing.page.with(|page| page.iter().flat_map(|page| &page.items).any(|d| d.emulated))
    });
    // Whether there are rows, and not which: the table stands while they change.
    let rows = Memo::new(move |_| {
        listing.page.with(|page| page.as_ref().map(|page| page.items.len().min(1) as u64))
    });
    view! {
        {move || match rows.get() {
            None if listing.error.with(Option::is_some) => ().into_any(),
            None => view! { <Skeleton/> }.into_any(),
            Some(0) => view! {
                <div class="card empty" data-empty="">
                    <p class="box-title">"No device fits this search"</p>
                    <button type="button" on:click=move |_| listing.search("")>
                        "Clear the search"
                    </button>
                </div>
            }.into_any(),
            Some(_) => view! {
                <section class="card" aria-label="Devices">
                    {row::table(listing, selection)}
                    {pager(listing)}
                    <EmulatedNote shown=any_emulated/>
                </section>
            }.into_any(),
        }}
    }
}

fn pager(listing: Listing) -> AnyView {
    let is_first = move || listing.cursor.with(String::is_empty);
    let next = move || listing.page.with(|page| page.as_ref().and_then(|page| page.next.clone()));
    let place = move || {
        let before = (listing.trail.with(Vec::len) * ROWS) as u64;
        listing.page.with(|page| {
            let (shown, total) = page.as_ref().map_or((0, 0), |p| (p.items.len(), p.total));
            match before {
                // An address that was shared says nothing of the pages before it.
                0 if !listing.cursor.with(String::is_empty) => format!("{shown} of {total}"),
                before => device_search::range(before, shown, total),
            }
        })
    };
    view! {
        <div class="pager">
            <span class="num" role="status" data-total="">{place}</span>
            <button type="button" disabled=is_first on:click=move |_| listing.back()>
                {move || if listing.trail.with(Vec::is_empty) { "First" } else { "Previous" }}
            </button>
            <button type="button" data-next="" disabled=move || next().is_none()
                on:click=move |_| {
                    if let Some(next) = untrack(next) {
                        listing.forward(&next);
                    }
                }>
                "Next"
            </button>
        </div>
    }
    .into_any()
}
