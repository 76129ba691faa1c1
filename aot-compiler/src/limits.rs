//! The sizes that this compiler accepts, each checked before memory is spent on it.
//!
//! A module over a limit is refused with `LimitExceeded`, which names the limit.
//! The numbers are ours unless a line says otherwise; `wasmparser` adds the limits
//! that the browser engines share (for example 50,000 locals in a function).

/// Longest module. Rust and C++ modules for devices are far below a tenth of it.
pub const MODULE_BYTES_MAX: usize = 32 << 20;

/// Functions of a module, imported ones included.
pub const FUNCTIONS_MAX: usize = 100_000;

/// Bytes of one function body. The largest interpreters' loops stay below 1 MiB.
pub const FUNCTION_BYTES_MAX: usize = 2 << 20;

/// Parameters and locals of one function together.
pub const LOCALS_MAX: u64 = 50_000;

/// Parameters of one function, and results of one function or block.
pub const ARITY_MAX: usize = 1_000;

/// Parameters and results of a tail call together. The callee's prologue makes room
/// for those on the stack with one step, which must not go beyond the guard pages.
pub const TAIL_CALL_VALUES_MAX: usize = TAIL_CALL_BYTES_MAX as usize / 16;
/// One page, the smallest that a guard is made of.
pub const TAIL_CALL_BYTES_MAX: u32 = 4096;

/// An imported function's type index has 16 bits in the AoT format.
pub const TYPES_MAX: usize = 65_535;
pub const IMPORTS_MAX: usize = 10_000;
pub const EXPORTS_MAX: usize = 100_000;
pub const GLOBALS_MAX: usize = 100_000;
pub const TABLES_MAX: usize = 100;

/// Slots of all tables together: WAMR allocates 8 bytes for each at instantiation.
pub const TABLE_SLOTS_MAX: u64 = 4_000_000;

/// Element segments' entries of all segments together.
pub const ELEMENT_ENTRIES_MAX: usize = 4_000_000;

/// The AoT format stores a name's length, with its final NUL, in 16 bits.
pub const NAME_BYTES_MAX: usize = u16::MAX as usize - 1;

/// Values that the translation of one function may pass around: operands of
/// branches and calls. Bounds what a body of few bytes can unfold to, such as
/// a thousand branches with a thousand operands each.
pub const FUNCTION_VALUES_MAX: u64 = 8_000_000;

/// Nested loops × locals of one function: each loop can need a copy of each local.
pub const LOOP_LOCALS_MAX: u64 = 500_000;

/// Machine code of a module. A call on aarch64 reaches 128 MiB.
pub const TEXT_BYTES_MAX: usize = 100 << 20;

// What is translated in the place of a call (`translate/inline.rs`). Bytes are of
// function bodies as Wasm. The numbers were chosen and not searched for: with them
// `cargo xtask bench compiler` meets the goals of speed and size together.

/// A callee with several callers, and one with a single caller.
pub const INLINED_BYTES_MAX: u64 = 48;
pub const INLINED_ONCE_BYTES_MAX: u64 = 400;
/// A function inside of itself, and how often.
pub const INLINED_RECURSIVE_BYTES_MAX: u64 = 64;
pub const INLINED_RECURSION_MAX: usize = 2;
pub const INLINED_LOCALS_MAX: u64 = 40;
/// Calls inside of calls.
pub const INLINED_DEPTH_MAX: usize = 4;
/// All that one function takes in.
pub const INLINED_TOTAL_BYTES_MAX: u64 = 2_000;
/// All that the functions of a module take in together, in bytes or as a multiple of
/// its code, whichever is more. Shared evenly: 100,000 tiny functions could otherwise
/// unfold a module of 600 KB to 200 MB.
pub const INLINED_MODULE_BYTES: u64 = 4 << 20;
pub const INLINED_MODULE_GROWTH: u64 = 2;
/// A caller beyond this stays as it is, so that it keeps its effort.
pub const INLINING_CALLER_BYTES_MAX: u64 = 8_000;

// How much work a function gets. Each number is where a hostile function begins to
// take more than a few seconds; measured on a slow two-core machine with functions
// that only load and add, or that keep all their locals alive.

/// Branches of a function, counted by `FunctionSurvey::branch_weight`. Beyond, it is
/// not optimised: the optimiser delays additions to their use and so keeps every
/// loaded value alive, and allocation takes time in proportion to values × blocks.
pub const OPTIMISED_BRANCHES_MAX: u64 = 1_500;

/// Body bytes, locals and operands × branches, and loops × locals, beyond each of which registers
/// are allocated in a single pass, whose time is linear and whose code is slow.
pub const ALLOCATED_BODY_BYTES_MAX: u64 = 256 << 10;
pub const ALLOCATED_VALUE_BRANCHES_MAX: u64 = 1_000_000;
pub const ALLOCATED_LOOP_LOCALS_MAX: u64 = 20_000;
