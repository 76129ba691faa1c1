//! The numbers that programs work on: the same on every engine and in every run.

/// Xorshift with 64 bits of state (Marsaglia 2003, "Xorshift RNGs", triple 13, 7, 17).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u32) -> Self {
        // Zero is the one state that stays what it is.
        Self(u64::from(seed) << 1 | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        ((self.next() >> 32) * u64::from(bound) >> 32) as u32
    }

    /// In [0, 1), exact: 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Mixes a value into a checksum, so that order counts.
pub fn mix(checksum: u64, value: u64) -> u64 {
    (checksum.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
