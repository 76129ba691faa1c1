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

/// CRC-32 of `size` bytes by eight tables, 64 KiB again and again. Our own: the
/// crate `crc32fast` finds out what the processor has.
pub fn crc32(size: u32) -> u64 {
    let mut tables = [[0u32; 256]; 8];
    for index in 0..256 {
        // The polynomial of IEEE 802.3, bits reversed.
        let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        tables[0][index] = (0..8).fold(index as u32, shift);
    }
    for table in 1..8 {
        for index in 0..256 {
            let previous = tables[table - 1][index];
            tables[table][index] = previous >> 8 ^ tables[0][previous as usize & 0xff];
        }
    }
    let bytes = Random::new(size).bytes(1 << 16);
    let mut crc = !0u32;
    for _ in 0..size as usize / bytes.len() {
        for chunk in bytes.chunks_exact(8) {
            let low = crc ^ u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
            let high = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
            crc = (0..4).fold(0, |crc, byte| {
                let (low, high) = (low >> (8 * byte) & 0xff, high >> (8 * byte) & 0xff);
                crc ^ tables[7 - byte][low as usize] ^ tables[3 - byte][high as usize]
            });
        }
    }
    u64::from(!crc)
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
