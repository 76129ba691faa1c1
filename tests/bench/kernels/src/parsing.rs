//! Text and formats, mostly by published crates.

use crate::random::{Random, mix};
use base64::Engine;
use nom::branch::alt;
use nom::character::complete::{char, digit1, multispace0};
use nom::combinator::map_res;
use nom::multi::fold_many0;
use nom::sequence::{delimited, pair};
use nom::{IResult, Parser};

const WORDS: [&str; 12] = [
    "valve", "pump", "sensor", "αβγ", "pressure", "gateway", "7.25", "flow", "tank", "naïve", "on",
    "meter",
];

fn words(random: &mut Random, count: u32) -> String {
    let word = |_| WORDS[random.below(WORDS.len() as u32) as usize];
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

fn sum_of_bytes(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(bytes.len() as u64, |checksum, chunk| {
        mix(checksum, chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    })
}

/// Writes a document of `size` records, reads it into a tree, writes it again.
pub fn json(size: u32) -> u64 {
    let mut random = Random::new(size);
    let records: Vec<serde_json::Value> = (0..size)
        .map(|index| {
            serde_json::json!({
                "id": index,
                "name": words(&mut random, 3),
                "level": random.unit(),
                "limits": [random.below(100), -i64::from(random.below(1 << 30)), null],
                "nested": { "is_on": random.below(2) == 1, "text": "a \"quoted\"\n line" },
            })
        })
        .collect();
    let mut text = serde_json::Value::Array(records).to_string();
    for _ in 0..4 {
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(value) => text = value.to_string(),
            Err(_) => return 0,
        }
    }
    sum_of_bytes(text.as_bytes())
}

/// Searches `size` lines for addresses and dates.
pub fn regex(size: u32) -> u64 {
    let pattern = r"(\w+)@(\w+)\.example|([0-9]{4})-([0-9]{2})-([0-9]{2})";
    let Ok(pattern) = regex_lite::Regex::new(pattern) else { return 0 };
    let mut random = Random::new(size);
    let mut checksum = 0;
    for _ in 0..size {
        let mut line = words(&mut random, 12);
        match random.below(3) {
            0 => line.push_str(" someone@plant.example and more"),
            1 => line.insert_str(line.find(' ').unwrap_or(0), " 2026-11-23 "),
            _ => {}
        }
        for found in pattern.captures_iter(&line) {
            checksum = found.iter().flatten().fold(checksum, |sum, group| {
                mix(mix(sum, group.start() as u64), group.end() as u64)
            });
        }
    }
    checksum
}

/// Encodes and decodes `size` bytes.
pub fn base64(size: u32) -> u64 {
    let engine = base64::engine::general_purpose::STANDARD;
    let bytes = Random::new(size).bytes(size as usize);
    let text = engine.encode(&bytes);
    match engine.decode(&text) {
        Ok(decoded) => mix(sum_of_bytes(text.as_bytes()), sum_of_bytes(&decoded)),
        Err(_) => 0,
    }
}

/// Checks text of `size` bytes for valid UTF-8 and counts its characters.
pub fn utf8(size: u32) -> u64 {
    let mut random = Random::new(size);
    let text = words(&mut random, 2_000).into_bytes();
    let mut checksum = 0;
    for round in 0..size as usize / text.len() {
        let part = &text[round % 16..];
        match std::str::from_utf8(part) {
            Ok(text) => {
                let count = text.chars().filter(|c| c.is_alphabetic()).count();
                checksum = mix(checksum, count as u64);
            }
            Err(error) => checksum = mix(checksum, error.valid_up_to() as u64),
        }
    }
    checksum
}

/// Parses and evaluates `size` formulas by combinators.
pub fn arithmetic(size: u32) -> u64 {
    fn number(input: &str) -> IResult<&str, i64> {
        delimited(multispace0, map_res(digit1, str::parse), multispace0).parse(input)
    }
    fn factor(input: &str) -> IResult<&str, i64> {
        let in_parentheses = delimited(char('('), sum, char(')'));
        alt((number, delimited(multispace0, in_parentheses, multispace0))).parse(input)
    }
    fn product(input: &str) -> IResult<&str, i64> {
        let (input, first) = factor(input)?;
        let apply = |left: i64, (_, right): (char, i64)| left.wrapping_mul(right) % 1_000_003;
        fold_many0(pair(char('*'), factor), move || first, apply).parse(input)
    }
    fn sum(input: &str) -> IResult<&str, i64> {
        let (input, first) = product(input)?;
        let apply = |left: i64, (operator, right): (char, i64)| match operator {
            '+' => left.wrapping_add(right),
            _ => left.wrapping_sub(right),
        };
        let operator = alt((char('+'), char('-')));
        fold_many0(pair(operator, product), move || first, apply).parse(input)
    }
    let mut random = Random::new(size);
    let mut checksum = 0;
    for _ in 0..size {
        let mut formula = random.below(1_000).to_string();
        for _ in 0..12 {
            let operator = ["+", " - ", "*", "* "][random.below(4) as usize];
            let operand = random.below(10_000);
            formula = match random.below(3) {
                0 => format!("({formula}) {operator}{operand}"),
                _ => format!("{formula}{operator}{operand}"),
            };
        }
        if let Ok((rest, value)) = sum(&formula) {
            checksum = mix(mix(checksum, value as u64), rest.len() as u64);
        }
    }
    checksum
}

/// Renders a document of `size` sections to HTML.
pub fn markdown(size: u32) -> u64 {
    let mut random = Random::new(size);
    let mut text = String::new();
    for index in 0..size {
        let heading = words(&mut random, 4);
        let (first, second) = (words(&mut random, 30), words(&mut random, 8));
        text.push_str(&format!(
            "## {heading} {index}\n\n{first} *{second}* `code` [a](b \"c\")\n\n\
             - one\n- **two**\n  1. three\n\n> {second}\n\n```rust\nfn main() {{}}\n```\n\n"
        ));
    }
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(&text));
    sum_of_bytes(html.as_bytes())
}

/// Splits comma-separated text with quotes into fields, one byte at a time.
pub fn state_machine(size: u32) -> u64 {
    enum State {
        FieldStart,
        Plain,
        Quoted,
        QuoteInQuoted,
    }
    let mut random = Random::new(size);
    let byte = |_| b"abcdefgh\",\n  "[random.below(13) as usize];
    let text: Vec<u8> = (0..1 << 16).map(byte).collect();
    let (mut state, mut checksum, mut field, mut len) = (State::FieldStart, 0, 0u64, 0u64);
    for index in 0..size as usize {
        let byte = text[index & 0xffff];
        state = match (state, byte) {
            (State::FieldStart, b'"') => State::Quoted,
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::FieldStart | State::Plain | State::QuoteInQuoted, b',' | b'\n') => {
                checksum = mix(checksum, field << 1 | u64::from(byte == b'\n'));
                (field, len) = (0, 0);
                State::FieldStart
            }
            (state @ (State::Quoted | State::Plain), byte) => {
                field = field.wrapping_mul(31) + u64::from(byte);
                len += 1;
                state
            }
            (State::QuoteInQuoted, b'"') => State::Quoted,
            (State::FieldStart | State::QuoteInQuoted, b' ') => State::FieldStart,
            (State::FieldStart | State::QuoteInQuoted, byte) => {
                field = field.wrapping_mul(31) + u64::from(byte);
                State::Plain
            }
        };
    }
    mix(checksum, len)
}
