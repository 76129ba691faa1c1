//! WASI preview 1 for a module that imports it: the crate `wasi-preview1` with this
//! module's memory, clocks, log and grants.

use super::logging::printable;
use super::{GuestState, Meters};
use crate::directories::GivenDirectory;
use module_limits::Limit;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};
use wamr::{Caller, FuncType, HostFunction, RegisterError, Runtime, Trap, Value};
use wasi_preview1::{Dir, End, Memory, OutOfBounds, Program, Root, Stream, World};
use worker_protocol::{
    Event, LOG_LINE_BYTES_MAX, LogLevel, WASI_MODULE, WROTE_BYTES_MAX, WasiCall, WasiGrants,
    WasiOutput,
};

/// Most parameters of a function: those of `path_open`.
const PARAMS_MAX: usize = 9;

/// What outlives an instance.
pub struct Wasi {
    /// The program's own name, its first argument.
    app: String,
    grants: WasiGrants,
    /// One for each directory of the grants.
    directories: Vec<Rc<Dir>>,
    lines: RefCell<Lines>,
    exit_code: Cell<Option<u32>>,
}

/// What was written after the last line's end.
#[derive(Default)]
struct Lines {
    output: Vec<u8>,
    error: Vec<u8>,
}

impl Wasi {
    /// `given`: as many as the grants name, in their order.
    pub fn new(app: &str, grants: Option<&WasiGrants>, given: Vec<GivenDirectory>) -> Self {
        let open = |given: GivenDirectory| Rc::new(Dir::from_std_file(given.descriptor.into()));
        Self {
            directories: given.into_iter().map(open).collect(),
            app: app.to_owned(),
            grants: grants.cloned().unwrap_or_default(),
            lines: RefCell::default(),
            exit_code: Cell::new(None),
        }
    }

    pub fn check_directories(&self) -> Result<(), String> {
        let (granted, given) = (self.grants.directories.len(), self.directories.len());
        match granted == given {
            true => Ok(()),
            false => Err(format!("it is granted {granted} directories, and {given} came")),
        }
    }

    pub fn grants(&self) -> &WasiGrants {
        &self.grants
    }

    /// Of an instance's own: its strings and what it has open.
    fn new_program(&self) -> Program {
        let roots = self.grants.directories.iter().zip(&self.directories).map(|(grant, dir)| {
            Root::new(Rc::clone(dir), &grant.guest, grant.bytes_max, grant.is_private)
        });
        Program::new(&self.app, &self.grants, roots.collect())
    }

    /// What the last call gave to `proc_exit`, if that ended it.
    pub fn take_exit_code(&self) -> Option<u32> {
        self.exit_code.take()
    }
}

/// Registers all of it; what a module may do with it is a matter of its grants.
pub fn register(runtime: &Runtime) -> Result<(), RegisterError> {
    for call in WasiCall::ALL.iter().copied() {
        let params = call.params().iter().map(super::to_wamr).collect::<Vec<_>>();
        let result = call.result().iter().map(super::to_wamr).collect::<Vec<_>>();
        let body = move |caller: &mut Caller<'_>, args: &[Value]| {
            let (began, mut bytes) = (Instant::now(), 0);
            let answer = carry_out(call, caller, args, &mut bytes);
            // One that ends the program counts like any other.
            if let Some(state) = caller.state::<GuestState>() {
                state.meters.shared.host_calls.note_wasi(call, bytes, began.elapsed());
            }
            answer
        };
        let func_type = FuncType::new(params, result);
        runtime.register(HostFunction::new(WASI_MODULE, call.name(), func_type, body))?;
    }
    Ok(())
}

fn carry_out(
    call: WasiCall,
    caller: &mut Caller<'_>,
    args: &[Value],
    bytes: &mut u64,
) -> Result<Option<Value>, Trap> {
    let no_state = || Trap::new("the instance has no state for host functions");
    let state: &mut GuestState = caller.state().ok_or_else(no_state)?;
    let meters = state.meters.clone();
    // Taken out, because the memory and the state are reached through the same caller.
    let mut program = state.program.take().unwrap_or_else(|| Box::new(meters.wasi.new_program()));
    let mut numbers = [0; PARAMS_MAX];
    numbers.iter_mut().zip(args).for_each(|(number, arg)| *number = bits(arg));
    let mut world = GuestWorld { meters: &meters };
    let outcome = program.call(call, &numbers, &mut GuestMemory(caller), &mut world, bytes);
    if let Some(state) = caller.state::<GuestState>() {
        state.program = Some(program);
    }
    match outcome {
        Ok(errno) if call.result().is_some() => Ok(Some(Value::I32(errno.into()))),
        Ok(_) => Ok(None),
        Err(End::Exit(code)) => {
            meters.wasi.exit_code.set(Some(code));
            Err(Trap::new(format!("it ended itself with exit code {code}")))
        }
        Err(End::Trap(why)) => Err(Trap::new(why)),
    }
}

fn bits(value: &Value) -> u64 {
    match value {
        Value::I32(number) => number.cast_unsigned().into(),
        Value::I64(number) => number.cast_unsigned(),
        // No function has parameters of other types.
        _ => 0,
    }
}

struct GuestMemory<'a, 'c>(&'a mut Caller<'c>);

impl Memory for GuestMemory<'_, '_> {
    fn slice(&mut self, address: u32, len: u32) -> Result<&mut [u8], OutOfBounds> {
        self.0.slice(address, len).map_err(|_| OutOfBounds { address, len })
    }
}

struct GuestWorld<'a> {
    meters: &'a Meters,
}

impl World for GuestWorld<'_> {
    fn monotonic_ns(&mut self) -> u64 {
        // 584 years of it.
        u64::try_from(self.meters.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn wall_ns(&mut self) -> u64 {
        let (time_ms, _) = super::clocks::wall_now(&self.meters.shared);
        time_ms.saturating_mul(1_000_000)
    }

    fn random(&mut self, place: &mut [u8]) -> Result<(), String> {
        getrandom::fill(place).map_err(|e| format!("the system has no random bytes: {e}"))
    }

    fn wait(&mut self, time: Duration) {
        let running = self.meters.shared.running_call();
        let left = running.map_or(Duration::ZERO, |call| call.max.saturating_sub(call.elapsed()));
        // Whoever waits longer than his call may take is ended by the supervisor then.
        thread::sleep(time.min(left));
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), String> {
        match self.meters.wasi.grants.output {
            WasiOutput::Denied => Ok(()),
            WasiOutput::Log => self.meters.write_lines(stream, bytes),
            WasiOutput::Starter => {
                for bytes in bytes.chunks(WROTE_BYTES_MAX) {
                    let is_error = stream == Stream::Error;
                    self.meters.shared.send(&Event::Wrote { is_error, bytes: bytes.to_vec() });
                }
                Ok(())
            }
        }
    }
}

impl Meters {
    /// Whole lines into the log; what is longer than one may be is several.
    fn write_lines(&self, stream: Stream, bytes: &[u8]) -> Result<(), String> {
        let mut lines = self.wasi.lines.borrow_mut();
        let waiting = match stream {
            Stream::Output => &mut lines.output,
            Stream::Error => &mut lines.error,
        };
        for byte in bytes {
            if *byte != b'\n' {
                waiting.push(*byte);
            }
            if *byte == b'\n' || waiting.len() == LOG_LINE_BYTES_MAX {
                let line = std::mem::take(waiting);
                self.log_line(stream, &line)?;
            }
        }
        Ok(())
    }

    /// A program has ended, also in the middle of a line.
    pub fn end_lines(&self) {
        let Lines { output, error } = self.wasi.lines.take();
        for (stream, line) in [(Stream::Output, output), (Stream::Error, error)] {
            if !line.is_empty() {
                // There is nothing left to end at a limit.
                let _ = self.log_line(stream, &line);
            }
        }
    }

    fn log_line(&self, stream: Stream, line: &[u8]) -> Result<(), String> {
        let level = match stream {
            Stream::Output => LogLevel::Info,
            Stream::Error => LogLevel::Warn,
        };
        // Of a line for a terminal of another system.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let admission = self.log(level, printable(line));
        self.follow(Limit::LogRate, admission).map_err(|trap| trap.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_function_has_more_parameters_than_there_is_room_for() {
        let most = WasiCall::ALL.iter().map(|call| call.params().len()).max();
        assert_eq!(most, Some(PARAMS_MAX));
    }
}
