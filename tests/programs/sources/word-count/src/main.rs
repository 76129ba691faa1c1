//! Standard input → how often each word occurs, most frequent first, and the same text
//! sorted, hashed and measured. Uses what a usual program of the standard library
//! does: maps with random keys, strings, formatting, a panic that is caught by nobody.

use std::collections::HashMap;
use std::io::{Read, Write};

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("read standard input");
    let mut counts: HashMap<String, usize> = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut out = std::io::stdout().lock();
    for (word, count) in counts.iter().take(10) {
        writeln!(out, "{count:>4} {word}").expect("write");
    }
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let mean = total as f64 / counts.len() as f64;
    let variance = counts.iter().map(|(_, count)| (*count as f64 - mean).powi(2)).sum::<f64>()
        / counts.len() as f64;
    writeln!(out, "{total} words, {} different, mean {mean:.6}, deviation {:.6}", counts.len(), variance.sqrt())
        .expect("write");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    writeln!(out, "fnv1a {hash:016x}").expect("write");
    out.flush().expect("write");
    drop(out);
    if total == 0 {
        eprintln!("no words");
    }
    std::process::exit(3)
}
