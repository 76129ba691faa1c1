//! A running module: its memory, globals and calls.

use crate::gas::{GasGlobals, GasLimits, Interrupter, StopSwitch, StopWord};
use crate::heap;
use crate::module::{ERROR_BYTES, ExternType, Module, error_text, text};
use crate::profile::{MODE, Mode};
use crate::value::{FuncType, Value, ValueType, cell_count, push_cells, take_values};
use std::any::Any;
use std::ffi::{CString, c_char};
use std::fmt;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use target_spec::metering::{EXPORT_GAS_LIMIT, EXPORT_GAS_USED, EXPORT_START};
use wamrx_sys as sys;

/// Why a module's code stopped, such as `unreachable` or
/// `out of bounds memory access`.
#[derive(Debug, Clone, Eq)]
pub struct Trap {
    pub kind: TrapKind,
    pub reason: String,
    /// Where, as the code left it; `aot_compiler::trap_place` reads it. None where code
    /// left nothing: a host function's refusal, a fault under hardware checks.
    pub place: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrapKind {
    /// The module's own doing, or a host function's refusal.
    Guest,
    /// A metered module used more gas than its limit.
    OutOfGas,
    /// An [`Interrupter`] stopped the call.
    Interrupted,
}

/// Two are the same that say the same, wherever they come from.
impl PartialEq for Trap {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.reason) == (other.kind, &other.reason)
    }
}

impl Trap {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { kind: TrapKind::Guest, reason: reason.into(), place: None }
    }

    pub fn out_of_gas() -> Self {
        Self { kind: TrapKind::OutOfGas, ..Self::new("out of gas") }
    }

    pub fn interrupted() -> Self {
        Self { kind: TrapKind::Interrupted, ..Self::new("interrupted by the host") }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Trap {}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstantiateError {
    #[error("the module starts with {initial} bytes of memory, its limit is {limit}")]
    OverLimit { initial: u64, limit: u64 },
    #[error("starting the module takes {needed} gas, its limit is {limit}")]
    OutOfGas { needed: u64, limit: u64 },
    /// The compiler's note names globals that are not there.
    #[error(
        "the module says that it is metered but exports no counter and limit as metering makes them"
    )]
    NotMetered,
    /// Among others a segment out of range and a trap in the start function.
    #[error("instantiate the module: {0}")]
    Failed(Trap),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("the module exports no function {0:?}")]
    NoSuchFunction(String),
    #[error("{name} has the type {func_type}; it was given ({})", given.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(", "))]
    Arguments { name: String, func_type: FuncType, given: Vec<ValueType> },
    #[error(transparent)]
    Trap(#[from] Trap),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at {address} are beyond the memory of {memory_bytes} bytes")]
pub struct OutOfBounds {
    pub address: u32,
    pub len: usize,
    pub memory_bytes: usize,
}

pub struct InstanceConfig {
    /// Most linear memory. Growing beyond fails as the module sees it. A limit
    /// below one page counts as one page, and `None` leaves the module's own.
    pub memory_bytes_max: Option<u64>,
    /// For a metered module.
    pub gas: GasLimits,
    /// What host functions get from [`Caller::state`](crate::Caller::state).
    pub state: Box<dyn Any>,
}

impl Default for InstanceConfig {
    fn default() -> Self {
        Self { memory_bytes_max: None, gas: GasLimits::default(), state: Box::new(()) }
    }
}

/// Of `WASMExecEnv.suspend_flags`.
const SUSPEND_FLAGS_OFFSET: usize = 5 * size_of::<usize>();

/// Of the word that compiled code leaves: `abi::instance::TRAP_WORD` of the compiler. What
/// WAMR raises is shorter and does not reach it; what a host function raises is our own
/// word.
const TRAP_WORD_OFFSET: usize = 104 + 124;

/// The rest is the number of the exception.
const TRAP_PLACE_MASK: u32 = (1 << 26) - 1;

/// WAMR's text for `EXCE_UNREACHABLE` (common/wasm_runtime_common.c).
const UNREACHABLE: &str = "unreachable";

/// WAMR's interpreter stack, of which each instance has one, cleared and so resident.
/// Compiled code uses the thread's: only frames that are kept for stack traces would be
/// there, and they are not built in (`WASM_ENABLE_AOT_STACK_FRAME`). 0 would be taken for
/// WAMR's default of 16 KiB.
const WASM_STACK_BYTES: u32 = match MODE {
    Mode::Aot => 64,
    Mode::Interpreter => 1024 * 1024,
};

/// What host functions reach through the instance's custom data.
pub(crate) struct InstanceData {
    pub state: Box<dyn Any>,
    pub host_trap: Option<Trap>,
}

pub struct Instance<'m> {
    raw: NonNull<sys::WASMModuleInstanceCommon>,
    exec_env: NonNull<sys::WASMExecEnv>,
    /// Owned: a box turned into a pointer, because WAMR holds a copy of it.
    data: NonNull<InstanceData>,
    /// Dropped after the instance was freed: `Drop::drop` runs before the fields'.
    module: ModuleHandle<'m>,
    gas_limits: GasLimits,
    gas: Option<GasGlobals>,
    stop: StopSwitch,
    overhead_bytes: usize,
}

/// How an instance keeps its module alive.
enum ModuleHandle<'m> {
    Borrowed(&'m Module<'m>),
    Shared(Rc<Module<'m>>),
}

impl<'m> Deref for ModuleHandle<'m> {
    type Target = Module<'m>;

    fn deref(&self) -> &Module<'m> {
        match self {
            Self::Borrowed(module) => module,
            Self::Shared(module) => module,
        }
    }
}

impl<'m> Instance<'m> {
    /// Allocates, copies the segments and runs the start function. A metered module
    /// must be able to pay for the first two before they are done.
    pub fn new(module: &'m Module<'_>, config: InstanceConfig) -> Result<Self, InstantiateError> {
        Self::of(ModuleHandle::Borrowed(module), config)
    }

    /// The same for a module that lives as long as its last instance.
    pub fn of_shared(
        module: Rc<Module<'m>>,
        config: InstanceConfig,
    ) -> Result<Self, InstantiateError> {
        Self::of(ModuleHandle::Shared(module), config)
    }

    fn of(module: ModuleHandle<'m>, config: InstanceConfig) -> Result<Self, InstantiateError> {
        let max_pages = max_pages(&module, config.memory_bytes_max)?;
        check_instantiation_gas(&module, config.gas)?;
        let data = Box::new(InstanceData { state: config.state, host_trap: None });
        let data = NonNull::from(Box::leak(data));
        let held_before = heap::held_bytes();
        match instantiate(&module, data, max_pages) {
            Ok((raw, exec_env)) => {
                let (gas_limits, stop) = (config.gas, StopSwitch::default());
                let gas = None;
                let overhead_bytes = heap::held_bytes().saturating_sub(held_before);
                let mut instance =
                    Self { raw, exec_env, data, module, gas_limits, gas, stop, overhead_bytes };
                instance.connect()?;
                Ok(instance)
            }
            Err(trap) => {
                // SAFETY: leaked above, and no instance that knew it is left.
                let data = unsafe { Box::from_raw(data.as_ptr()) };
                Err(InstantiateError::Failed(data.host_trap.unwrap_or(trap)))
            }
        }
    }

    /// Finds the words that code looks at, and runs a metered module's start function.
    fn connect(&mut self) -> Result<(), InstantiateError> {
        if let Some(note) = self.module.metering() {
            let gas = self.find_gas().ok_or(InstantiateError::NotMetered)?;
            self.gas = Some(gas);
            self.stop.connect(StopWord::GasLimit(gas));
            if note.has_start {
                return match self.call(EXPORT_START, &[]) {
                    Ok(_) => Ok(()),
                    Err(CallError::Trap(trap)) => Err(InstantiateError::Failed(trap)),
                    Err(_) => Err(InstantiateError::NotMetered),
                };
            }
        } else if self.module.profile().is_some_and(|profile| profile.policy.suspend_checks) {
            // SAFETY: the environment is alive, and `suspend_flags` is its sixth field
            // of a pointer's size, aligned to 4 (static assertion in
            // aot/aot_runtime.c; common/wasm_exec_env.h).
            let flags = unsafe { self.exec_env.byte_add(SUSPEND_FLAGS_OFFSET).cast() };
            self.stop.connect(StopWord::SuspendFlags(flags));
        }
        Ok(())
    }

    fn find_gas(&self) -> Option<GasGlobals> {
        let place = |name| match self.find_global(name)? {
            (place, ValueType::I64, true) => Some(place),
            _ => None,
        };
        let (used, limit) = (place(EXPORT_GAS_USED)?, place(EXPORT_GAS_LIMIT)?);
        // SAFETY: places of i64 globals of this instance; the value is gone with it,
        // and `drop` takes it from the interrupters first.
        unsafe { GasGlobals::new(used, limit) }
    }

    /// What a metered module has used, since and with its instantiation.
    pub fn gas_used(&self) -> Option<u64> {
        self.gas.map(|gas| gas.used())
    }

    pub fn gas_limits(&self) -> GasLimits {
        self.gas_limits
    }

    /// For the calls from now on.
    pub fn set_gas_limits(&mut self, limits: GasLimits) {
        self.gas_limits = limits;
    }

    /// A means to stop this instance's calls from other threads. None for a module
    /// that is neither metered nor was compiled with suspend checks.
    pub fn interrupter(&self) -> Option<Interrupter> {
        self.stop.interrupter()
    }

    /// Calls an exported function. After a trap the instance can be called
    /// again as WebAssembly allows, though what its memory holds is anyone's guess.
    pub fn call(&mut self, name: &str, args: &[Value]) -> Result<Vec<Value>, CallError> {
        self.clear_trap();
        let no_such = || CallError::NoSuchFunction(name.to_owned());
        let (func_type, c_name) = self.module.function(name).ok_or_else(no_such)?;
        let given = args.iter().map(|arg| arg.value_type());
        if !given.clone().eq(func_type.params.iter().copied()) {
            let (name, func_type) = (name.to_owned(), func_type.clone());
            return Err(CallError::Arguments { name, func_type, given: given.collect() });
        }
        // SAFETY: instance and string are alive (wasm_export.h); null if absent.
        let function =
            unsafe { sys::wasm_runtime_lookup_function(self.raw.as_ptr(), c_name.as_ptr()) };
        if function.is_null() {
            return Err(no_such());
        }

        let mut cells = Vec::with_capacity(cell_count(&func_type.params));
        args.iter().for_each(|arg| push_cells(&mut cells, *arg));
        let arg_cells = cells.len() as u32; // a few thousand at most, by validation
        cells.resize(cells.len().max(cell_count(&func_type.results)), 0);
        if !self.stop.begin_call(self.gas_limits) {
            return Err(Trap::interrupted().into());
        }
        if self.is_out_of_gas() {
            return Err(Trap::out_of_gas().into());
        }
        // SAFETY: the environment belongs to this instance and thread; the cells
        // hold the arguments by the function's own type and have room for its
        // results, which WAMR writes over them (wasm_export.h,
        // wasm_runtime_call_wasm). Host functions get at this instance only
        // through its data, which nobody else borrows while `&mut self` is held.
        let has_returned = unsafe {
            sys::wasm_runtime_call_wasm(
                self.exec_env.as_ptr(),
                function,
                arg_cells,
                cells.as_mut_ptr(),
            )
        };
        if has_returned {
            return Ok(take_values(&cells, &func_type.results));
        }
        Err(self.take_trap().into())
    }

    /// Bytes of the linear memory as it is now.
    pub fn memory_bytes(&self) -> usize {
        // SAFETY: the instance is alive; only the length is used.
        unsafe { memory_of(self.raw.as_ptr()) }.len()
    }

    /// What WAMR took from the heap to make this instance, beside its linear memory:
    /// its tables, globals, function pointers and the stack of its environment.
    pub fn overhead_bytes(&self) -> usize {
        self.overhead_bytes
    }

    pub fn read_memory(&self, address: u32, len: usize) -> Result<Vec<u8>, OutOfBounds> {
        // SAFETY: the instance is alive, and no code of it runs during the copy.
        let memory = unsafe { memory_of(self.raw.as_ptr()) };
        let error = OutOfBounds { address, len, memory_bytes: memory.len() };
        let end = (address as usize).checked_add(len).ok_or(error)?;
        Ok(memory.get(address as usize..end).ok_or(error)?.to_vec())
    }

    pub fn write_memory(&mut self, address: u32, bytes: &[u8]) -> Result<(), OutOfBounds> {
        // SAFETY: the instance is alive and borrowed exclusively.
        let memory = unsafe { memory_of(self.raw.as_ptr()) };
        let error = OutOfBounds { address, len: bytes.len(), memory_bytes: memory.len() };
        let end = (address as usize).checked_add(bytes.len()).ok_or(error)?;
        memory.get_mut(address as usize..end).ok_or(error)?.copy_from_slice(bytes);
        Ok(())
    }

    /// The value of an exported global.
    pub fn global(&self, name: &str) -> Option<Value> {
        let (data, value_type, _) = self.find_global(name)?;
        // SAFETY: `find_global` gives the place of a global of this type, which
        // need not be aligned: WAMR packs them.
        Some(unsafe {
            match value_type {
                ValueType::I32 => Value::I32(data.cast::<i32>().read_unaligned()),
                ValueType::I64 => Value::I64(data.cast::<i64>().read_unaligned()),
                ValueType::F32 => Value::F32(data.cast::<u32>().read_unaligned()),
                ValueType::F64 => Value::F64(data.cast::<u64>().read_unaligned()),
                ValueType::V128 => Value::V128(data.cast::<u128>().read_unaligned()),
                ValueType::FuncRef => {
                    let index = data.cast::<u32>().read_unaligned();
                    Value::FuncRef((index != u32::MAX).then_some(index))
                }
                ValueType::ExternRef => {
                    let mut object = ptr::null_mut();
                    // Turns the cell into the host's pointer, null for null
                    // (common/wasm_runtime_common.c); see `push_cells`.
                    let index = data.cast::<u32>().read_unaligned();
                    sys::wasm_externref_ref2obj(index, &mut object);
                    Value::ExternRef((object.addr() as u64).checked_sub(1))
                }
            }
        })
    }

    /// Sets an exported mutable global. `false` if there is none of that name and
    /// type; references cannot be set.
    pub fn set_global(&mut self, name: &str, value: Value) -> bool {
        let Some((data, value_type, true)) = self.find_global(name) else { return false };
        if value_type != value.value_type() {
            return false;
        }
        // SAFETY: the place of a global of this very type, perhaps not aligned.
        unsafe {
            match value {
                Value::I32(number) => data.cast::<i32>().write_unaligned(number),
                Value::I64(number) => data.cast::<i64>().write_unaligned(number),
                Value::F32(bits) => data.cast::<u32>().write_unaligned(bits),
                Value::F64(bits) => data.cast::<u64>().write_unaligned(bits),
                Value::V128(bits) => data.cast::<u128>().write_unaligned(bits),
                Value::FuncRef(_) | Value::ExternRef(_) => return false,
            }
        }
        true
    }

    /// The state given to the configuration, if it has this type.
    pub fn state<T: 'static>(&mut self) -> Option<&mut T> {
        self.data_mut().state.downcast_mut()
    }

    /// Place, type and mutability. WAMR's lookup is wrong for a module that
    /// imports globals, but `Module::load` lets none of these through.
    fn find_global(&self, name: &str) -> Option<(*mut u8, ValueType, bool)> {
        let is_it = |export: &&crate::Export| export.name == name;
        let ty = self.module.exports().iter().find(is_it).map(|export| &export.ty);
        let Some(ExternType::Global { value, mutable }) = ty else { return None };
        let c_name = CString::new(name).ok()?;
        let mut global = sys::wasm_global_inst_t::default();
        // SAFETY: instance and string are alive; on success the place is inside
        // the instance (wasm_export.h, wasm_runtime_get_export_global_inst).
        let is_found = unsafe {
            sys::wasm_runtime_get_export_global_inst(
                self.raw.as_ptr(),
                c_name.as_ptr(),
                &mut global,
            )
        };
        (is_found && !global.global_data.is_null())
            .then(|| (global.global_data.cast(), *value, *mutable))
    }

    fn data_mut(&mut self) -> &mut InstanceData {
        // SAFETY: owned by this instance; `&mut self` means that no call runs, so
        // no host function holds a reference to it.
        unsafe { self.data.as_mut() }
    }

    fn clear_trap(&mut self) {
        self.data_mut().host_trap = None;
        // SAFETY: the instance is alive.
        unsafe {
            sys::wasm_runtime_clear_exception(self.raw.as_ptr());
            self.trap_word().write(0);
        }
    }

    /// The last word of `cur_exception`, which is an array of 128 characters at 104.
    fn trap_word(&self) -> NonNull<u32> {
        // SAFETY: inside of the instance, which is alive (static assertions in
        // aot/aot_runtime.c), and aligned to 4.
        unsafe { self.raw.byte_add(TRAP_WORD_OFFSET).cast() }
    }

    fn take_trap(&mut self) -> Trap {
        // SAFETY: the instance is alive; the text is copied before it is cleared.
        let reason = unsafe { text(sys::wasm_runtime_get_exception(self.raw.as_ptr())) };
        // SAFETY: see `trap_word`; code that runs no more has written it.
        let word = unsafe { self.trap_word().read() };
        let host_trap = self.data_mut().host_trap.take();
        self.clear_trap();
        let reason = reason.strip_prefix("Exception: ").unwrap_or(&reason);
        let is_code_aot = MODE == Mode::Aot;
        let place = Some(word).filter(|word| is_code_aot && *word & TRAP_PLACE_MASK != 0);
        host_trap.unwrap_or_else(|| Trap { place, ..self.explain(reason) })
    }

    /// Gas that runs out and an interruption are `unreachable` in the code; a module's
    /// own `unreachable` leaves its gas within the limit.
    fn explain(&self, reason: &str) -> Trap {
        if reason != UNREACHABLE {
            return Trap::new(reason);
        }
        if (self.gas.is_none() || self.is_out_of_gas()) && self.stop.take_wish() {
            return Trap::interrupted();
        }
        if self.is_out_of_gas() { Trap::out_of_gas() } else { Trap::new(reason) }
    }

    fn is_out_of_gas(&self) -> bool {
        self.gas.is_some_and(|gas| gas.used() > gas.limit())
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        // After this no other thread writes into what is freed next.
        self.stop.disconnect();
        // SAFETY: made once, freed once, environment first, on the thread that
        // made them; afterwards nothing knows the data any more.
        unsafe {
            sys::wasm_runtime_destroy_exec_env(self.exec_env.as_ptr());
            sys::wasm_runtime_deinstantiate(self.raw.as_ptr());
            drop(Box::from_raw(self.data.as_ptr()));
        }
    }
}

/// Nothing is allocated for a module that could not pay for it.
fn check_instantiation_gas(module: &Module<'_>, gas: GasLimits) -> Result<(), InstantiateError> {
    let needed = module.metering().map_or(0, |note| note.instantiation_gas);
    if needed > gas.total {
        return Err(InstantiateError::OutOfGas { needed, limit: gas.total });
    }
    Ok(())
}

/// The limit in the module's pages; 0 means "as the module says" to WAMR.
fn max_pages(module: &Module<'_>, limit: Option<u64>) -> Result<u32, InstantiateError> {
    let (Some(limit), Some(memory)) = (limit, module.memory()) else { return Ok(0) };
    if memory.initial_bytes() > limit {
        return Err(InstantiateError::OverLimit { initial: memory.initial_bytes(), limit });
    }
    let pages = limit / u64::from(memory.page_bytes.max(1));
    // Above the module's own maximum WAMR keeps that one, with a warning.
    Ok(u32::try_from(pages).unwrap_or(u32::MAX).max(1).min(memory.max_pages))
}

type RawInstance = (NonNull<sys::WASMModuleInstanceCommon>, NonNull<sys::WASMExecEnv>);

fn instantiate(
    module: &Module<'_>,
    data: NonNull<InstanceData>,
    max_pages: u32,
) -> Result<RawInstance, Trap> {
    let mut args = ptr::null_mut();
    // SAFETY: writes a pointer to new arguments (wasm_export.h).
    if !unsafe { sys::wasm_runtime_instantiation_args_create(&mut args) } {
        return Err(Trap::new("out of memory"));
    }
    let mut error = [0 as c_char; ERROR_BYTES];
    // SAFETY: the arguments are alive until destroyed below, and WAMR keeps no
    // pointer to them. The module is loaded. The data is set before the start
    // function can run, which may call host functions.
    let raw = unsafe {
        sys::wasm_runtime_instantiation_args_set_default_stack_size(args, WASM_STACK_BYTES);
        sys::wasm_runtime_instantiation_args_set_host_managed_heap_size(args, 0);
        sys::wasm_runtime_instantiation_args_set_max_memory_pages(args, max_pages);
        sys::wasm_runtime_instantiation_args_set_custom_data(args, data.as_ptr().cast());
        let raw = sys::wasm_runtime_instantiate_ex2(
            module.raw(),
            args,
            error.as_mut_ptr(),
            ERROR_BYTES as u32,
        );
        sys::wasm_runtime_instantiation_args_destroy(args);
        raw
    };
    let raw = NonNull::new(raw).ok_or_else(|| Trap::new(error_text(&error)))?;
    // SAFETY: the instance is alive; the environment is destroyed before it.
    let exec_env = unsafe { sys::wasm_runtime_create_exec_env(raw.as_ptr(), WASM_STACK_BYTES) };
    match NonNull::new(exec_env) {
        Some(exec_env) => Ok((raw, exec_env)),
        None => {
            // SAFETY: alive, and not handed out.
            unsafe { sys::wasm_runtime_deinstantiate(raw.as_ptr()) };
            Err(Trap::new("out of memory"))
        }
    }
}

/// The linear memory as it is at this moment.
///
/// # Safety
/// The instance must be alive. The slice must be gone before the module's code
/// runs again, which may move the memory, and must be the only one unless all are
/// read only.
pub(crate) unsafe fn memory_of<'a>(instance: sys::wasm_module_inst_t) -> &'a mut [u8] {
    // SAFETY: the instance is alive; null if it has no memory.
    let memory = unsafe { sys::wasm_runtime_get_default_memory(instance) };
    if memory.is_null() {
        return &mut [];
    }
    // SAFETY: the memory is alive with its instance.
    let (base, pages, page_bytes) = unsafe {
        (
            sys::wasm_memory_get_base_address(memory),
            sys::wasm_memory_get_cur_page_count(memory),
            sys::wasm_memory_get_bytes_per_page(memory),
        )
    };
    // Cannot overflow on a 64-bit host: a memory has at most 4 GiB.
    let len = pages as usize * page_bytes as usize;
    if base.is_null() || len == 0 {
        return &mut [];
    }
    // SAFETY: WAMR maps at least pages x bytes, readable and writable
    // (common/wasm_memory.c, wasm_allocate_linear_memory); the caller promises
    // how long and how alone the slice lives.
    unsafe { std::slice::from_raw_parts_mut(base.cast(), len) }
}
