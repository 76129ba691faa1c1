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
    Integer: integer::sieve(6_000_000), integer::collatz(90_000), integer::modular_power(120_000),
        integer::bit_tricks(5_000_000), integer::queens(12);
    Float: float::nbody(160_000), float::mandelbrot(250), float::spectral_norm(600),
        float::fourier(17), float::matrix(320);
    Memory: memory::quicksort(150_000), memory::shortest_paths(60_000), memory::levenshtein(3_000),
        memory::histogram(30_000_000), memory::linked_list(200_000), memory::binary_trees(16);
    Calls: calls::fibonacci(33), calls::ackermann(8), calls::small_functions(5_000_000);
    IndirectCalls: calls::trait_objects(1_200_000), calls::function_table(5_000_000);
    Branches: calls::interpreter(8_000_000), integer::fannkuch(9), integer::sudoku(14),
        parsing::state_machine(3_000_000);
    Hashing: hashing::sha256(1_500_000), hashing::blake3(2_500_000), hashing::crc32(16_000_000),
        hashing::siphash(9_000_000), hashing::hash_map(250_000);
    Parsing: parsing::json(1_500), parsing::regex(1_500), parsing::base64(2_500_000),
        parsing::utf8(5_000_000), parsing::arithmetic(7_000), parsing::markdown(3_000);
    Simd: vectors::dot_product(15_000), vectors::grey_image(80_000_000), vectors::find_bytes(400_000_000),
        vectors::mandelbrot_rows(600), vectors::matrix_f32(450);
    Program: programs::deflate(300_000), programs::inflate(6_000_000), programs::script(8_000);
}
