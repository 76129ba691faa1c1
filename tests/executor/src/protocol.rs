//! What a test and the executor say to each other: one answer to each request.
//!
//! Frames are `worker-protocol`'s, on the program's standard input and output. Both
//! ends are built together, so there is one version and no negotiation.

use minicbor::{Decode, Encode};

/// Most bytes of memory in one answer.
pub const READ_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Most bytes that a guest's call may print; what follows is dropped.
pub const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most modules, and most instances, that are alive at once.
pub const SLOTS_MAX: usize = 4096;

/// A value. Floats are bits, because a NaN's payload must survive the journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Value {
    #[n(0)]
    I32(#[n(0)] i32),
    #[n(1)]
    I64(#[n(0)] i64),
    #[n(2)]
    F32(#[n(0)] u32),
    #[n(3)]
    F64(#[n(0)] u64),
    /// Low half, high half.
    #[n(4)]
    V128(#[n(0)] u64, #[n(1)] u64),
    /// An index into the module's functions, imports first.
    #[n(5)]
    FuncRef(#[n(0)] Option<u32>),
    /// A number that means something to the test alone.
    #[n(6)]
    ExternRef(#[n(0)] Option<u64>),
}

/// What a WASI program is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GuestInput {
    /// The first is the program's name.
    #[n(0)]
    pub arguments: Vec<String>,
    /// As `NAME=value`.
    #[n(1)]
    pub environment: Vec<String>,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub stdin: Vec<u8>,
}

/// Modules and instances are numbered by the test. A number that is in use is freed
/// first; an instance keeps its module alive after that was dropped.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Request {
    /// Answered by `Description`.
    #[n(0)]
    Describe,
    /// Answered by `Done`.
    #[n(1)]
    Load {
        #[n(0)]
        module: u32,
        /// An AoT file, or a WebAssembly module for the interpreter.
        #[cbor(n(1), with = "minicbor::bytes")]
        file: Vec<u8>,
    },
    /// Allocates and runs the start function. Answered by `Values` (none).
    #[n(2)]
    Instantiate {
        #[n(0)]
        module: u32,
        #[n(1)]
        instance: u32,
        #[n(2)]
        memory_bytes_max: Option<u64>,
        #[n(3)]
        input: GuestInput,
    },
    /// Answered by `Values`, `Trapped` or `Exited`.
    #[n(3)]
    Call {
        #[n(0)]
        instance: u32,
        #[n(1)]
        function: String,
        #[n(2)]
        arguments: Vec<Value>,
    },
    /// An exported global. Answered by `Values` (one).
    #[n(4)]
    Global {
        #[n(0)]
        instance: u32,
        #[n(1)]
        name: String,
    },
    /// Answered by `Done`. References cannot be set.
    #[n(5)]
    SetGlobal {
        #[n(0)]
        instance: u32,
        #[n(1)]
        name: String,
        #[n(2)]
        value: Value,
    },
    /// At most `READ_BYTES_MAX`. Answered by `Bytes`.
    #[n(6)]
    ReadMemory {
        #[n(0)]
        instance: u32,
        #[n(1)]
        address: u32,
        #[n(2)]
        len_bytes: u32,
    },
    /// Answered by `Done`.
    #[n(7)]
    WriteMemory {
        #[n(0)]
        instance: u32,
        #[n(1)]
        address: u32,
        #[cbor(n(2), with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// Of the whole memory. Answered by `MemoryHash`.
    #[n(8)]
    HashMemory {
        #[n(0)]
        instance: u32,
    },
    /// Answered by `Done`, also if there is none.
    #[n(9)]
    DropModule {
        #[n(0)]
        module: u32,
    },
    /// Answered by `Done`, also if there is none.
    #[n(10)]
    DropInstance {
        #[n(0)]
        instance: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Answer {
    #[n(0)]
    Done,
    #[n(1)]
    Description(#[n(0)] Description),
    #[n(2)]
    Values {
        #[n(0)]
        values: Vec<Value>,
        /// What the guest printed during the call.
        #[cbor(n(1), with = "minicbor::bytes")]
        output: Vec<u8>,
        /// What it wrote to its standard error.
        #[cbor(n(2), with = "minicbor::bytes")]
        errors: Vec<u8>,
    },
    #[n(3)]
    Trapped {
        #[n(0)]
        reason: String,
        #[cbor(n(1), with = "minicbor::bytes")]
        output: Vec<u8>,
        /// What it wrote to its standard error.
        #[cbor(n(2), with = "minicbor::bytes")]
        errors: Vec<u8>,
    },
    #[n(4)]
    Bytes(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    #[n(5)]
    MemoryHash {
        #[n(0)]
        len_bytes: u64,
        #[cbor(n(1), with = "minicbor::bytes")]
        sha256: Vec<u8>,
    },
    #[n(6)]
    Refused(#[n(0)] Refusal),
    /// The guest ended itself by WASI's `proc_exit`.
    #[n(7)]
    Exited {
        #[n(0)]
        code: u32,
        #[cbor(n(1), with = "minicbor::bytes")]
        output: Vec<u8>,
        #[cbor(n(2), with = "minicbor::bytes")]
        errors: Vec<u8>,
    },
}

/// What the executor at the other end is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Description {
    /// A target id, such as `riscv64-linux`.
    #[n(0)]
    pub target: String,
    /// `hardware` or `software`.
    #[n(1)]
    pub bounds_checks: String,
    /// `aot` or `interpreter`.
    #[n(2)]
    pub mode: String,
    #[n(3)]
    pub wamr_version: String,
    #[n(4)]
    pub cpu_features: Vec<String>,
    /// Proposals beyond WebAssembly 1.0 that the loader was built with.
    #[n(5)]
    pub wasm_features: Vec<String>,
    /// What modules may import, such as `spectest.print_i32`.
    #[n(6)]
    pub imports: Vec<String>,
}

/// A request that was understood and could not be done. The executor goes on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refusal {
    #[n(0)]
    pub kind: RefusalKind,
    #[n(1)]
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum RefusalKind {
    /// The file is for another build of WAMR or another processor.
    #[n(0)]
    WrongProfile,
    /// WAMR refuses the file.
    #[n(1)]
    LoadRefused,
    /// An import that is not offered, or not with this type.
    #[n(2)]
    UnknownImport,
    /// A segment out of range, a trap in the start function, or no memory.
    #[n(3)]
    NotInstantiated,
    /// More memory at the start than `memory_bytes_max`.
    #[n(4)]
    OverLimit,
    #[n(5)]
    NoSuchFunction,
    #[n(6)]
    WrongArguments,
    /// No exported global of that name, or of that type and mutable.
    #[n(7)]
    NoSuchGlobal,
    /// A read or write of memory by the test, beyond its end or over the limit.
    #[n(8)]
    OutOfBounds,
    /// No module or instance of that number, or too many of them.
    #[n(9)]
    BadSlot,
}
