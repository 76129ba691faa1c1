//! Small programs, each a function from a size to a checksum.
//!
//! The same source runs natively, linked into the benchmark, and as one WebAssembly
//! module for each program, which `cargo xtask bench compiler` links from this
//! crate's archive with nothing exported but that program.
//!
//! Nothing here calls a function whose result may differ between C libraries, such
//! as sine, so that all engines must agree on every bit.

mod calls;
mod float;
mod hashing;
mod integer;
mod memory;
mod parsing;
mod programs;
mod random;
mod vectors;

/// What a program mostly does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Float,
    Memory,
    Calls,
    IndirectCalls,
    Branches,
    Hashing,
    Parsing,
    Simd,
    /// A library that others wrote, with much code and no single hot loop.
    Program,
}

impl Kind {
    /// Whether its module is built with `simd128`.
    pub fn is_simd(self) -> bool {
        self == Self::Simd
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Memory => "memory",
            Self::Calls => "calls",
            Self::IndirectCalls => "indirect calls",
            Self::Branches => "branches",
            Self::Hashing => "hashing",
            Self::Parsing => "parsing",
            Self::Simd => "SIMD",
            Self::Program => "program",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Also the name of the module's only exported function.
    pub name: &'static str,
    pub kind: Kind,
    /// How much to do, so that a native run takes some 10 ms.
    pub size: u32,
    pub run: fn(u32) -> u64,
}

/// The list of programs; on WebAssembly also their exports.
macro_rules! kernels {
    ($($kind:ident: $($module:ident::$name:ident($size:literal)),+;)+) => {
        pub const ALL: &[Kernel] = &[$($(
            Kernel { name: stringify!($name), kind: Kind::$kind, size: $size, run: $module::$name },
        )+)+];

        // Not in the native library, where names like `crc32` belong to others.
        #[cfg(target_family = "wasm")]
        mod exports {
            $($(
                #[unsafe(no_mangle)]
                extern "C" fn $name(size: u32) -> u64 {
                    super::$module::$name(size)
                }
            )+)+
        }
    };
}

kernels! {
    Integer: integer::sieve(1_500_000), integer::collatz(60_000), integer::modular_power(30_000),
        integer::bit_tricks(3_000_000), integer::queens(9);
    Float: float::nbody(100_000), float::mandelbrot(150), float::spectral_norm(220),
        float::fourier(14), float::matrix(160);
    Memory: memory::quicksort(200_000), memory::shortest_paths(30_000), memory::levenshtein(1_800),
        memory::histogram(4_000_000), memory::linked_list(100_000), memory::binary_trees(13);
    Calls: calls::fibonacci(31), calls::ackermann(7), calls::small_functions(4_000_000);
    IndirectCalls: calls::trait_objects(3_000_000), calls::function_table(4_000_000);
    Branches: calls::interpreter(2_000_000), integer::fannkuch(8), integer::sudoku(12),
        parsing::state_machine(2_000_000);
    Hashing: hashing::sha256(1_500_000), hashing::blake3(2_500_000), hashing::crc32(10_000_000),
        hashing::siphash(6_000_000), hashing::hash_map(150_000);
    Parsing: parsing::json(250), parsing::regex(100), parsing::base64(2_500_000),
        parsing::utf8(2_000_000), parsing::arithmetic(2_500), parsing::markdown(120);
    Simd: vectors::dot_product(1_500), vectors::grey_image(3_000_000), vectors::find_bytes(12_000_000),
        vectors::mandelbrot_lanes(200), vectors::matrix_f32(200);
    Program: programs::deflate(250_000), programs::inflate(3_000_000), programs::script(12_000);
}
