//! Integer arithmetic and branches on it.

use crate::random::{Random, mix};

/// Primes below `size`, by crossing out.
pub fn sieve(size: u32) -> u64 {
    let mut is_composite = vec![false; size as usize];
    let mut checksum = 0;
    for number in 2..is_composite.len() {
        if is_composite[number] {
            continue;
        }
        checksum = mix(checksum, number as u64);
        // The square of a larger number would not fit where `usize` has 32 bits.
        if number <= 0xffff {
            let mut multiple = number * number;
            while multiple < is_composite.len() {
                is_composite[multiple] = true;
                multiple += number;
            }
        }
    }
    checksum
}

/// Steps to 1 by halving and tripling.
pub fn collatz(size: u32) -> u64 {
    let mut checksum = 0;
    for start in 1..u64::from(size) {
        let (mut number, mut steps) = (start, 0u64);
        while number != 1 {
            number = if number % 2 == 0 { number / 2 } else { 3 * number + 1 };
            steps += 1;
        }
        checksum = mix(checksum, steps);
    }
    checksum
}

/// Powers modulo a number that the compiler does not know: 64-bit divisions.
pub fn modular_power(size: u32) -> u64 {
    let mut random = Random::new(size);
    let mut checksum = 0;
    for _ in 0..size {
        let modulus = u64::from(random.next() as u32) | 1 << 31;
        let (mut base, mut exponent, mut power) = (random.next() % modulus, 0xfff1u32, 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = power * base % modulus;
            }
            base = base * base % modulus;
            exponent >>= 1;
        }
        checksum = mix(checksum, power);
    }
    checksum
}

/// Counts, rotations and shifts.
pub fn bit_tricks(size: u32) -> u64 {
    let mut random = Random::new(size);
    let mut checksum = 0u64;
    for _ in 0..size {
        let word = random.next();
        let low = word as u32;
        let counts = word.count_ones() + low.leading_zeros() + low.trailing_zeros();
        checksum = checksum.rotate_left(counts & 63) ^ (word >> (low & 31));
        checksum = checksum.wrapping_add(u64::from(low.rotate_right(counts & 15)));
    }
    checksum
}

/// Placements of `size` queens on a board of that size.
pub fn queens(size: u32) -> u64 {
    fn place(free: u32, columns: u32, left: u32, right: u32) -> u64 {
        if columns == free {
            return 1;
        }
        let mut count = 0;
        let mut places = free & !(columns | left | right);
        while places != 0 {
            let place_bit = places & places.wrapping_neg();
            places ^= place_bit;
            let (left, right) = ((left | place_bit) << 1, (right | place_bit) >> 1);
            count += place(free, columns | place_bit, left, right);
        }
        count
    }
    place((1 << size) - 1, 0, 0, 0)
}

/// Most flips of a prefix over all permutations: the benchmark "fannkuch".
pub fn fannkuch(size: u32) -> u64 {
    let size = size as usize;
    let mut permutation: Vec<usize> = (0..size).collect();
    let mut counts = vec![0; size];
    let (mut flips_max, mut checksum) = (0, 0);
    loop {
        let flips = count_flips(&permutation);
        flips_max = flips.max(flips_max);
        checksum = mix(checksum, flips);
        // The next permutation, by rotating ever longer prefixes.
        let mut prefix = 1;
        loop {
            if prefix == size {
                return mix(checksum, flips_max);
            }
            permutation[..=prefix].rotate_left(1);
            counts[prefix] += 1;
            if counts[prefix] <= prefix {
                break;
            }
            counts[prefix] = 0;
            prefix += 1;
        }
    }
}

fn count_flips(permutation: &[usize]) -> u64 {
    let mut flipped = [0; 16];
    let flipped = &mut flipped[..permutation.len()];
    flipped.copy_from_slice(permutation);
    let mut flips = 0;
    while flipped[0] != 0 {
        let first = flipped[0];
        flipped[..=first].reverse();
        flips += 1;
    }
    flips
}

/// Solves sudokus by trying, with the digits in use kept as bits.
pub fn sudoku(size: u32) -> u64 {
    const PUZZLE: &[u8; 81] =
        b"8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4..";
    struct Board {
        cells: [u8; 81],
        rows: [u16; 9],
        columns: [u16; 9],
        boxes: [u16; 9],
        tries: u64,
    }
    impl Board {
        fn put(&mut self, cell: usize, digit: u8) {
            self.cells[cell] = digit;
            let (row, column) = (cell / 9, cell % 9);
            self.rows[row] ^= 1 << digit;
            self.columns[column] ^= 1 << digit;
            self.boxes[row / 3 * 3 + column / 3] ^= 1 << digit;
        }

        fn solve(&mut self, from: usize) -> bool {
            let Some(cell) = (from..81).find(|cell| self.cells[*cell] == 0) else { return true };
            let (row, column) = (cell / 9, cell % 9);
            let used = self.rows[row] | self.columns[column] | self.boxes[row / 3 * 3 + column / 3];
            for digit in 1..=9 {
                if used >> digit & 1 == 0 {
                    self.tries += 1;
                    self.put(cell, digit);
                    if self.solve(cell + 1) {
                        return true;
                    }
                    self.put(cell, digit);
                    self.cells[cell] = 0;
                }
            }
            false
        }
    }
    let mut checksum = 0;
    for _ in 0..size {
        let mut board =
            Board { cells: [0; 81], rows: [0; 9], columns: [0; 9], boxes: [0; 9], tries: 0 };
        for (cell, digit) in PUZZLE.iter().enumerate().filter(|(_, digit)| **digit != b'.') {
            board.put(cell, digit - b'0');
        }
        let is_solved = board.solve(0);
        checksum = mix(checksum, board.tries * 2 + u64::from(is_solved));
        checksum = board.cells.iter().fold(checksum, |sum, digit| mix(sum, u64::from(*digit)));
    }
    checksum
}
