//! Which pixels of a camera's tile are bright: reads 256 samples of the sensor `pixel`
//! on each tick, 16 rows of 16 with values from 0 to 255, and publishes on `bright` one
//! bit a pixel for those above the tile's mean.
//!
//! A message is 36 bytes: how many are bright as a little-endian u32, then the bits, the
//! first pixel in the lowest bit of the first byte. Built with vector instructions it
//! looks at 16 pixels at a time; the result is the same.

use farrier_guest::{Level, Sensor, log, publish};
use std::cell::Cell;

pub const PIXELS: usize = 256;

pub type Tile = [u8; PIXELS];

/// The mean of a tile, rounded down.
pub fn mean(tile: &Tile) -> u8 {
    let sum: u32 = tile.iter().map(|pixel| u32::from(*pixel)).sum();
    // A mean of bytes is a byte.
    (sum / PIXELS as u32) as u8
}

/// One bit a pixel above the limit.
#[cfg(target_feature = "simd128")]
pub fn bright(tile: &Tile, limit: u8) -> [u8; PIXELS / 8] {
    use std::arch::wasm32::{u8x16, u8x16_bitmask, u8x16_gt, u8x16_splat};
    let limit = u8x16_splat(limit);
    let mut bits = [0; PIXELS / 8];
    let (rows, _) = tile.as_chunks::<16>();
    for (row, bits) in rows.iter().zip(bits.chunks_exact_mut(2)) {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *row;
        let pixels = u8x16(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
        bits.copy_from_slice(&u8x16_bitmask(u8x16_gt(pixels, limit)).to_le_bytes());
    }
    bits
}

/// One bit a pixel above the limit.
#[cfg(not(target_feature = "simd128"))]
pub fn bright(tile: &Tile, limit: u8) -> [u8; PIXELS / 8] {
    let mut bits = [0; PIXELS / 8];
    for (index, pixel) in tile.iter().enumerate() {
        bits[index / 8] |= u8::from(*pixel > limit) << (index % 8);
    }
    bits
}

thread_local! {
    static SENSOR: Cell<Option<Sensor>> = const { Cell::new(None) };
}

#[unsafe(no_mangle)]
pub extern "C" fn init() -> i32 {
    match Sensor::open("pixel") {
        Ok(sensor) => {
            SENSOR.set(Some(sensor));
            0
        }
        Err(error) => {
            log(Level::Error, &format!("open pixel: {error:?}"));
            1
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn tick() -> i32 {
    let Some(sensor) = SENSOR.get() else { return 1 };
    let mut tile = [0; PIXELS];
    for pixel in &mut tile {
        let Ok(sample) = sensor.read() else { return 2 };
        // Below 0 and above 255 there is no brightness.
        *pixel = sample as u8;
    }
    let bits = bright(&tile, mean(&tile));
    let count: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
    let mut record = [0; 4 + PIXELS / 8];
    record[..4].copy_from_slice(&count.to_le_bytes());
    record[4..].copy_from_slice(&bits);
    publish("bright", &record).is_err().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gradient_is_bright_in_its_upper_half() {
        let tile: Tile = std::array::from_fn(|index| index as u8);
        assert_eq!(mean(&tile), 127);
        let bits = bright(&tile, 127);
        assert_eq!((&bits[..16], &bits[16..]), (&[0; 16][..], &[255; 16][..]));
    }
}
