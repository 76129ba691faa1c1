//! Libraries with much code, for compile time and size as much as for run time.

use crate::random::{Random, mix};
use miniz_oxide::{deflate, inflate};

/// Text that compresses like text does: words by a skewed choice.
fn compressible(len: usize) -> Vec<u8> {
    let mut random = Random::new(11);
    let vocabulary: Vec<Vec<u8>> = (0..500)
        .map(|_| (0..2 + random.below(8)).map(|_| b'a' + random.below(26) as u8).collect())
        .collect();
    let mut text = Vec::with_capacity(len + 16);
    while text.len() < len {
        let skewed = random.below(500) * random.below(500) / 500;
        text.extend(&vocabulary[skewed as usize]);
        text.push(b' ');
    }
    text
}

fn checksum_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |checksum, byte| mix(checksum, u64::from(*byte)))
}

/// Compresses `size` bytes at level 6.
pub fn deflate(size: u32) -> u64 {
    checksum_of(&deflate::compress_to_vec(&compressible(size as usize), 6))
}

/// Decompresses 64 KiB again and again, `size` bytes in all.
pub fn inflate(size: u32) -> u64 {
    let packed = deflate::compress_to_vec(&compressible(1 << 16), 6);
    let mut checksum = 0;
    for round in 0..(size >> 16) as usize {
        let Ok(text) = inflate::decompress_to_vec(&packed) else { return 0 };
        checksum = mix(mix(checksum, text.len() as u64), u64::from(text[round * 97 & 0xffff]));
    }
    checksum
}

/// Runs a script of `size` rounds in the interpreter `rhai`.
pub fn script(size: u32) -> u64 {
    const SOURCE: &str = r#"
        fn step(value, index) {
            let text = "s" + (value % 97);
            if index % 3 == 0 { value * 3 + text.len() } else { (value + index) % 1000003 }
        }
        let list = [];
        let value = 1;
        for index in 0..rounds {
            value = step(value, index) % 1000003;
            if value % 5 == 0 { list.push(value); }
        }
        let sum = 0;
        for item in list { sum += item; }
        sum
    "#;
    let engine = rhai::Engine::new();
    let mut scope = rhai::Scope::new();
    scope.push("rounds", i64::from(size));
    match engine.eval_with_scope::<i64>(&mut scope, SOURCE) {
        Ok(sum) => mix(1, sum as u64),
        Err(_) => 0,
    }
}
