//! Where WAMR's structures keep what compiled code reads, and how functions are called.
//!
//! All offsets are of a 64-bit build without the GC switch; WAMR itself asserts
//! them at the top of `core/iwasm/aot/aot_runtime.c`, so a runtime in which they
//! differ does not build.

use crate::intake::ModuleInfo;
use cranelift_codegen::ir::{AbiParam, Signature, Type, types};
use cranelift_codegen::isa::CallConv;
use wasmparser::{FuncType, ValType};

/// `WASMExecEnv` (`common/wasm_exec_env.h`): fields in slots of a pointer's size.
pub(crate) mod exec_env {
    pub const MODULE_INSTANCE: i32 = 16;
    pub const NATIVE_STACK_BOUNDARY: i32 = 32;
    /// 32 bits, of which bit 0 asks code to stop (`common/wasm_suspend_flags.h`).
    pub const SUSPEND_FLAGS: i32 = 40;
}

/// `AOTModuleInstance` = `WASMModuleInstance` (`interpreter/wasm_runtime.h`).
pub(crate) mod instance {
    pub const FUNC_PTRS: i32 = 40;
    pub const FUNC_TYPE_INDEXES: i32 = 48;
    pub const CUR_EXCEPTION: i32 = 104;
    /// The last word of `cur_exception[128]`, behind any words that WAMR itself raises:
    /// where code leaves the trap's [`crate::trap_place`] for the host.
    pub const TRAP_WORD: i32 = CUR_EXCEPTION + 124;
    /// `global_table_data`: memory instances, then globals, then tables.
    pub const GLOBAL_TABLE_DATA: u32 = 344;
}

/// `AOTMemoryInstance` = `WASMMemoryInstance` (`interpreter/wasm_runtime.h`).
pub(crate) mod memory_instance {
    pub const BYTES: u32 = 120;
    pub const CUR_PAGE_COUNT: u32 = 16;
    pub const MEMORY_DATA_SIZE: u32 = 24;
    pub const MEMORY_DATA: u32 = 32;
}

/// `AOTTableInstance` = `WASMTableInstance` (`interpreter/wasm_runtime.h`).
pub(crate) mod table_instance {
    pub const CUR_SIZE: u32 = 16;
    pub const ELEMS: u32 = 24;
    /// `table_elem_type_t` is `uintptr_t` without GC.
    pub const ELEM_BYTES: u32 = 8;
}

/// `NULL_REF` (`interpreter/wasm.h`) as compiled code sees it, in 32 bits.
pub(crate) const NULL_REF: u32 = u32::MAX;

/// `EXCE_*` of `common/wasm_runtime_common.h`, enum `WASMExceptionID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum TrapId {
    Unreachable = 0,
    OutOfBoundsMemory = 2,
    IntegerOverflow = 3,
    DivideByZero = 4,
    InvalidConversion = 5,
    IndirectTypeMismatch = 6,
    UndefinedElement = 8,
    UninitializedElement = 9,
    NativeStackOverflow = 11,
    OutOfBoundsTable = 15,
    // Named after the GC proposal, but in every build (`interpreter/wasm_runtime.h`).
    NullFunction = 18,
    NullReference = 22,
    AlreadyThrown = 33,
}

/// Functions of the runtime that compiled code calls, by their names in the table
/// `target_sym_map` (`aot/aot_reloc.h`). A name that the runtime lacks fails the
/// whole load, so only the used ones are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Helper {
    SetExceptionWithId,
    InvokeNative,
    EnlargeMemory,
    MemoryInit,
    DataDrop,
    TableInit,
    TableCopy,
    TableFill,
    TableGrow,
    DropTableSegment,
    Memset,
    Memmove,
    CeilF32,
    CeilF64,
    FloorF32,
    FloorF64,
    TruncF32,
    TruncF64,
    NearestF32,
    NearestF64,
}

/// The helpers that the translator calls by itself, in the order of their numbers.
/// The others come from Cranelift's own library calls.
pub(crate) const CALLED_HELPERS: [Helper; 12] = [
    Helper::SetExceptionWithId,
    Helper::InvokeNative,
    Helper::EnlargeMemory,
    Helper::MemoryInit,
    Helper::DataDrop,
    Helper::TableInit,
    Helper::TableCopy,
    Helper::TableFill,
    Helper::TableGrow,
    Helper::DropTableSegment,
    Helper::Memset,
    Helper::Memmove,
];

impl Helper {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::SetExceptionWithId => "aot_set_exception_with_id",
            Self::InvokeNative => "aot_invoke_native",
            Self::EnlargeMemory => "aot_enlarge_memory",
            Self::MemoryInit => "aot_memory_init",
            Self::DataDrop => "aot_data_drop",
            Self::TableInit => "aot_table_init",
            Self::TableCopy => "aot_table_copy",
            Self::TableFill => "aot_table_fill",
            Self::TableGrow => "aot_table_grow",
            Self::DropTableSegment => "aot_drop_table_seg",
            Self::Memset => "memset",
            Self::Memmove => "memmove",
            Self::CeilF32 => "ceilf",
            Self::CeilF64 => "ceil",
            Self::FloorF32 => "floorf",
            Self::FloorF64 => "floor",
            Self::TruncF32 => "truncf",
            Self::TruncF64 => "trunc",
            // Wasm rounds ties to even, as the default rounding mode does.
            Self::NearestF32 => "rintf",
            Self::NearestF64 => "rint",
        }
    }

    /// Parameter types and result, from the C declarations in `aot/aot_runtime.h`.
    /// `bool` is returned in the low 8 bits.
    fn types(self) -> (&'static [Type], Option<Type>) {
        use types::{I8, I32, I64};
        match self {
            Self::SetExceptionWithId => (&[I64, I32], None),
            Self::InvokeNative => (&[I64, I32, I32, I64], Some(I8)),
            Self::EnlargeMemory => (&[I64, I32], Some(I8)),
            Self::MemoryInit => (&[I64, I32, I32, I32, I64], Some(I8)),
            Self::DataDrop => (&[I64, I32], Some(I8)),
            Self::TableInit | Self::TableCopy => (&[I64, I32, I32, I32, I32, I32], None),
            Self::TableFill => (&[I64, I32, I32, I64, I32], None),
            Self::TableGrow => (&[I64, I32, I32, I64], Some(I32)),
            Self::DropTableSegment => (&[I64, I32], None),
            Self::Memset => (&[I64, I32, I64], Some(I64)),
            Self::Memmove => (&[I64, I64, I64], Some(I64)),
            _ => (&[], None),
        }
    }

    /// C wants narrow integers extended to a register: with the sign on riscv64,
    /// also unsigned ones (RISC-V psABI, "Integer Calling Convention").
    pub fn signature(self, extends_sign: bool) -> Signature {
        let extended = |ty: Type| match ty.bits() {
            64 => AbiParam::new(ty),
            _ if extends_sign => AbiParam::new(ty).sext(),
            _ => AbiParam::new(ty).uext(),
        };
        let (params, result) = self.types();
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.extend(params.iter().copied().map(extended));
        signature.returns.extend(result.map(AbiParam::new));
        signature
    }
}

/// A Wasm value's type in compiled code; references are 32-bit indices.
pub(crate) fn value_type(ty: ValType) -> Type {
    match ty {
        ValType::I32 | ValType::Ref(_) => types::I32,
        ValType::I64 => types::I64,
        ValType::F32 => types::F32,
        ValType::F64 => types::F64,
        ValType::V128 => types::I8X16,
    }
}

/// Bytes of a value where WAMR packs values: globals and argument cells.
pub(crate) fn packed_bytes(ty: ValType) -> u32 {
    value_type(ty).bytes()
}

/// `R0 f(exec_env, params..., R1*, R2*, ...)` in the platform's C convention
/// (`compilation/aot_llvm.c`, `aot_add_llvm_func`).
pub(crate) fn function_signature(ty: &FuncType) -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.push(AbiParam::new(types::I64));
    for (ty, is_split) in ty.params().iter().zip(split_vectors(ty.params())) {
        let (carried, count) = if is_split { (types::F64, 2) } else { (value_type(*ty), 1) };
        signature.params.extend((0..count).map(|_| AbiParam::new(carried)));
    }
    if let Some((first, others)) = ty.results().split_first() {
        signature.returns.push(AbiParam::new(value_type(*first)));
        signature.params.extend(others.iter().map(|_| AbiParam::new(types::I64)));
    }
    signature
}

/// The same in the convention for tail calls, which only our own code knows.
pub(crate) fn tail_signature(ty: &FuncType) -> Signature {
    let mut signature = function_signature(ty);
    signature.call_conv = CallConv::Tail;
    signature
}

/// With the index of the function to call at the end.
pub(crate) fn dispatcher_signature(ty: &FuncType) -> Signature {
    let mut signature = tail_signature(ty);
    signature.params.push(AbiParam::new(types::I32));
    signature
}

/// Which of `params` are vectors that travel as two f64.
///
/// With the eight vector registers taken, the conventions put a v128 on the stack at
/// a multiple of 16, but WAMR in the next two of its 8-byte slots
/// (`common/wasm_runtime_common.c`, `wasm_runtime_invoke_native`). Two f64 lie there.
pub(crate) fn split_vectors(params: &[ValType]) -> impl Iterator<Item = bool> {
    let mut registers_left = 8_u32;
    params.iter().map(move |ty| {
        let is_vector = *ty == ValType::V128;
        if !is_vector && !matches!(ty, ValType::F32 | ValType::F64) {
            return false;
        }
        let has_register = registers_left > 0;
        registers_left = registers_left.saturating_sub(1);
        is_vector && !has_register
    })
}

/// How many values of a signature carry `params`.
pub(crate) fn carried_count(params: &[ValType]) -> usize {
    params.len() + split_vectors(params).filter(|is_split| *is_split).count()
}

/// Byte offsets of a module's memory, globals and tables from its instance.
pub(crate) struct InstanceLayout {
    globals: Vec<u32>,
    tables: Vec<u32>,
}

impl InstanceLayout {
    /// Every module has exactly one memory instance, a stand-in if it declares none.
    const MEMORY: u32 = instance::GLOBAL_TABLE_DATA;

    pub const CUR_PAGE_COUNT: i32 = (Self::MEMORY + memory_instance::CUR_PAGE_COUNT) as i32;
    pub const MEMORY_DATA_SIZE: i32 = (Self::MEMORY + memory_instance::MEMORY_DATA_SIZE) as i32;
    pub const MEMORY_DATA: i32 = (Self::MEMORY + memory_instance::MEMORY_DATA) as i32;

    /// Sums cannot overflow: `GLOBALS_MAX` × 16 and `TABLE_SLOTS_MAX` × 8 bytes.
    pub fn of(info: &ModuleInfo<'_>) -> Self {
        let mut offset = Self::MEMORY + memory_instance::BYTES;
        let mut globals = Vec::with_capacity(info.globals.len());
        for global in &info.globals {
            globals.push(offset);
            offset += packed_bytes(global.ty);
        }
        let mut tables = Vec::with_capacity(info.tables.len());
        for table in &info.tables {
            tables.push(offset);
            offset += table_instance::ELEMS + table_instance::ELEM_BYTES * table.allocated_slots();
        }
        Self { globals, tables }
    }

    pub fn global(&self, index: u32) -> i32 {
        self.globals[index as usize] as i32
    }

    pub fn table_size(&self, index: u32) -> i32 {
        (self.tables[index as usize] + table_instance::CUR_SIZE) as i32
    }

    pub fn table_elements(&self, index: u32) -> i32 {
        (self.tables[index as usize] + table_instance::ELEMS) as i32
    }
}
