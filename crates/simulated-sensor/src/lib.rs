//! A sensor that exists on every machine: a seeded waveform.
//!
//! `farrier-runtime` reads it where a device declares a simulated sensor, and
//! whoever checks what a module made of it computes the same samples elsewhere.
//! So a sample is a function of seed and index alone, made of integer steps and
//! of float operations that IEEE 754 rounds in one way only: its bits are equal
//! on every architecture. No trigonometry, whose last bit differs by library.

/// Samples in one period of the slow wave.
const PERIOD_SAMPLES: u64 = 64;

/// A seeded waveform in degrees: a triangle of ±5 around 20, with noise of ±0.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimulatedSensor {
    pub seed: u64,
}

impl SimulatedSensor {
    /// Sample number `index`, counted from 0.
    pub fn sample(self, index: u64) -> f64 {
        20.0 + 5.0 * triangle(index) + noise(self.seed, index)
    }
}

/// A triangle wave between -1 and 1.
fn triangle(index: u64) -> f64 {
    let phase = (index % PERIOD_SAMPLES) as f64 / PERIOD_SAMPLES as f64;
    if phase < 0.5 { 4.0 * phase - 1.0 } else { 3.0 - 4.0 * phase }
}

/// A value between -0.5 and 0.5 from SplitMix64 (Steele, Lea, Flood 2014).
fn noise(seed: u64, index: u64) -> f64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    // 53 bits are exact in an f64.
    (z >> 11) as f64 / (1u64 << 53) as f64 - 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_known_bits() {
        let sensor = SimulatedSensor { seed: 42 };
        let bits: Vec<u64> = (0..3).map(|index| sensor.sample(index).to_bits()).collect();
        assert_eq!(bits, GOLDEN_BITS);
    }

    #[test]
    fn samples_stay_within_the_stated_range() {
        for index in 0..10_000 {
            let sample = SimulatedSensor { seed: 7 }.sample(index);
            assert!((14.5..=25.5).contains(&sample), "sample {index} is {sample}");
        }
    }

    /// Computed once by an independent implementation in Python.
    const GOLDEN_BITS: [u64; 3] =
        [0x402E_7BAE_644C_5FD7, 0x402D_F1DF_C667_64CE, 0x402E_CEA4_CEAE_261F];
}
