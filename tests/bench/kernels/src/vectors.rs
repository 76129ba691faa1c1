//! Loops that LLVM turns into vector instructions: `simd128` in the module, SSE up
//! to 4.2 natively. The source has no intrinsics, so it is the same for both.

use crate::random::{Random, mix};

const LANES: usize = 4;

/// Sums of products of floats, four at a time.
pub fn dot_product(size: u32) -> u64 {
    let mut random = Random::new(size);
    let mut filled = || (0..4_096).map(|_| random.unit() as f32).collect::<Vec<f32>>();
    let (left, right) = (filled(), filled());
    let mut checksum = 0;
    for round in 0..size as usize {
        let mut sums = [0f32; LANES];
        let from = round % 64 * LANES;
        let pairs = left[from..].chunks_exact(LANES).zip(right.chunks_exact(LANES));
        for (a, b) in pairs {
            for lane in 0..LANES {
                sums[lane] += a[lane] * b[lane];
            }
        }
        checksum = sums.iter().fold(checksum, |sum, lane| mix(sum, u64::from(lane.to_bits())));
    }
    checksum
}

/// Colours to grey levels by weights in 8 bits, over `size` pixels.
pub fn grey_image(size: u32) -> u64 {
    let planes = [1, 2, 3].map(|seed| Random::new(seed).bytes(1 << 14));
    let mut grey = vec![0u8; 1 << 14];
    let mut checksum = 0;
    for round in 0..size >> 14 {
        let (red, green, blue) = (&planes[0], &planes[1], &planes[2]);
        let colours = red.iter().zip(green).zip(blue);
        for (level, ((red, green), blue)) in grey.iter_mut().zip(colours) {
            let sum = u16::from(*red) * 54 + u16::from(*green) * 183 + u16::from(*blue) * 18;
            *level ^= (sum >> 8) as u8;
        }
        checksum = mix(checksum, u64::from(grey[(round * 7) as usize & 0x3fff]));
    }
    grey.iter().fold(checksum, |checksum, level| mix(checksum, u64::from(*level)))
}

/// Searches for bytes and for a word by the crate `memchr`, in `size` bytes.
pub fn find_bytes(size: u32) -> u64 {
    let mut text = Random::new(size).bytes(1 << 16);
    text.iter_mut().for_each(|byte| *byte |= 0x80);
    for index in 1..16 {
        text[index * 4_001] = b'x';
        text[index * 4_003..][..6].copy_from_slice(b"needle");
    }
    let finder = memchr::memmem::Finder::new("needle");
    let mut checksum = 0;
    for _ in 0..size >> 17 {
        checksum = memchr::memchr_iter(b'x', &text).fold(checksum, |sum, at| mix(sum, at as u64));
        checksum = finder.find_iter(&text).fold(checksum, |sum, at| mix(sum, at as u64));
    }
    checksum
}

/// The Mandelbrot set, all points of a row step by step.
pub fn mandelbrot_rows(size: u32) -> u64 {
    let width = size as usize;
    let real: Vec<f32> = (0..size).map(|x| x as f32 * 3.0 / size as f32 - 2.0).collect();
    let (mut x, mut y, mut steps) = (vec![0f32; width], vec![0f32; width], vec![0u32; width]);
    let mut checksum = 0;
    for row in 0..size / 4 {
        let imaginary = row as f32 * 8.0 / size as f32 - 1.0;
        x.fill(0.0);
        y.fill(0.0);
        steps.fill(0);
        for _ in 0..100 {
            for (((x, y), steps), real) in x.iter_mut().zip(&mut y).zip(&mut steps).zip(&real) {
                let (xx, yy) = (*x * *x, *y * *y);
                // A point that has left stays where it is. By a mask, because a branch
                // keeps LLVM from making vectors of it.
                let inside = u32::from(xx + yy <= 4.0).wrapping_neg();
                let choose = |new: f32, old: f32| {
                    f32::from_bits(new.to_bits() & inside | old.to_bits() & !inside)
                };
                let next_y = 2.0 * *x * *y + imaginary;
                *steps = steps.wrapping_sub(inside);
                *x = choose(xx - yy + real, *x);
                *y = choose(next_y, *y);
            }
        }
        checksum = steps.iter().fold(checksum, |sum, steps| mix(sum, u64::from(*steps)));
    }
    checksum
}

/// The product of two square matrices of floats, a row at a time.
pub fn matrix_f32(size: u32) -> u64 {
    let size = size as usize;
    let mut random = Random::new(9);
    let mut filled = || (0..size * size).map(|_| random.unit() as f32).collect::<Vec<f32>>();
    let (left, right) = (filled(), filled());
    let mut product = vec![0f32; size * size];
    for (out, left) in product.chunks_exact_mut(size).zip(left.chunks_exact(size)) {
        for (factor, right) in left.iter().zip(right.chunks_exact(size)) {
            for (sum, x) in out.iter_mut().zip(right) {
                *sum += factor * x;
            }
        }
    }
    product.iter().fold(0, |checksum, x| mix(checksum, u64::from(x.to_bits())))
}
