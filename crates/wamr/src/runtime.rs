//! WAMR's global state, held by one thread at a time.

use crate::heap;
use crate::host::{HostFunction, RegisterError, Registered};
use crate::profile::{MODE, Mode, Profile, WAMR_VERSION, bounds_checks};
use aot_reader::AOT_VERSION;
use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Mutex;
use std::thread::{Builder, JoinHandle};
use target_spec::BoundsChecks;
use wamrx_sys as sys;

/// Held while a runtime exists: WAMR's state is one for the whole process.
static WAMR_STATE: Mutex<()> = Mutex::new(());

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    #[error(
        "this binary's two halves disagree: the C library was built for {library} bounds checks and \
         the Rust part for {own} ones; build each profile in a target directory of its own"
    )]
    StaleLibrary { library: BoundsChecks, own: BoundsChecks },
    #[error(
        "the C library is WAMR {found} with AoT version {aot}, which this wrapper was not written for"
    )]
    WrongVersion { found: String, aot: u32 },
    #[error(
        "this binary's two halves disagree: the Rust part is for the mode {}, the C library is not; \
         build each mode in a target directory of its own",
        MODE.as_str()
    )]
    WrongMode,
    #[error("WAMR could not be initialised")]
    Init,
}

/// An initialised WAMR. It cannot leave its thread, nor can what is made from it.
pub struct Runtime {
    host_functions: RefCell<Vec<Pin<Box<Registered>>>>,
    not_send: PhantomData<*const ()>,
}

impl Runtime {
    /// Starts a thread with this stack, initialises WAMR on it and runs `body`.
    ///
    /// A second one waits until the first has ended. The stack serves compiled
    /// code and host functions alike and becomes resident as a whole with
    /// hardware checks; 256 KiB is plenty for most.
    pub fn spawn<T: Send + 'static>(
        name: &str,
        stack_bytes: usize,
        body: impl FnOnce(&Runtime) -> T + Send + 'static,
    ) -> io::Result<JoinHandle<Result<T, RuntimeError>>> {
        Builder::new().name(name.to_owned()).stack_size(stack_bytes).spawn(move || {
            // The state itself is in C, and a panic elsewhere left none behind:
            // `Runtime` is dropped before the guard.
            let _guard = WAMR_STATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            Ok(body(&Runtime::init()?))
        })
    }

    fn init() -> Result<Self, RuntimeError> {
        check_library()?;
        let mut args = sys::RuntimeInitArgs {
            mem_alloc_type: sys::Alloc_With_Allocator,
            mem_alloc_option: heap::counting_allocator(),
            ..Default::default()
        };
        // SAFETY: `args` is a valid, zeroed `RuntimeInitArgs` apart from the
        // allocator, which works as WAMR wants one to, and only read during the call
        // (wasm_export.h, wasm_runtime_full_init). `WAMR_STATE` keeps other threads out.
        if !unsafe { sys::wasm_runtime_full_init(&mut args) } {
            return Err(RuntimeError::Init);
        }
        // What it says below this level we find out and report ourselves.
        // SAFETY: needs an initialised runtime (wasm_export.h).
        unsafe { sys::wasm_runtime_set_log_level(sys::WASM_LOG_LEVEL_ERROR) };
        Ok(Self { host_functions: RefCell::default(), not_send: PhantomData })
    }

    pub fn profile(&self) -> Profile {
        Profile::of_this_build()
    }

    /// Offers a function to modules that are loaded from now on.
    pub fn register(&self, function: HostFunction) -> Result<(), RegisterError> {
        let mut registered = self.host_functions.borrow_mut();
        if registered.iter().any(|r| r.is_named(&function.module, &function.name)) {
            return Err(RegisterError::Twice { module: function.module, name: function.name });
        }
        registered.push(Registered::register(function)?);
        Ok(())
    }

    /// `module.name` of every registered function, in order of registration.
    pub fn offered_imports(&self) -> Vec<String> {
        self.host_functions.borrow().iter().map(|r| r.full_name()).collect()
    }

    /// The type under which a function is offered.
    pub(crate) fn offered_type(&self, module: &str, name: &str) -> Option<crate::FuncType> {
        let registered = self.host_functions.borrow();
        registered.iter().find(|r| r.is_named(module, name)).map(|r| r.func_type().clone())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // SAFETY: pairs with the successful init of this value, on the same
        // thread (`not_send`). Modules and instances borrow the runtime, so they
        // are gone; WAMR forgets the registered symbols here
        // (wasm_native_destroy), and only then does `host_functions` free them.
        unsafe { sys::wasm_runtime_destroy() };
    }
}

fn check_library() -> Result<(), RuntimeError> {
    let (mut major, mut minor, mut patch) = (0, 0, 0);
    // SAFETY: writes three u32 (wasm_export.h); needs no initialised runtime.
    unsafe { sys::wasm_runtime_get_version(&mut major, &mut minor, &mut patch) };
    // SAFETY: returns a constant of the build (common/wasm_runtime_common.c).
    let aot = unsafe { sys::wasm_runtime_get_current_package_version(sys::Wasm_Module_AoT) };
    if (major, minor, patch) != WAMR_VERSION || aot != AOT_VERSION {
        return Err(RuntimeError::WrongVersion { found: format!("{major}.{minor}.{patch}"), aot });
    }
    // SAFETY: as above; true where the interpreter was built in.
    let interprets = unsafe { sys::wasm_runtime_is_running_mode_supported(sys::Mode_Interp) };
    if interprets != (MODE == Mode::Interpreter) {
        return Err(RuntimeError::WrongMode);
    }
    if MODE == Mode::Interpreter {
        // It does its checks itself, so there is no file to disagree with.
        return Ok(());
    }
    // A library with hardware checks asks here whether this thread's signal
    // handling was set up, which on a fresh thread it was not; one without has
    // nothing to set up and says yes (wasm_runtime_thread_env_inited).
    // SAFETY: reads a thread-local flag; needs no initialised runtime.
    let library = match unsafe { sys::wasm_runtime_thread_env_inited() } {
        true => BoundsChecks::Software,
        false => BoundsChecks::Hardware,
    };
    let own = bounds_checks();
    if library == own { Ok(()) } else { Err(RuntimeError::StaleLibrary { library, own }) }
}
