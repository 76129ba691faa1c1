//! Calls, direct and through tables, and an interpreter's dispatch.

use crate::random::{Random, mix};

/// Two recursive calls and an addition.
pub fn fibonacci(size: u32) -> u64 {
    fn number(index: u32) -> u64 {
        if index < 2 { u64::from(index) } else { number(index - 1) + number(index - 2) }
    }
    number(std::hint::black_box(size))
}

/// Deep recursion with few instructions in between.
pub fn ackermann(size: u32) -> u64 {
    fn value(m: u32, n: u32) -> u32 {
        match (m, n) {
            (0, n) => n + 1,
            (m, 0) => value(m - 1, 1),
            (m, n) => value(m - 1, value(m, n - 1)),
        }
    }
    (0..4).fold(0, |sum, _| mix(sum, u64::from(value(std::hint::black_box(3), size))))
}

/// Functions of a few instructions, kept out of line in both builds: what a call
/// costs when it cannot be avoided.
pub fn small_functions(size: u32) -> u64 {
    #[inline(never)]
    fn scramble(value: u64, index: u32) -> u64 {
        (value ^ u64::from(index)).wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    #[inline(never)]
    fn fold(value: u64, index: u32) -> u64 {
        if index % 3 == 0 { scramble(value, index) } else { value.rotate_left(index & 63) + 1 }
    }
    (0..size).fold(1, fold)
}

trait Shape {
    fn area(&self) -> u64;
    fn grow(&mut self, by: u32);
}

struct Square(u32);
struct Rectangle(u32, u32);
struct Ring {
    outer: u32,
    inner: u32,
}

impl Shape for Square {
    fn area(&self) -> u64 {
        u64::from(self.0) * u64::from(self.0)
    }
    fn grow(&mut self, by: u32) {
        self.0 = self.0.wrapping_add(by);
    }
}

impl Shape for Rectangle {
    fn area(&self) -> u64 {
        u64::from(self.0) * u64::from(self.1)
    }
    fn grow(&mut self, by: u32) {
        (self.0, self.1) = (self.1.wrapping_add(by), self.0);
    }
}

impl Shape for Ring {
    fn area(&self) -> u64 {
        u64::from(self.outer).wrapping_mul(3).wrapping_sub(u64::from(self.inner))
    }
    fn grow(&mut self, by: u32) {
        self.outer ^= by;
        self.inner = self.inner.rotate_left(1);
    }
}

/// Virtual calls of three types in random order.
pub fn trait_objects(size: u32) -> u64 {
    let mut random = Random::new(size);
    let mut shapes: Vec<Box<dyn Shape>> = (0..1_000)
        .map(|_| -> Box<dyn Shape> {
            let (a, b) = (random.below(1_000), random.below(1_000));
            match random.below(3) {
                0 => Box::new(Square(a)),
                1 => Box::new(Rectangle(a, b)),
                _ => Box::new(Ring { outer: a, inner: b }),
            }
        })
        .collect();
    let mut checksum = 0;
    for index in 0..size {
        let shape = &mut shapes[(index % 1_000) as usize];
        shape.grow(index & 7);
        checksum = mix(checksum, shape.area());
    }
    checksum
}

/// Calls through a table of functions, the target known by a pattern only.
pub fn function_table(size: u32) -> u64 {
    const TABLE: [fn(u64) -> u64; 4] = [
        |value| value.wrapping_mul(3) + 1,
        |value| value ^ (value >> 7),
        |value| value.rotate_left(11),
        |value| value.wrapping_sub(0x1234_5678),
    ];
    let table = std::hint::black_box(&TABLE);
    let mut value = u64::from(size);
    for index in 0..size {
        value = table[(index ^ index >> 3) as usize & 3](value);
    }
    value
}

/// A register machine that counts primes: one match in a loop.
pub fn interpreter(size: u32) -> u64 {
    #[derive(Clone, Copy)]
    enum Op {
        Set(u8, u32),
        Add(u8, u8),
        Increment(u8),
        Remainder(u8, u8, u8),
        JumpIfZero(u8, u16),
        JumpIfLess(u8, u8, u16),
        Jump(u16),
        Multiply(u8, u8, u8),
    }
    use Op::{Add, Increment, Jump, JumpIfLess, JumpIfZero, Multiply, Remainder, Set};
    // r0 number, r1 divisor, r2 remainder, r3 one, r4 sum, r5 square
    let program = std::hint::black_box([
        Set(0, 2),
        Set(3, 1),
        Set(1, 2),
        Multiply(5, 1, 1),
        JumpIfLess(0, 5, 9),
        Remainder(2, 0, 1),
        JumpIfZero(2, 10),
        Increment(1),
        Jump(3),
        Add(4, 0),
        Add(0, 3),
        Jump(2),
    ]);
    let (mut registers, mut at) = ([0u32; 8], 0usize);
    for _ in 0..size {
        let op = program[at];
        at += 1;
        match op {
            Set(to, value) => registers[to as usize & 7] = value,
            Add(to, from) => {
                registers[to as usize & 7] =
                    registers[to as usize & 7].wrapping_add(registers[from as usize & 7]);
            }
            Increment(to) => registers[to as usize & 7] += 1,
            Remainder(to, a, b) => {
                let divisor = registers[b as usize & 7].max(1);
                registers[to as usize & 7] = registers[a as usize & 7] % divisor;
            }
            JumpIfZero(a, target) if registers[a as usize & 7] == 0 => at = target as usize,
            JumpIfLess(a, b, target) if registers[a as usize & 7] < registers[b as usize & 7] => {
                at = target as usize;
            }
            JumpIfZero(..) | JumpIfLess(..) => {}
            Jump(target) => at = target as usize,
            Multiply(to, a, b) => {
                registers[to as usize & 7] =
                    registers[a as usize & 7].wrapping_mul(registers[b as usize & 7]);
            }
        }
    }
    registers.iter().fold(0, |checksum, register| mix(checksum, u64::from(*register)))
}
