//! From text to shape, with all errors at once.
//!
//! `serde` gives up at the first error. So what it complained of is cut out of the
//! parsed tree and the tree read again, until nothing is left to complain of: one error
//! a round, and each round takes something away.

use crate::error::{Errors, excerpt};
use crate::names::nearest;
use crate::shape::File;
use crate::{FILE_BYTES_MAX, FORMAT, not_yet};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// The file's shape, without what was wrong with it: see [`Errors::is_partial`].
pub fn parse(text: &str, errors: &mut Errors<'_>) -> Option<File> {
    if text.len() > FILE_BYTES_MAX {
        let what = format!(
            "the file is {} bytes, and {FILE_BYTES_MAX} are the most; split the application",
            text.len()
        );
        errors.add(&(0..0), what);
        return None;
    }
    let (table, mistakes) = DeTable::parse_recoverable(text);
    if !mistakes.is_empty() {
        // The tree behind a mistake of syntax is a guess.
        for mistake in mistakes {
            let span = mistake.span().unwrap_or(0..0);
            errors.add(&span, format!("not TOML: {}", mistake.message()));
        }
        return None;
    }
    let span = table.span();
    let mut tree = Spanned::new(span, DeValue::Table(table.into_inner()));
    if is_of_another_format(&tree, errors) {
        return None;
    }
    read_shape(&mut tree, errors)
}

/// Nothing else of such a file can be judged.
fn is_of_another_format(tree: &Spanned<DeValue<'_>>, errors: &mut Errors<'_>) -> bool {
    let DeValue::Table(table) = tree.get_ref() else { return false };
    let Some((_, value)) = table.iter().find(|(key, _)| key.get_ref() == "format") else {
        return false;
    };
    let Ok(format) = u64::deserialize(ValueDeserializer::from(value.clone())) else {
        return false;
    };
    if format == u64::from(FORMAT) {
        return false;
    }
    let what = format!(
        "the file has format {format}, and this build reads format {FORMAT}; {}",
        match format > u64::from(FORMAT) {
            true => "a newer Farrier reads it",
            false => "write format = 1",
        }
    );
    errors.add(&value.span(), what);
    true
}

fn read_shape(tree: &mut Spanned<DeValue<'_>>, errors: &mut Errors<'_>) -> Option<File> {
    let mut cuts = Cuts::default();
    loop {
        let error = match File::deserialize(ValueDeserializer::from(tree.clone())) {
            Ok(file) => return Some(file),
            Err(error) => error,
        };
        errors.is_partial = true;
        let span = error.span().unwrap_or_else(|| tree.span());
        let missing = quoted_after(error.message(), "missing field `");
        let table_span = tree.span();
        let key = cut(tree, &span, &table_span, &mut cuts);
        let is_consequence = missing.is_some_and(|name| cuts.has(&span, name));
        if !is_consequence {
            errors.add(&span, in_words(error.message(), key.as_deref()));
        }
        if key.is_none() || errors.is_full() {
            return None;
        }
    }
}

/// What was taken from which table, so that its absence is not complained of as well.
#[derive(Default)]
struct Cuts(BTreeSet<(usize, usize, String)>);

impl Cuts {
    fn note(&mut self, table: &Range<usize>, key: &str) {
        self.0.insert((table.start, table.end, key.to_owned()));
    }

    fn has(&self, table: &Range<usize>, key: &str) -> bool {
        self.0.contains(&(table.start, table.end, key.to_owned()))
    }
}

/// Takes away the innermost thing that has this span, and gives the name of its field.
fn cut(
    value: &mut Spanned<DeValue<'_>>,
    span: &Range<usize>,
    own_span: &Range<usize>,
    cuts: &mut Cuts,
) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => {
            let mut found = None;
            for (key, inner) in table.iter_mut() {
                let inner_span = inner.span();
                if let Some(name) = cut(inner, span, &inner_span, cuts) {
                    // The name of what is in a list is the list's.
                    return Some(if name.is_empty() { key.get_ref().to_string() } else { name });
                }
                if key.span() == *span || inner_span == *span {
                    found = Some(key.clone());
                    break;
                }
            }
            let key = found?;
            table.remove(&key);
            let name = key.get_ref().to_string();
            cuts.note(own_span, &name);
            Some(name)
        }
        DeValue::Array(array) => {
            let mut found = None;
            for (index, inner) in array.iter_mut().enumerate() {
                let inner_span = inner.span();
                if let Some(name) = cut(inner, span, &inner_span, cuts) {
                    return Some(name);
                }
                if inner_span == *span {
                    found = Some(index);
                    break;
                }
            }
            let found = found?;
            let kept = array.iter().enumerate().filter(|(index, _)| *index != found);
            *array = kept.map(|(_, inner)| inner.clone()).collect();
            Some(String::new())
        }
        _ => None,
    }
}

/// The message of the reader in our words, with what to do.
fn in_words(message: &str, key: Option<&str>) -> String {
    if let Some(name) = quoted_after(message, "unknown field `") {
        return match name.starts_with("$__toml") {
            // How a date looks where a table is read.
            true => format!("{:?} is wrong: a date means nothing here", key.unwrap_or_default()),
            false => unknown_field(name, message),
        };
    }
    if let Some(name) = quoted_after(message, "missing field `") {
        return format!("{name:?} is missing here; add it");
    }
    let message = excerpt_of_message(message);
    match key {
        Some(key) if !key.is_empty() => format!("{:?} is wrong: {message}", excerpt(key)),
        _ => message,
    }
}

fn unknown_field(name: &str, message: &str) -> String {
    let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
    let shown = excerpt(name);
    if let Some(why) = not_yet::field(name) {
        return format!("{shown:?} is not supported yet: {why}");
    }
    if let ("labels" | "accelerators", false) = (name, known.contains(&name)) {
        return format!("there is no field {shown:?} here; write placement = {{ {name} = … }}");
    }
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("there is no field {shown:?} here; did you mean {near:?}?"),
        None => {
            format!("there is no field {shown:?} here; take it out. There are {}", known.join(", "))
        }
    }
}

/// `serde` names Rust's types.
fn excerpt_of_message(message: &str) -> String {
    let message = message
        .replace("expected u32", "expected a whole number from 0 to 4294967295")
        .replace("expected u64", "expected a whole number from 0 on")
        .replace("expected a boolean", "expected true or false")
        .replace("a sequence", "a list")
        .replace("expected struct Module", "expected a table, written [[module]]")
        .replace("expected struct ", "expected a table of ");
    message.chars().take(300).collect()
}

fn quoted_after<'a>(message: &'a str, begin: &str) -> Option<&'a str> {
    message.strip_prefix(begin)?.split('`').next()
}
