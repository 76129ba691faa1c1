//! The dashboard: five pages in the browser, served by the gateway.
//!
//! `live` keeps the gateway's lists fresh, `pages` show them, `api` is the only
//! code that sends requests. What can be computed without a browser (`fleet`,
//! `format`, `words`, `wasm_check`, `chart::geometry`, `chart::ticks`) is plain
//! and has its tests beside it. `model` has what is read of the wire's types.

mod api;
mod app;
mod browser;
mod chart;
mod components;
mod device_search;
mod fleet;
mod format;
mod json;
mod keyboard;
mod live;
mod log_filter;
mod model;
mod pages;
mod route;
mod stream;
mod wasm_check;
mod words;

fn main() {
    leptos::mount::mount_to_body(app::App);
}
