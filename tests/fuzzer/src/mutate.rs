//! One input → another, by a few of the changes that break parsers.

use crate::random::Random;

/// Longest input. Larger ones find little more and cost more.
pub const INPUT_BYTES_MAX: usize = 16 << 10;

/// Values at which counts and offsets turn over.
const EDGES: [u32; 10] =
    [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff];

/// Changes `input`, perhaps with parts of `other`.
pub(crate) fn mutate(random: &mut Random, mut input: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        change(random, &mut input, other);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(input.len());
    let rest = input.len() - at;
    match random.below(9) {
        0 if rest > 0 => input[at] ^= 1 << random.below(8),
        1 if rest > 0 => input[at] = random.bits() as u8,
        2 if rest >= 4 => {
            let edge = EDGES[random.below(EDGES.len())];
            input[at..at + 4].copy_from_slice(&edge.to_le_bytes());
        }
        3 if rest > 0 => input[at] = EDGES[random.below(EDGES.len())] as u8,
        4 => input.truncate(at),
        5 => {
            let count = random.below(rest.min(64) + 1);
            input.drain(at..at + count);
        }
        6 => {
            let count = random.below(16) + 1;
            let bytes = random.bytes(count);
            input.splice(at..at, bytes);
        }
        7 => {
            let count = random.below(rest.min(64) + 1);
            let copy = input[at..at + count].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, copy);
        }
        _ => {
            let start = random.below(other.len());
            let count = random.below((other.len() - start).min(256) + 1);
            let end = at + count.min(rest);
            input.splice(at..end, other[start..start + count].iter().copied());
        }
    }
}
