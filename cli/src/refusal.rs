//! A device's numbered refusal, explained below the table that it belongs to.

use crate::format::printable;
use gateway_api::Refusal;

/// For a column: `refusal 22`.
pub fn short(refusal: &Refusal) -> String {
    format!("refusal {}", refusal.code)
}

/// `who` is what was refused, where.
pub fn explain(who: &str, refusal: &Refusal) -> String {
    let mut text =
        format!("\n{}: refusal {}: {}\n", printable(who), refusal.code, printable(&refusal.title));
    if !refusal.detail.is_empty() {
        text += &format!("  detail: {}\n", printable(&refusal.detail));
    }
    if !refusal.advice.is_empty() {
        text += &format!("  try: {}\n", printable(&refusal.advice));
    }
    text
}
