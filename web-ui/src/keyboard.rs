//! The whole dashboard by keyboard: what a key means, and the list of keys.
//!
//! Keys do nothing while somebody types, nor together with Ctrl, Alt or Meta: those are
//! the browser's.

use crate::browser;
use crate::route::Route;
use leptos::html::Dialog;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The search box of this page, else that of the devices.
    Search,
    Help,
    Go(&'static str),
    /// To the next row, or the one before.
    Row(i32),
    Open,
    Select,
    /// Out of the field that has the focus.
    Leave,
}

/// Every key, as the help shows it.
const KEYS: [(&str, &str); 11] = [
    ("/", "Search"),
    ("?", "This help"),
    ("g o", "Overview"),
    ("g d", "Devices"),
    ("g m", "Modules"),
    ("g p", "Deployments"),
    ("j", "Next row"),
    ("k", "Row before"),
    ("Enter", "Open the row"),
    ("x", "Select the row"),
    ("Esc", "Close, or leave a field"),
];

/// `after_g`: the key before was `g`.
fn action(key: &str, after_g: bool, is_typing: bool) -> Option<Action> {
    Some(match (key, after_g) {
        ("Escape", _) => Action::Leave,
        _ if is_typing => return None,
        ("o", true) => Action::Go("/"),
        ("d", true) => Action::Go("/devices"),
        ("m", true) => Action::Go("/modules"),
        ("p", true) => Action::Go("/deployments"),
        ("/", _) => Action::Search,
        ("?", _) => Action::Help,
        ("j", _) => Action::Row(1),
        ("k", _) => Action::Row(-1),
        ("Enter", _) => Action::Open,
        ("x", _) => Action::Select,
        _ => return None,
    })
}

#[component]
pub fn Keyboard() -> impl IntoView {
    let route = Route::here();
    let dialog = NodeRef::<Dialog>::new();
    let after_g = StoredValue::new(false);
    let on_key = move |event: KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() || event.default_prevented() {
            return;
        }
        let key = event.key();
        let was_g = after_g.get_value();
        after_g.set_value(key == "g");
        let Some(action) = action(&key, was_g, is_typing()) else { return };
        let is_done = match action {
            Action::Search => search(route),
            Action::Help => {
                browser::open_dialog(dialog.get_untracked());
                true
            }
            Action::Go(href) => {
                route.go(href);
                true
            }
            Action::Row(step) => move_row(step),
            Action::Open => click_in_row("a[href]"),
            Action::Select => click_in_row("input[type=checkbox]"),
            // The browser closes a dialog by itself.
            Action::Leave => leave(),
        };
        if is_done {
            event.prevent_default();
        }
    };
    let listener = window_event_listener(leptos::ev::keydown, on_key);
    on_cleanup(move || listener.remove());
    view! {
        <dialog node_ref=dialog aria-labelledby="keys-title" data-help="">
            <h2 id="keys-title">"Keys"</h2>
            <dl class="keys">
                {KEYS.map(|(key, what)| view! {
                    <div><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>
                }.into_any()).collect_view()}
            </dl>
            <form method="dialog" class="form-end"><button autofocus>"Close"</button></form>
        </dialog>
    }
}

fn focused() -> Option<Element> {
    web_sys::window()?.document()?.active_element()
}

fn is_typing() -> bool {
    focused().is_some_and(|element| {
        let kind = element.get_attribute("type").unwrap_or_default();
        match element.tag_name().as_str() {
            "INPUT" => !matches!(kind.as_str(), "checkbox" | "radio" | "file"),
            "TEXTAREA" | "SELECT" => true,
            _ => false,
        }
    })
}

fn find(selector: &str) -> Option<HtmlElement> {
    web_sys::window()?.document()?.query_selector(selector).ok()??.dyn_into().ok()
}

fn search(route: Route) -> bool {
    if let Some(search) = find("#search") {
        let _ = search.focus();
    } else {
        route.go("/devices");
        // The page's elements are there after this turn of the browser.
        request_animation_frame(|| browser::focus("search"));
    }
    true
}

/// The row that has the focus, or holds what has it.
fn row() -> Option<Element> {
    focused()?.closest("tbody tr").ok()?
}

fn move_row(step: i32) -> bool {
    let next = match row() {
        Some(row) if step > 0 => row.next_element_sibling(),
        Some(row) => row.previous_element_sibling(),
        None => find("main tbody tr").map(Element::from),
    };
    let Some(next) = next.and_then(|next| next.dyn_into::<HtmlElement>().ok()) else {
        return false;
    };
    // A row can have the focus, but is not in the order of Tab: its link is.
    next.set_tab_index(-1);
    let _ = next.focus();
    true
}

fn click_in_row(selector: &str) -> bool {
    // What has the focus itself does with Enter what it always does.
    let Some(row) = row().filter(|row| focused().is_some_and(|f| f.is_same_node(Some(row)))) else {
        return false;
    };
    let target = row.query_selector(selector).ok().flatten();
    let Some(target) = target.and_then(|target| target.dyn_into::<HtmlElement>().ok()) else {
        return false;
    };
    target.click();
    true
}

fn leave() -> bool {
    if let Some(element) = focused().and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        let _ = element.blur();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_nothing_to_somebody_who_types() {
        assert_eq!(action("/", false, false), Some(Action::Search));
        assert_eq!(action("/", false, true), None);
        assert_eq!(action("Escape", false, true), Some(Action::Leave));
    }

    #[test]
    fn a_place_needs_its_g() {
        assert_eq!(action("d", true, false), Some(Action::Go("/devices")));
        assert_eq!(action("d", false, false), None);
        assert_eq!(action("j", true, false), Some(Action::Row(1)));
    }

    #[test]
    fn the_help_lists_every_key() {
        for key in ["/", "?", "j", "k", "x", "Enter"] {
            assert!(action(key, false, false).is_some(), "{key}");
            assert!(KEYS.iter().any(|(name, _)| *name == key), "{key}");
        }
        for (name, _) in KEYS {
            if let Some(key) = name.strip_prefix("g ") {
                assert!(matches!(action(key, true, false), Some(Action::Go(_))), "{name}");
            }
        }
    }
}
