//! Functions that modules import from us.
//!
//! WAMR's raw convention hands a function its arguments in 64-bit slots and takes
//! the result in the first one. It alone passes an f32 correctly on RISC-V, where
//! the other convention loads it without NaN-boxing.

use crate::instance::{InstanceData, Trap, memory_of};
use crate::value::{FuncType, Value, ValueType};
use std::ffi::{CString, c_void};
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr;
use wamrx_sys as sys;

type Body = dyn Fn(&mut Caller<'_>, &[Value]) -> Result<Option<Value>, Trap>;

/// Native stack that must be left when a host function starts. Less than that
/// traps the module, so that Rust code never runs into a guard page.
const HOST_STACK_BYTES: u32 = 32 * 1024;

/// Longest reason that WAMR's own buffer keeps (`EXCEPTION_BUF_LEN` is 128).
/// `InstanceData::host_trap` keeps the whole.
const WAMR_TRAP_TEXT: &std::ffi::CStr = c"host function";

/// A function that modules may import, and its type.
pub struct HostFunction {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) func_type: FuncType,
    body: Box<Body>,
}

impl HostFunction {
    /// `body` receives arguments of exactly the declared types; what it returns
    /// must match the declared result. `Err` traps the calling module.
    pub fn new(
        module: impl Into<String>,
        name: impl Into<String>,
        func_type: FuncType,
        body: impl Fn(&mut Caller<'_>, &[Value]) -> Result<Option<Value>, Trap> + 'static,
    ) -> Self {
        Self { module: module.into(), name: name.into(), func_type, body: Box::new(body) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    #[error("host function {module}.{name} is registered twice")]
    Twice { module: String, name: String },
    #[error("host function {0} has a name with a NUL in it")]
    Name(String),
    #[error(
        "host function {name} has the type {func_type}: only numbers and at most one result cross"
    )]
    Type { name: String, func_type: FuncType },
    #[error("WAMR had no memory to register host function {0}")]
    OutOfMemory(String),
}

/// A function as WAMR knows it. WAMR keeps pointers to the names and to the
/// symbol until it is destroyed, so this never moves.
pub(crate) struct Registered {
    function: HostFunction,
    module: CString,
    name: CString,
    symbol: sys::NativeSymbol,
    _pinned: PhantomPinned,
}

impl Registered {
    pub fn register(function: HostFunction) -> Result<Pin<Box<Self>>, RegisterError> {
        let full_name = format!("{}.{}", function.module, function.name);
        let is_number = |t: &ValueType| {
            matches!(t, ValueType::I32 | ValueType::I64 | ValueType::F32 | ValueType::F64)
        };
        let FuncType { params, results } = &function.func_type;
        if results.len() > 1 || !params.iter().chain(results).all(is_number) {
            let func_type = function.func_type.clone();
            return Err(RegisterError::Type { name: full_name, func_type });
        }
        let to_c = |text: &str| {
            CString::new(text).map_err(|_| RegisterError::Name(full_name.replace('\0', "\\0")))
        };
        let (module, name) = (to_c(&function.module)?, to_c(&function.name)?);
        let symbol = sys::NativeSymbol {
            symbol: ptr::null(),
            func_ptr: ptr::null_mut(),
            signature: ptr::null(),
            attachment: ptr::null_mut(),
        };
        let mut registered =
            Box::new(Self { function, module, name, symbol, _pinned: PhantomPinned });
        registered.symbol = sys::NativeSymbol {
            symbol: registered.name.as_ptr(),
            func_ptr: call_host as *mut c_void,
            // No signature: WAMR would convert pointers by it. `Module::load`
            // compares the types before it lets WAMR link.
            signature: ptr::null(),
            attachment: (&raw mut *registered).cast(),
        };
        let symbol = &raw mut registered.symbol;
        let registered = Box::into_pin(registered);
        // SAFETY: name and symbol stay at their addresses until the runtime was
        // destroyed, as wasm_export.h asks ("must be kept valid"); `Runtime`
        // frees its list after that. The function has the raw convention.
        let is_registered = unsafe {
            sys::wasm_runtime_register_natives_raw(registered.module.as_ptr(), symbol, 1)
        };
        is_registered.then_some(registered).ok_or(RegisterError::OutOfMemory(full_name))
    }

    pub fn is_named(&self, module: &str, name: &str) -> bool {
        self.function.module == module && self.function.name == name
    }

    pub fn full_name(&self) -> String {
        format!("{}.{}", self.function.module, self.function.name)
    }

    pub fn func_type(&self) -> &FuncType {
        &self.function.func_type
    }
}

/// What a host function sees of the instance that called it.
pub struct Caller<'a> {
    instance: sys::wasm_module_inst_t,
    data: &'a mut InstanceData,
}

impl Caller<'_> {
    /// The linear memory; empty for a module that has none.
    pub fn memory(&mut self) -> &mut [u8] {
        // SAFETY: the instance is alive, it is running this call. The borrow ends
        // before the module goes on, and nothing here can grow the memory.
        unsafe { memory_of(self.instance) }
    }

    /// `len` bytes at `address`, or a trap as for the module's own access.
    pub fn slice(&mut self, address: u32, len: u32) -> Result<&mut [u8], Trap> {
        let start = address as usize;
        let end = start.checked_add(len as usize);
        end.and_then(|end| self.memory().get_mut(start..end)).ok_or_else(|| {
            Trap::new(format!(
                "out of bounds memory access: {len} bytes at {address} passed to a host function"
            ))
        })
    }

    /// The state given to `InstanceConfig`, if it has this type.
    pub fn state<T: 'static>(&mut self) -> Option<&mut T> {
        self.data.state.downcast_mut()
    }
}

/// Every host function from WAMR's side; which one is in the attachment.
unsafe extern "C" fn call_host(exec_env: sys::wasm_exec_env_t, slots: *mut u64) {
    // SAFETY: WAMR passes the environment that runs the call (common/
    // wasm_runtime_common.c, wasm_runtime_invoke_native_raw). A failed test has
    // set the exception "native stack overflow", and returning delivers it.
    if !unsafe { sys::wasm_runtime_detect_native_stack_overflow_size(exec_env, HOST_STACK_BYTES) } {
        return;
    }
    // SAFETY: the same environment.
    let (instance, attachment) = unsafe {
        (
            sys::wasm_runtime_get_module_inst(exec_env),
            sys::wasm_runtime_get_function_attachment(exec_env),
        )
    };
    // SAFETY: `Registered::register` put a pointer to itself there, and it lives
    // as long as the runtime.
    let registered = unsafe { &*attachment.cast::<Registered>() };
    // SAFETY: `Instance::new` gave every instance a pointer to its data before
    // its first code ran, and the data outlives the instance. A call holds
    // `&mut Instance`, and a host function cannot call back into the module, so
    // no other reference to the data exists.
    let data = unsafe { &mut *sys::wasm_runtime_get_custom_data(instance).cast::<InstanceData>() };

    let FuncType { params, results } = registered.func_type();
    // SAFETY: WAMR filled one slot for each parameter of the import's type, which
    // `Module::load` found equal to this type. Slots are 8-byte aligned u64s.
    let raw = |index: usize| unsafe { *slots.add(index) };
    let args: Vec<Value> = params
        .iter()
        .enumerate()
        .map(|(index, value_type)| match value_type {
            ValueType::I64 => Value::I64(raw(index).cast_signed()),
            ValueType::F64 => Value::F64(raw(index)),
            ValueType::F32 => Value::F32(raw(index) as u32),
            // `Registered::register` admits only the four number types.
            _ => Value::I32((raw(index) as u32).cast_signed()),
        })
        .collect();

    let mut caller = Caller { instance, data };
    let outcome = (registered.function.body)(&mut caller, &args).and_then(|result| {
        let result_type = result.map(Value::value_type);
        if result_type.as_slice() == results.as_slice() {
            return Ok(result);
        }
        Err(Trap::new(format!("host function {} returned another type", registered.full_name())))
    });
    let slot = match outcome {
        Ok(None) => return,
        Ok(Some(Value::I32(number))) => u64::from(number.cast_unsigned()),
        Ok(Some(Value::I64(number))) => number.cast_unsigned(),
        Ok(Some(Value::F32(bits))) => u64::from(bits),
        Ok(Some(Value::F64(bits))) => bits,
        Ok(Some(_)) => 0, // not of a declared type: refused above
        Err(trap) => {
            caller.data.host_trap = Some(trap);
            // SAFETY: copies the text into the instance (wasm_export.h); once
            // this function returns, WAMR unwinds the module's frames, none of ours.
            return unsafe { sys::wasm_runtime_set_exception(instance, WAMR_TRAP_TEXT.as_ptr()) };
        }
    };
    // SAFETY: the first slot exists even without parameters: WAMR takes the result
    // from it and its buffer has at least 16 (wasm_runtime_invoke_native_raw).
    unsafe { *slots = slot };
}
