//! Which page the address names, and how to get to another one without a reload.
//!
//! Five pages and one parameter need no library. Links are plain `<a href>`: one
//! listener on the document takes the clicks on those that lead to a page, so that
//! everything a browser does with links still works.

use crate::browser;
use leptos::prelude::*;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MouseEvent, UrlSearchParams};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    Overview,
    Devices,
    /// By its id, or a name where a person typed it.
    Device(String),
    Modules,
    Deployments,
    NotFound,
}

impl Page {
    /// `decode` undoes the escapes of a part of a path.
    fn of(path: &str, decode: impl Fn(&str) -> String) -> Self {
        match path.trim_end_matches('/') {
            "" => Self::Overview,
            "/devices" => Self::Devices,
            "/modules" => Self::Modules,
            "/deployments" => Self::Deployments,
            other => match other.strip_prefix("/devices/") {
                Some(device) if !device.contains('/') => Self::Device(decode(device)),
                _ => Self::NotFound,
            },
        }
    }
}

/// Everything else on this origin is not for the pages: the API, and the login.
fn is_page_link(href: &str) -> bool {
    let path = href.split(['?', '#']).next().unwrap_or_default();
    href.starts_with('/')
        && !href.starts_with("//")
        && !path.starts_with("/api/")
        && path != "/login"
        && path != "/metrics"
}

#[derive(Clone, Copy)]
pub struct Route {
    pub page: Memo<Page>,
    path: RwSignal<String>,
    /// With its `?`, or empty.
    query: RwSignal<String>,
}

impl Route {
    /// Made once; listens for as long as the tab lives.
    pub fn start() -> Self {
        let (path, query) = address();
        let (path, query) = (RwSignal::new(path), RwSignal::new(query));
        let page = Memo::new(move |_| path.with(|path| Page::of(path, decode)));
        let route = Self { page, path, query };
        listen("popstate", move |_| route.take_address());
        listen("click", move |event| route.on_click(event.unchecked_into()));
        route
    }

    pub fn here() -> Self {
        expect_context()
    }

    /// Of the address behind its `?`; tracked.
    pub fn parameter(self, name: &str) -> String {
        self.query.with(|query| parse(query).get(name)).unwrap_or_default()
    }

    pub fn go(self, href: &str) {
        self.write_address(href, false);
        // As a load would: to the top, and a screen reader begins with the page.
        if let Some(window) = web_sys::window() {
            window.scroll_to_with_x_and_y(0.0, 0.0);
        }
        browser::focus("main");
    }

    /// Changes parameters in place; one that becomes empty goes. Back leads to the page
    /// before and not to each letter of a search.
    pub fn set_parameters(self, changes: &[(&str, &str)]) {
        let parameters = self.query.with_untracked(|query| parse(query));
        for (name, value) in changes {
            if value.is_empty() {
                parameters.delete(name);
            } else {
                parameters.set(name, value);
            }
        }
        let query = String::from(parameters.to_string());
        let mark = if query.is_empty() { "" } else { "?" };
        let href = format!("{}{mark}{query}", self.path.get_untracked());
        self.write_address(&href, true);
    }

    fn write_address(self, href: &str, replace: bool) {
        let Some(history) = web_sys::window().and_then(|window| window.history().ok()) else {
            return;
        };
        // Fails only for an address of another origin, which nobody gives.
        let _ = if replace {
            history.replace_state_with_url(&JsValue::NULL, "", Some(href))
        } else {
            history.push_state_with_url(&JsValue::NULL, "", Some(href))
        };
        self.take_address();
    }

    fn take_address(self) {
        let (path, query) = address();
        if self.path.with_untracked(|known| *known != path) {
            self.path.set(path);
        }
        if self.query.with_untracked(|known| *known != query) {
            self.query.set(query);
        }
    }

    fn on_click(self, event: MouseEvent) {
        let elsewhere =
            event.ctrl_key() || event.meta_key() || event.shift_key() || event.alt_key();
        if event.default_prevented() || event.button() != 0 || elsewhere {
            return;
        }
        let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let link = target.and_then(|target| target.closest("a[href]").ok().flatten());
        let Some(link) = link.filter(|link| !link.has_attribute("download")) else { return };
        let href = link.get_attribute("href").unwrap_or_default();
        if is_page_link(&href) {
            event.prevent_default();
            self.go(&href);
        }
    }
}

fn address() -> (String, String) {
    let location = web_sys::window().map(|window| window.location());
    let part = |part: fn(&web_sys::Location) -> Result<String, JsValue>| {
        location.as_ref().and_then(|location| part(location).ok()).unwrap_or_default()
    };
    (part(web_sys::Location::pathname), part(web_sys::Location::search))
}

fn parse(query: &str) -> UrlSearchParams {
    // Of any text some parameters can be made.
    UrlSearchParams::new_with_str(query).unwrap_or_else(|error| error.unchecked_into())
}

fn decode(part: &str) -> String {
    js_sys::decode_uri_component(part).map_or_else(|_| part.to_owned(), String::from)
}

fn listen(name: &str, on_event: impl Fn(web_sys::Event) + 'static) {
    let closure = Closure::<dyn FnMut(web_sys::Event)>::new(on_event);
    if let Some(window) = web_sys::window() {
        let _ = window.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    }
    closure.forget();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_page() {
        let page = |path: &str| Page::of(path, str::to_owned);
        assert_eq!(page("/"), Page::Overview);
        assert_eq!(page("/devices"), Page::Devices);
        assert_eq!(page("/devices/"), Page::Devices);
        assert_eq!(page("/devices/demo-x86"), Page::Device("demo-x86".into()));
        assert_eq!(page("/devices/a/b"), Page::NotFound);
        assert_eq!(page("/shells"), Page::NotFound);
    }

    #[test]
    fn only_links_to_pages_are_followed_without_a_load() {
        for (href, is_page) in [
            ("/", true),
            ("/devices?q=status:offline", true),
            ("/api/v1/openapi.json", false),
            ("//elsewhere/devices", false),
            ("https://elsewhere/", false),
            ("/login?token=a", false),
            ("#main", false),
        ] {
            assert_eq!(is_page_link(href), is_page, "{href}");
        }
    }
}
