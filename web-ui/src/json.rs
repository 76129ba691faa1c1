//! Reads the gateway's JSON into the few fields that the pages show.
//!
//! The types of `gateway-api` would do it too, and their derived readers were a fifth of
//! the download. Here every field is one call of a function that all structs share. A
//! flag or a list that is absent is unset or empty, as on the wire; any other field that
//! is absent or of another kind is a [`Fault`], so that a page never shows a made-up
//! figure. `contract_tests` hold these structs against those of `gateway-api`.

use serde_json::Value;
use std::cell::Cell;

/// The first field that could not be read.
#[derive(Default)]
pub struct Fault(Cell<Option<&'static str>>);

impl Fault {
    fn note(&self, name: &'static str) {
        if self.0.get().is_none() {
            self.0.set(Some(name));
        }
    }
}

/// A value in its place, or nothing in the place of one.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    value: Option<&'a Value>,
    name: &'static str,
    fault: &'a Fault,
}

impl<'a> Part<'a> {
    #[inline(never)]
    pub fn part(self, name: &'static str) -> Part<'a> {
        let value = self.value.and_then(|value| value.get(name)).filter(|value| !value.is_null());
        Part { value, name, fault: self.fault }
    }

    #[inline(never)]
    pub fn field<T: FromJson>(self, name: &'static str) -> T {
        T::from_json(self.part(name))
    }

    pub fn value(self) -> Option<&'a Value> {
        self.value
    }

    fn or_fault<T: Default>(self, found: Option<T>) -> T {
        found.unwrap_or_else(|| {
            self.fault.note(self.name);
            T::default()
        })
    }
}

pub trait FromJson: Sized {
    fn from_json(part: Part<'_>) -> Self;
}

impl FromJson for String {
    fn from_json(part: Part<'_>) -> Self {
        part.or_fault(part.value.and_then(Value::as_str).map(str::to_owned))
    }
}

impl FromJson for u64 {
    fn from_json(part: Part<'_>) -> Self {
        part.or_fault(part.value.and_then(Value::as_u64))
    }
}

impl FromJson for u32 {
    fn from_json(part: Part<'_>) -> Self {
        let number = part.value.and_then(Value::as_u64);
        part.or_fault(number.and_then(|number| number.try_into().ok()))
    }
}

impl FromJson for f64 {
    fn from_json(part: Part<'_>) -> Self {
        part.or_fault(part.value.and_then(Value::as_f64))
    }
}

impl FromJson for bool {
    fn from_json(part: Part<'_>) -> Self {
        match part.value {
            None => false,
            Some(value) => part.or_fault(value.as_bool()),
        }
    }
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(part: Part<'_>) -> Self {
        part.value.map(|_| T::from_json(part))
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(part: Part<'_>) -> Self {
        let Some(value) = part.value else { return vec![] };
        let items = value.as_array();
        if items.is_none() {
            part.fault.note(part.name);
        }
        let items = items.into_iter().flatten();
        let own = |item| Part { value: Some(item).filter(|item: &&Value| !item.is_null()), ..part };
        items.map(|item| T::from_json(own(item))).collect()
    }
}

/// Of an object whose keys are names of the fleet's own.
impl FromJson for Vec<(String, String)> {
    fn from_json(part: Part<'_>) -> Self {
        let pairs = part.value.and_then(Value::as_object).into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        pairs.map(|(key, value)| (key.clone(), text(value))).collect()
    }
}

/// The whole of an answer, or which field of it was not as expected.
pub fn read<T: FromJson>(text: &str) -> Result<T, String> {
    read_value(&parse(text)?)
}

#[inline(never)]
pub fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

pub fn read_value<T: FromJson>(value: &Value) -> Result<T, String> {
    let fault = Fault::default();
    let whole = T::from_json(Part { value: Some(value), name: "the answer", fault: &fault });
    match fault.0.get() {
        None => Ok(whole),
        Some(name) => Err(format!("its {name} is missing or of another kind")),
    }
}

/// A struct whose fields are read by their names.
macro_rules! json_struct {
    ($($(#[$attribute:meta])* pub struct $name:ident { $($(#[$note:meta])* $field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$attribute])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $name { $($(#[$note])* pub $field: $kind,)* }

            impl $crate::json::FromJson for $name {
                #[inline(never)]
                fn from_json(part: $crate::json::Part<'_>) -> Self {
                    Self { $($field: part.field(stringify!($field)),)* }
                }
            }
        )*
    };
}
pub(crate) use json_struct;

/// Text as it stands in JSON: with quotes.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            // All that JSON asks to be escaped.
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    json_struct! {
        pub struct Sample {
            name: String,
            count: u64,
            share: Option<f64>,
            on: bool,
            parts: Vec<u32>,
        }
    }

    #[test]
    fn absent_lists_flags_and_options_are_empty() {
        let sample: Sample = read(r#"{"name":"a","count":18446744073709551615}"#).unwrap();
        let expected =
            Sample { name: "a".into(), count: u64::MAX, share: None, on: false, parts: vec![] };
        assert_eq!(sample, expected);
        let sample: Sample =
            read(r#"{"name":"a","count":1,"share":null,"on":true,"parts":[1,2]}"#).unwrap();
        assert_eq!((sample.share, sample.on, sample.parts), (None, true, vec![1, 2]));
        assert_eq!(read::<Vec<Option<f64>>>("[1.5,null]").unwrap(), [Some(1.5), None]);
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_named() {
        for (text, field) in [
            (r#"{"count":1}"#, "name"),
            (r#"{"name":"a","count":-1}"#, "count"),
            (r#"{"name":"a","count":1,"parts":[4294967296]}"#, "parts"),
            (r#"{"name":"a","count":1,"parts":{}}"#, "parts"),
            (r#"{"name":"a","count":1,"on":"yes"}"#, "on"),
            (r#"[]"#, "name"),
        ] {
            let error = read::<Sample>(text).unwrap_err();
            assert!(error.contains(field), "{text}: {error}");
        }
        assert!(read::<Sample>("<html>").is_err());
    }
}
