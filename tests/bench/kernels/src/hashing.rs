//! Hash functions of published crates, without the instructions that only some
//! processors have, and tables built on hashes.

use crate::random::{Random, mix};
use fnv::FnvBuildHasher;
use sha2::Digest;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

fn first_word(hash: &[u8]) -> u64 {
    hash.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// SHA-256 of `size` bytes.
pub fn sha256(size: u32) -> u64 {
    first_word(&sha2::Sha256::digest(Random::new(size).bytes(size as usize)))
}

/// BLAKE3 of `size` bytes, in its portable form.
pub fn blake3(size: u32) -> u64 {
    first_word(blake3::hash(&Random::new(size).bytes(size as usize)).as_bytes())
}

/// CRC-32 of `size` bytes by tables, 64 KiB again and again.
pub fn crc32(size: u32) -> u64 {
    let bytes = Random::new(size).bytes(1 << 16);
    let mut hasher = crc32fast::Hasher::new();
    for _ in 0..size as usize / bytes.len() {
        hasher.update(&bytes);
    }
    u64::from(hasher.finalize())
}

/// SipHash 1-3 of `size` bytes in keys of 24, as the standard library's maps use it.
pub fn siphash(size: u32) -> u64 {
    let bytes = Random::new(size).bytes(24 << 8);
    let mut checksum = 0;
    for index in 0..size as usize / 24 {
        let mut hasher = DefaultHasher::new();
        let start = (index & 0xff) * 24;
        hasher.write(&bytes[start..start + 24]);
        checksum = mix(checksum, hasher.finish());
    }
    checksum
}

/// Insertions, look-ups and removals in a hash map with FNV.
pub fn hash_map(size: u32) -> u64 {
    let mut random = Random::new(size);
    let mut map: HashMap<u64, u32, FnvBuildHasher> = HashMap::default();
    let mut checksum = 0;
    for index in 0..size {
        *map.entry(u64::from(random.below(size / 2))).or_insert(0) += index;
        if let Some(value) = map.get(&u64::from(random.below(size))) {
            checksum = mix(checksum, u64::from(*value));
        }
        if index % 5 == 0 {
            checksum = mix(checksum, map.remove(&u64::from(random.below(size))).is_some().into());
        }
    }
    mix(checksum, map.len() as u64)
}
