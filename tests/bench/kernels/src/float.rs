//! Arithmetic on floats, by operations that IEEE 754 rounds exactly.

use crate::random::{Random, mix};

/// Planets under gravity: the benchmark "n-body".
pub fn nbody(size: u32) -> u64 {
    #[derive(Clone, Copy)]
    struct Body {
        position: [f64; 3],
        velocity: [f64; 3],
        mass: f64,
    }
    let mut random = Random::new(5);
    let mut bodies = [0; 5].map(|_| Body {
        position: [0; 3].map(|_| random.unit() * 20.0 - 10.0),
        velocity: [0; 3].map(|_| random.unit() - 0.5),
        mass: random.unit() + 0.1,
    });
    let step = 0.001;
    for _ in 0..size {
        for first in 0..bodies.len() {
            let (done, rest) = bodies.split_at_mut(first + 1);
            let body = &mut done[first];
            for other in rest {
                let mut difference = [0.0; 3];
                for axis in 0..3 {
                    difference[axis] = body.position[axis] - other.position[axis];
                }
                let square: f64 = difference.iter().map(|d| d * d).sum::<f64>() + 0.01;
                let magnitude = step / (square * square.sqrt());
                for axis in 0..3 {
                    body.velocity[axis] -= difference[axis] * other.mass * magnitude;
                    other.velocity[axis] += difference[axis] * body.mass * magnitude;
                }
            }
        }
        for body in &mut bodies {
            for axis in 0..3 {
                body.position[axis] += step * body.velocity[axis];
            }
        }
    }
    bodies.iter().flat_map(|body| body.position).fold(0, |sum, x| mix(sum, x.to_bits()))
}

/// Steps until a point leaves the circle, over a square of `size` points.
pub fn mandelbrot(size: u32) -> u64 {
    let mut checksum = 0;
    for row in 0..size {
        for column in 0..size {
            let real = f64::from(column) * 3.0 / f64::from(size) - 2.0;
            let imaginary = f64::from(row) * 2.0 / f64::from(size) - 1.0;
            let (mut x, mut y, mut steps) = (0.0, 0.0, 0);
            while steps < 200 && x * x + y * y <= 4.0 {
                (x, y) = (x * x - y * y + real, 2.0 * x * y + imaginary);
                steps += 1;
            }
            checksum = mix(checksum, steps);
        }
    }
    checksum
}

/// Powers of an infinite matrix: the benchmark "spectral norm".
pub fn spectral_norm(size: u32) -> u64 {
    fn entry(row: usize, column: usize) -> f64 {
        1.0 / ((row + column) * (row + column + 1) / 2 + row + 1) as f64
    }
    fn multiply(vector: &[f64], is_transposed: bool) -> Vec<f64> {
        let row = |row: usize| {
            let at = |(column, x): (usize, &f64)| {
                x * if is_transposed { entry(column, row) } else { entry(row, column) }
            };
            vector.iter().enumerate().map(at).sum()
        };
        (0..vector.len()).map(row).collect()
    }
    let mut vector = vec![1.0; size as usize];
    for _ in 0..10 {
        vector = multiply(&multiply(&vector, false), true);
        let largest = vector.iter().fold(0.0f64, |largest, x| largest.max(*x));
        vector.iter_mut().for_each(|x| *x /= largest);
    }
    vector.iter().fold(0, |checksum, x| mix(checksum, x.to_bits()))
}

/// Fast Fourier transforms of 2 to the `size` points, in place.
pub fn fourier(size: u32) -> u64 {
    let len = 1usize << size;
    let mut random = Random::new(size);
    let mut points: Vec<(f64, f64)> = (0..len).map(|_| (random.unit(), random.unit())).collect();
    for index in 0..len {
        let reversed = index.reverse_bits() >> (usize::BITS - size);
        if index < reversed {
            points.swap(index, reversed);
        }
    }
    for half in (0..size).map(|level| 1usize << level) {
        let (step_cos, step_sin) = half_turn_over(half);
        for block in points.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            let (mut cos, mut sin) = (1.0, 0.0);
            for (a, b) in low.iter_mut().zip(high) {
                let turned = (b.0 * cos - b.1 * sin, b.0 * sin + b.1 * cos);
                *b = (a.0 - turned.0, a.1 - turned.1);
                *a = (a.0 + turned.0, a.1 + turned.1);
                (cos, sin) = (cos * step_cos - sin * step_sin, cos * step_sin + sin * step_cos);
            }
        }
    }
    points.iter().fold(0, |sum, point| mix(mix(sum, point.0.to_bits()), point.1.to_bits()))
}

/// Cosine and sine of half a turn divided by a power of two, by halving angles.
fn half_turn_over(parts: usize) -> (f64, f64) {
    let (mut cos, mut sin) = (-1.0f64, 0.0f64);
    let mut done = 1;
    while done < parts {
        let half_cos = if done == 1 { 0.0 } else { ((1.0 + cos) / 2.0).sqrt() };
        sin = if done == 1 { 1.0 } else { sin / (2.0 * half_cos) };
        cos = half_cos;
        done *= 2;
    }
    (cos, sin)
}

/// The product of two square matrices of `size` rows.
pub fn matrix(size: u32) -> u64 {
    let size = size as usize;
    let mut random = Random::new(7);
    let mut filled = || (0..size * size).map(|_| random.unit()).collect::<Vec<f64>>();
    let (left, right) = (filled(), filled());
    let mut product = vec![0.0; size * size];
    for row in 0..size {
        for inner in 0..size {
            let factor = left[row * size + inner];
            for column in 0..size {
                product[row * size + column] += factor * right[inner * size + column];
            }
        }
    }
    product.iter().fold(0, |checksum, x| mix(checksum, x.to_bits()))
}
