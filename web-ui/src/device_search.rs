//! What a person does to the text of a search for devices: chips, columns, saved filters.
//!
//! The gateway alone knows what a term means; here terms are words between spaces.

/// As many searches as fit a look.
const SAVED_MAX: usize = 20;

/// Each once, in their order.
pub fn terms(q: &str) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for word in q.split_whitespace() {
        if !terms.iter().any(|term| term == word) {
            terms.push(word.to_owned());
        }
    }
    terms
}

pub fn without(q: &str, term: &str) -> String {
    let kept: Vec<String> = terms(q).into_iter().filter(|one| one != term).collect();
    kept.join(" ")
}

/// With `term`, which takes the place of one of the same facet.
pub fn with(q: &str, term: &str) -> String {
    let facet = term.split_once(':').map(|(facet, _)| format!("{facet}:"));
    let is_replaced = |one: &String| facet.as_ref().is_some_and(|facet| one.starts_with(facet));
    let mut kept: Vec<String> = terms(q).into_iter().filter(|one| !is_replaced(one)).collect();
    kept.push(term.to_owned());
    kept.join(" ")
}

/// A click on a column's head: first upwards, then downwards.
pub fn next_sort(sort: &str, column: &str) -> String {
    let now = if sort.is_empty() { "name" } else { sort };
    if now == column { format!("-{column}") } else { column.to_owned() }
}

/// For `aria-sort`, and the sign beside the name.
pub fn sort_direction(sort: &str, column: &str) -> Option<(&'static str, &'static str)> {
    let now = if sort.is_empty() { "name" } else { sort };
    if now == column {
        Some(("ascending", "▲"))
    } else if now.strip_prefix('-') == Some(column) {
        Some(("descending", "▼"))
    } else {
        None
    }
}

/// Saved searches as they are kept: one a line.
pub fn saved(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take(SAVED_MAX).map(str::to_owned).collect()
}

/// The newest comes first, and one of which there are two stays once.
pub fn save(saved: &mut Vec<String>, q: &str) {
    let q = terms(q).join(" ");
    saved.retain(|one| *one != q);
    if !q.is_empty() {
        saved.insert(0, q);
    }
    saved.truncate(SAVED_MAX);
}

/// `51 to 100 of 9 812`, from what stands before this page.
pub fn range(before: u64, shown: usize, total: u64) -> String {
    use crate::format::{count, plural};
    match shown as u64 {
        0 => "none".to_owned(),
        shown if shown == total => plural(shown as usize, "device"),
        shown => format!("{} to {} of {}", count(before + 1), count(before + shown), count(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_come_and_go_by_whole_words() {
        assert_eq!(terms(" status:offline  kitchen kitchen "), ["status:offline", "kitchen"]);
        assert_eq!(without("status:offline kitchen", "status:offline"), "kitchen");
        assert_eq!(without("kitchen2 kitchen", "kitchen"), "kitchen2");
        assert_eq!(with("kitchen", "status:new"), "kitchen status:new");
        assert_eq!(with("status:offline kitchen", "status:new"), "kitchen status:new");
    }

    #[test]
    fn a_column_turns_at_its_second_click() {
        assert_eq!(next_sort("", "cpu"), "cpu");
        assert_eq!(next_sort("cpu", "cpu"), "-cpu");
        assert_eq!(next_sort("-cpu", "cpu"), "cpu");
        assert_eq!(next_sort("", "name"), "-name");
        assert_eq!(sort_direction("", "name"), Some(("ascending", "▲")));
        assert_eq!(sort_direction("-cpu", "cpu"), Some(("descending", "▼")));
        assert_eq!(sort_direction("-cpu", "name"), None);
    }

    #[test]
    fn saved_searches_are_few_and_different() {
        let mut all = saved(Some("a b\n\n c \n".into()));
        assert_eq!(all, ["a b", "c"]);
        save(&mut all, " c");
        save(&mut all, "");
        assert_eq!(all, ["c", "a b"]);
        (0..40).for_each(|number| save(&mut all, &number.to_string()));
        assert_eq!((all.len(), all[0].as_str()), (SAVED_MAX, "39"));
        assert!(saved(None).is_empty());
    }

    #[test]
    fn a_page_says_where_it_stands() {
        assert_eq!(range(0, 0, 0), "none");
        assert_eq!(range(0, 3, 3), "3 devices");
        assert_eq!(range(50, 50, 9_812), "51 to 100 of 9\u{202f}812");
    }
}
