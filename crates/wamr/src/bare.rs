//! WAMR as a C program uses it, with nothing of this wrapper in between, so that a
//! benchmark can say what the wrapper costs. Only for code that the benchmark made.

use crate::module::{ERROR_BYTES, error_text};
use crate::runtime::Runtime;
use std::ffi::{CStr, c_char, c_void};
use std::io;
use std::ptr::NonNull;
use wamrx_sys as sys;

const STACK_BYTES: u32 = 8 * 1024;

/// `(i32) -> i32`, as WAMR's usual convention calls it.
extern "C" fn same(_exec_env: sys::wasm_exec_env_t, number: i32) -> i32 {
    number
}

/// Offers `bare.same: (i32) -> i32` for as long as the process lives.
pub fn register(_runtime: &Runtime) -> bool {
    let symbol = sys::NativeSymbol {
        symbol: c"same".as_ptr(),
        func_ptr: same as *mut c_void,
        signature: c"(i)i".as_ptr(),
        attachment: std::ptr::null_mut(),
    };
    let symbols = Box::leak(Box::new([symbol]));
    // SAFETY: the names and the symbols are never freed, and the function has the type
    // that its signature says (wasm_export.h, wasm_runtime_register_natives).
    unsafe { sys::wasm_runtime_register_natives(c"bare".as_ptr(), symbols.as_mut_ptr(), 1) }
}

/// Memory as WAMR asks the kernel for it when it makes an instance (common/wasm_memory.c,
/// wasm_mmap_linear_memory): addresses, of which a part can then be used. Nothing of WAMR is
/// in it, so that a benchmark can say what of an instance's time is the kernel's.
pub struct FreshMemory {
    at: NonNull<c_void>,
    bytes: usize,
}

impl FreshMemory {
    /// With its first page touched; `usable_bytes` is at least a page.
    pub fn touched(bytes: usize, usable_bytes: usize) -> io::Result<Self> {
        if usable_bytes == 0 || usable_bytes > bytes {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (rights, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: new addresses of the kernel's choice, which no Rust value has.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, rights, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at).ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = Self { at, bytes };
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: of the mapping above, and no more than it has.
        if unsafe { libc::mprotect(at.as_ptr(), usable_bytes, rights) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it can be written from here on, and nobody else knows of it.
        unsafe { at.cast::<u8>().write_volatile(1) };
        Ok(memory)
    }
}

impl Drop for FreshMemory {
    fn drop(&mut self) {
        // SAFETY: mapped once with this length, unmapped once.
        unsafe { libc::munmap(self.at.as_ptr(), self.bytes) };
    }
}

pub struct BareModule<'r> {
    raw: NonNull<sys::WASMModuleCommon>,
    _file: Vec<u64>,
    _runtime: &'r Runtime,
}

impl<'r> BareModule<'r> {
    pub fn load(runtime: &'r Runtime, artifact: &[u8]) -> Result<Self, String> {
        let mut file = vec![0u64; artifact.len().div_ceil(8)];
        // SAFETY: the target has at least as many bytes, of any values.
        unsafe {
            std::ptr::copy_nonoverlapping(
                artifact.as_ptr(),
                file.as_mut_ptr().cast(),
                artifact.len(),
            );
        }
        let mut error = [0 as c_char; ERROR_BYTES];
        let len = u32::try_from(artifact.len()).map_err(|e| e.to_string())?;
        // SAFETY: the buffer has `len` bytes, is aligned, and lives as long as the module.
        let raw = unsafe {
            sys::wasm_runtime_load(
                file.as_mut_ptr().cast(),
                len,
                error.as_mut_ptr(),
                ERROR_BYTES as u32,
            )
        };
        let raw = NonNull::new(raw).ok_or_else(|| error_text(&error))?;
        Ok(Self { raw, _file: file, _runtime: runtime })
    }

    pub fn instantiate(&self) -> Result<BareInstance<'_>, String> {
        let mut error = [0 as c_char; ERROR_BYTES];
        // SAFETY: the module is loaded.
        let raw = unsafe {
            sys::wasm_runtime_instantiate(
                self.raw.as_ptr(),
                STACK_BYTES,
                0,
                error.as_mut_ptr(),
                ERROR_BYTES as u32,
            )
        };
        let raw = NonNull::new(raw).ok_or_else(|| error_text(&error))?;
        // SAFETY: the instance is alive.
        let exec_env = unsafe { sys::wasm_runtime_create_exec_env(raw.as_ptr(), STACK_BYTES) };
        let Some(exec_env) = NonNull::new(exec_env) else {
            // SAFETY: alive, and not handed out.
            unsafe { sys::wasm_runtime_deinstantiate(raw.as_ptr()) };
            return Err("out of memory".to_owned());
        };
        Ok(BareInstance { raw, exec_env, _module: self })
    }
}

impl Drop for BareModule<'_> {
    fn drop(&mut self) {
        // SAFETY: instances borrow the module, so none is left.
        unsafe { sys::wasm_runtime_unload(self.raw.as_ptr()) };
    }
}

pub struct BareInstance<'m> {
    raw: NonNull<sys::WASMModuleInstanceCommon>,
    exec_env: NonNull<sys::WASMExecEnv>,
    _module: &'m BareModule<'m>,
}

impl BareInstance<'_> {
    /// Calls an export of type `(i32) -> i32`.
    pub fn call(&mut self, name: &CStr, number: i32) -> Result<i32, String> {
        // SAFETY: instance and name are alive.
        let function =
            unsafe { sys::wasm_runtime_lookup_function(self.raw.as_ptr(), name.as_ptr()) };
        if function.is_null() {
            return Err("no such function".to_owned());
        }
        let mut cells = [number.cast_unsigned()];
        // SAFETY: one cell holds the argument and has room for the result.
        let has_returned = unsafe {
            sys::wasm_runtime_call_wasm(self.exec_env.as_ptr(), function, 1, cells.as_mut_ptr())
        };
        if has_returned { Ok(cells[0].cast_signed()) } else { Err("trapped".to_owned()) }
    }
}

impl Drop for BareInstance<'_> {
    fn drop(&mut self) {
        // SAFETY: both are alive, and the environment goes first.
        unsafe {
            sys::wasm_runtime_destroy_exec_env(self.exec_env.as_ptr());
            sys::wasm_runtime_deinstantiate(self.raw.as_ptr());
        }
    }
}
