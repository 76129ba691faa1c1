//! What a module of another language calls once it is linked with this one
//! (docs/linking.md): the median of a few samples, and the CRC-32 of bytes.
//!
//! Pointers are into the memory that both share. There is no allocator here, and so
//! nothing that could grow this memory behind the other's back.
#![cfg_attr(target_family = "wasm", no_std)]

/// Most samples that are looked at; those behind are left out.
pub const SAMPLES_MAX: usize = 64;

/// The middle one of the samples, or the average of the middle two; NaN of none.
pub fn median_of(samples: &[f64]) -> f64 {
    let mut sorted = [0.0; SAMPLES_MAX];
    let count = samples.len().min(SAMPLES_MAX);
    for (end, &sample) in samples.iter().take(count).enumerate() {
        let mut place = end;
        while place > 0 && sorted[place - 1] > sample {
            sorted[place] = sorted[place - 1];
            place -= 1;
        }
        sorted[place] = sample;
    }
    match count {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
    }
}

/// CRC-32 as of IEEE 802.3, four bits at a time by a table.
pub fn crc32_of(bytes: &[u8]) -> u32 {
    let next = |crc: u32, bits: u32| (crc >> 4) ^ TABLE[((crc ^ bits) & 15) as usize];
    !bytes.iter().fold(!0, |crc, &byte| next(next(crc, byte.into()), u32::from(byte) >> 4))
}

static TABLE: [u32; 16] = table();

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut bits = 0;
    while bits < 16 {
        let mut crc = bits as u32;
        let mut turn = 0;
        while turn < 4 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            turn += 1;
        }
        table[bits] = crc;
        bits += 1;
    }
    table
}

/// # Safety
///
/// `count` samples lie at `samples`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn median(samples: *const f64, count: u32) -> f64 {
    // Safety: the caller's promise.
    median_of(unsafe { core::slice::from_raw_parts(samples, count as usize) })
}

/// # Safety
///
/// `count` bytes lie at `bytes`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crc32(bytes: *const u8, count: u32) -> u32 {
    // Safety: the caller's promise.
    crc32_of(unsafe { core::slice::from_raw_parts(bytes, count as usize) })
}

#[cfg(target_family = "wasm")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_any_order() {
        assert_eq!(median_of(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median_of(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median_of(&[]).is_nan());
    }

    #[test]
    fn the_crc_is_that_of_its_definition() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32_of(b"123456789"), 0xcbf4_3926);
    }
}
