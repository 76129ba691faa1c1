//! Limits for a metered module, and stopping one from another thread.
//!
//! A metered module counts in an exported global and compares with another one
//! (`target_spec::metering`); both are words in the instance that compiled code reads
//! and writes while it runs. Code that was compiled with suspend checks looks at a
//! word of its execution environment instead. [`Interrupter`] writes whichever it is.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use target_spec::metering::GAS_LIMIT_MAX;

/// What a metered module may use. More than [`GAS_LIMIT_MAX`] is never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasLimits {
    /// From instantiation, with that, to the end.
    pub total: u64,
    pub per_call: u64,
}

impl Default for GasLimits {
    /// Count only.
    fn default() -> Self {
        Self { total: GAS_LIMIT_MAX, per_call: GAS_LIMIT_MAX }
    }
}

impl GasLimits {
    /// The limit of a call that begins when `used` has been used.
    fn of_call(self, used: u64) -> u64 {
        used.saturating_add(self.per_call).min(self.total).min(GAS_LIMIT_MAX)
    }
}

/// The counter and the limit of a running metered module.
#[derive(Clone, Copy)]
pub(crate) struct GasGlobals {
    used: NonNull<AtomicU64>,
    limit: NonNull<AtomicU64>,
}

impl GasGlobals {
    /// None if a place is not aligned, which metering makes it.
    ///
    /// # Safety
    /// Both must be places of i64 globals in an instance that outlives this value.
    pub unsafe fn new(used: *mut u8, limit: *mut u8) -> Option<Self> {
        let word = |place: *mut u8| {
            let place = NonNull::new(place.cast::<AtomicU64>())?;
            place.is_aligned().then_some(place)
        };
        Some(Self { used: word(used)?, limit: word(limit)? })
    }

    pub fn used(&self) -> u64 {
        // SAFETY: the place is aligned and alive (`new`). The module's code reads and
        // writes it with plain machine instructions of 8 bytes, which do not tear.
        unsafe { self.used.as_ref() }.load(Ordering::Relaxed)
    }

    pub fn limit(&self) -> u64 {
        // SAFETY: as in `used`.
        unsafe { self.limit.as_ref() }.load(Ordering::Relaxed)
    }
}

/// The word that stops code.
#[derive(Clone, Copy)]
pub(crate) enum StopWord {
    /// A limit of 0 stops a metered module at its next charge.
    GasLimit(GasGlobals),
    /// Bit 0 of `WASMExecEnv.suspend_flags` stops at the next suspend check.
    SuspendFlags(NonNull<AtomicU32>),
}

// SAFETY: the words are only accessed as atomics, from any thread. That they are alive
// is what `StopState` sees to.
unsafe impl Send for StopWord {}

impl StopWord {
    fn stop(self) {
        match self {
            // SAFETY: alive and aligned, see `GasGlobals::new`; only ever called while
            // the lock of `Shared` is held and the instance has not taken the word out.
            Self::GasLimit(gas) => unsafe { gas.limit.as_ref() }.store(0, Ordering::Relaxed),
            Self::SuspendFlags(flags) => {
                // SAFETY: as above, with the environment in place of the instance.
                unsafe { flags.as_ref() }.fetch_or(1, Ordering::Relaxed);
            }
        }
    }

    fn allow(self, limits: GasLimits) {
        match self {
            Self::GasLimit(gas) => {
                let limit = limits.of_call(gas.used());
                // SAFETY: as in `stop`.
                unsafe { gas.limit.as_ref() }.store(limit, Ordering::Relaxed);
            }
            Self::SuspendFlags(flags) => {
                // SAFETY: as in `stop`.
                unsafe { flags.as_ref() }.fetch_and(!1, Ordering::Relaxed);
            }
        }
    }
}

#[derive(Default)]
struct StopState {
    /// None for code that looks at none, and once the instance is gone.
    word: Option<StopWord>,
    is_wanted: bool,
}

/// What an instance shares with those who may stop it.
#[derive(Clone, Default)]
pub(crate) struct StopSwitch(Arc<Mutex<StopState>>);

impl StopSwitch {
    /// The word must stay alive until `disconnect`.
    pub fn connect(&self, word: StopWord) {
        self.lock().word = Some(word);
    }

    pub fn disconnect(&self) {
        self.lock().word = None;
    }

    /// Sets the limit for a call. False if the call is not to be made.
    pub fn begin_call(&self, limits: GasLimits) -> bool {
        let mut state = self.lock();
        if std::mem::take(&mut state.is_wanted) {
            return false;
        }
        if let Some(word) = state.word {
            word.allow(limits);
        }
        true
    }

    /// Whether a call that trapped was stopped; then the wish has been met.
    pub fn take_wish(&self) -> bool {
        std::mem::take(&mut self.lock().is_wanted)
    }

    /// One who may stop the instance, if its code looks.
    pub fn interrupter(&self) -> Option<Interrupter> {
        self.lock().word.is_some().then(|| Interrupter(self.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, StopState> {
        // Each use is a few plain writes that leave the state whole.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Stops the calls of one instance, from any thread.
#[derive(Clone)]
pub struct Interrupter(StopSwitch);

impl Interrupter {
    /// Stops the call that runs now, at its next loop or function entry, or else the
    /// next call before it begins. That call ends with the trap `Interrupted`. False
    /// if the instance is gone.
    pub fn interrupt(&self) -> bool {
        let mut state = self.0.lock();
        let Some(word) = state.word else { return false };
        state.is_wanted = true;
        word.stop();
        true
    }
}
