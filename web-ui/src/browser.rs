//! The few questions to the browser that no library asks for us.

use wasm_bindgen::JsCast;
use web_sys::{HtmlDialogElement, HtmlElement};

/// Where `boot.js` looks before the first paint.
const THEME_KEY: &str = "farrier-theme";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The order in which the button goes through them.
    pub fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }
}

pub fn now_ms() -> u64 {
    // A time in milliseconds is a whole number far below 2^53.
    js_sys::Date::now() as u64
}

/// What to add to UTC for the reader's clock.
pub fn utc_offset_min() -> i32 {
    -(js_sys::Date::new_0().get_timezone_offset() as i32)
}

/// Puts the focus on the element with this id, if there is one.
pub fn focus(id: &str) {
    let element = web_sys::window().and_then(|window| {
        window.document()?.get_element_by_id(id)?.dyn_into::<HtmlElement>().ok()
    });
    if let Some(element) = element {
        // Fails for nothing that stands in the page.
        let _ = element.focus();
    }
}

/// Nobody looks at this tab.
pub fn is_hidden() -> bool {
    web_sys::window().and_then(|window| window.document()).is_some_and(|d| d.hidden())
}

pub fn theme() -> Theme {
    match storage().and_then(|storage| storage.get_item(THEME_KEY).ok()?).as_deref() {
        Some("light") => Theme::Light,
        Some("dark") => Theme::Dark,
        _ => Theme::System,
    }
}

pub fn set_theme(theme: Theme) {
    let root = web_sys::window()
        .and_then(|window| window.document()?.document_element()?.dyn_into::<HtmlElement>().ok());
    if let Some(root) = root {
        match theme {
            Theme::System => root.dataset().delete("theme"),
            // An attribute that cannot be set costs a colour, nothing else.
            chosen => drop(root.dataset().set("theme", chosen.as_str())),
        }
    }
    if let Some(storage) = storage() {
        // Storage can be full or forbidden; then the choice lasts for this page.
        let _ = match theme {
            Theme::System => storage.remove_item(THEME_KEY),
            chosen => storage.set_item(THEME_KEY, chosen.as_str()),
        };
    }
}

/// What this browser keeps under a name, between visits.
pub fn stored(key: &str) -> Option<String> {
    storage()?.get_item(key).ok()?
}

/// Storage can be full or forbidden; then it lasts for this page.
pub fn store(key: &str, value: &str) {
    if let Some(storage) = storage() {
        let _ = storage.set_item(key, value);
    }
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok()?
}

/// Opens a `<dialog>`; the browser keeps the focus inside until it closes.
pub fn open_dialog(dialog: Option<HtmlDialogElement>) {
    if let Some(dialog) = dialog.filter(|dialog| !dialog.open()) {
        // Fails only for an element that is not in the page.
        let _ = dialog.show_modal();
    }
}
