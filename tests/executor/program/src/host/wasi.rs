//! WASI preview 1 for programs in tests: what a command needs that reads standard
//! input and writes standard output, and nothing that differs between two runs.
//!
//! There is no file system: no directory is open, so opening, reading and renaming
//! files answer `badf` or `nosys`. The clock is a counter, random numbers come from a
//! fixed seed, and waiting is over at once. Numbers and layouts are those of the
//! interface's definition, `wasi_snapshot_preview1.witx` (`typenames.witx` beside it).

mod streams;

use super::GuestState;
use wamr::{Caller, FuncType, HostFunction, RegisterError, Runtime, Trap, Value, ValueType};
use worker_protocol::{GuestType, WASI_MODULE, WasiCall};

/// `errno`, as far as it is used here.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Errno {
    Badf = 8,
    Inval = 28,
    Nosys = 52,
    Spipe = 70,
}

type Outcome = Result<(), Failure>;

/// Why a function did not do its work.
enum Failure {
    /// Told to the guest.
    Errno(Errno),
    /// Ends the guest.
    Trap(Trap),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Trap> for Failure {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

/// A function's arguments, the bits of each.
struct Arguments<'a>(&'a [Value]);

impl Arguments<'_> {
    fn u32(&self, index: usize) -> u32 {
        match self.0.get(index) {
            Some(Value::I32(number)) => number.cast_unsigned(),
            _ => 0, // of another type: not so declared
        }
    }
}

type Body = fn(&mut Caller<'_>, &Arguments<'_>) -> Outcome;

fn body_of(call: WasiCall) -> Body {
    match call {
        WasiCall::ArgsGet => {
            |caller, args| put_strings(caller, args, |state| &state.input.arguments)
        }
        WasiCall::ArgsSizesGet => {
            |caller, args| put_sizes(caller, args, |state| &state.input.arguments)
        }
        WasiCall::EnvironGet => {
            |caller, args| put_strings(caller, args, |state| &state.input.environment)
        }
        WasiCall::EnvironSizesGet => {
            |caller, args| put_sizes(caller, args, |state| &state.input.environment)
        }
        WasiCall::ClockResGet => |caller, args| put_u64(caller, args.u32(1), CLOCK_STEP_NS),
        WasiCall::ClockTimeGet => |caller, args| {
            let now_ns = state(caller)?.tick();
            put_u64(caller, args.u32(2), now_ns)
        },
        WasiCall::RandomGet => random_get,
        WasiCall::PollOneoff => poll_oneoff,
        WasiCall::ProcExit => proc_exit,
        WasiCall::SchedYield => |_, _| Ok(()),
        WasiCall::FdClose | WasiCall::FdFdstatSetFlags => |_, args| streams::check(args.u32(0)),
        WasiCall::FdFdstatGet => streams::fdstat_get,
        WasiCall::FdFilestatGet => streams::filestat_get,
        WasiCall::FdRead => streams::read,
        WasiCall::FdWrite => streams::write,
        WasiCall::FdSeek | WasiCall::FdTell => |_, args| streams::not_seekable(args.u32(0)),
        WasiCall::FdPrestatGet
        | WasiCall::FdPrestatDirName
        | WasiCall::FdReaddir
        | WasiCall::PathFilestatGet
        | WasiCall::PathOpen => |_, _| Err(Errno::Badf.into()),
        WasiCall::FdAdvise
        | WasiCall::FdAllocate
        | WasiCall::FdDatasync
        | WasiCall::FdFdstatSetRights
        | WasiCall::FdFilestatSetSize
        | WasiCall::FdFilestatSetTimes
        | WasiCall::FdPread
        | WasiCall::FdPwrite
        | WasiCall::FdRenumber
        | WasiCall::FdSync
        | WasiCall::PathCreateDirectory
        | WasiCall::PathFilestatSetTimes
        | WasiCall::PathLink
        | WasiCall::PathReadlink
        | WasiCall::PathRemoveDirectory
        | WasiCall::PathRename
        | WasiCall::PathSymlink
        | WasiCall::PathUnlinkFile
        | WasiCall::ProcRaise
        | WasiCall::SockAccept
        | WasiCall::SockRecv
        | WasiCall::SockSend
        | WasiCall::SockShutdown => |_, _| Err(Errno::Nosys.into()),
    }
}

/// Names and types are those of the table that the device's runtime registers by.
pub fn register(runtime: &Runtime) -> Result<(), RegisterError> {
    for call in WasiCall::ALL.iter().copied() {
        let params = call.params().iter().map(to_wamr).collect::<Vec<_>>();
        let result = call.result().iter().map(to_wamr).collect::<Vec<_>>();
        let func_type = FuncType::new(params, result);
        let body = body_of(call);
        runtime.register(HostFunction::new(
            WASI_MODULE,
            call.name(),
            func_type,
            move |caller, values| match body(caller, &Arguments(values)) {
                // `proc_exit`, which has no result, never gets here.
                Ok(()) => Ok(Some(Value::I32(0))),
                Err(Failure::Errno(errno)) => Ok(Some(Value::I32(errno as i32))),
                Err(Failure::Trap(trap)) => Err(trap),
            },
        ))?;
    }
    Ok(())
}

fn to_wamr(guest_type: &GuestType) -> ValueType {
    match guest_type {
        GuestType::I32 => ValueType::I32,
        GuestType::I64 => ValueType::I64,
    }
}

fn proc_exit(caller: &mut Caller<'_>, args: &Arguments<'_>) -> Outcome {
    let code = args.u32(0);
    state(caller)?.exit_code = Some(code);
    Err(Trap::new(format!("exit with code {code}")).into())
}

fn state<'c>(caller: &'c mut Caller<'_>) -> Result<&'c mut GuestState, Trap> {
    caller.state().ok_or_else(|| Trap::new("the instance has no state: a bug of the executor"))
}

fn put(caller: &mut Caller<'_>, address: u32, bytes: &[u8]) -> Outcome {
    let len = u32::try_from(bytes.len()).map_err(|_| Errno::Inval)?;
    caller.slice(address, len)?.copy_from_slice(bytes);
    Ok(())
}

fn put_u32(caller: &mut Caller<'_>, address: u32, number: u32) -> Outcome {
    put(caller, address, &number.to_le_bytes())
}

fn put_u64(caller: &mut Caller<'_>, address: u32, number: u64) -> Outcome {
    put(caller, address, &number.to_le_bytes())
}

fn get_u32(caller: &mut Caller<'_>, address: u32) -> Result<u32, Trap> {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(caller.slice(address, 4)?);
    Ok(u32::from_le_bytes(bytes))
}

/// An address some bytes further on. Beyond the last one is no memory either.
fn after(address: u32, bytes: u32) -> u32 {
    address.saturating_add(bytes)
}

/// The pointers in one place, the strings with their final NULs in another.
fn put_strings(
    caller: &mut Caller<'_>,
    args: &Arguments<'_>,
    which: fn(&GuestState) -> &Vec<String>,
) -> Outcome {
    let strings = which(state(caller)?).clone();
    let (mut pointer_at, mut text_at) = (args.u32(0), args.u32(1));
    for text in strings {
        put_u32(caller, pointer_at, text_at)?;
        put(caller, text_at, text.as_bytes())?;
        let len = u32::try_from(text.len()).map_err(|_| Errno::Inval)?;
        put(caller, after(text_at, len), &[0])?;
        (pointer_at, text_at) = (after(pointer_at, 4), after(text_at, len + 1));
    }
    Ok(())
}

fn put_sizes(
    caller: &mut Caller<'_>,
    args: &Arguments<'_>,
    which: fn(&GuestState) -> &Vec<String>,
) -> Outcome {
    let strings = which(state(caller)?);
    let bytes: usize = strings.iter().map(|text| text.len() + 1).sum();
    let size = |number: usize| u32::try_from(number).map_err(|_| Errno::Inval);
    let (count, bytes) = (size(strings.len())?, size(bytes)?);
    put_u32(caller, args.u32(0), count)?;
    put_u32(caller, args.u32(1), bytes)
}

/// What the clock advances each time that it is read.
const CLOCK_STEP_NS: u64 = 1_000_000;
/// The first time that it shows, in 2001, for programs that do not expect 1970.
const CLOCK_START_NS: u64 = 1_000_000_000_000_000_000;

impl GuestState {
    fn tick(&mut self) -> u64 {
        self.clock_reads += 1;
        CLOCK_START_NS.saturating_add(self.clock_reads.saturating_mul(CLOCK_STEP_NS))
    }

    /// The next 64 bits of splitmix64 (Steele, Lea and Flood, 2014).
    fn random(&mut self) -> u64 {
        self.random_state = self.random_state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random_state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

fn random_get(caller: &mut Caller<'_>, args: &Arguments<'_>) -> Outcome {
    let (address, len) = (args.u32(0), args.u32(1));
    // Before the loop, so that a length from nowhere does not keep it busy.
    caller.slice(address, len)?;
    for offset in (0..len).step_by(8) {
        let bytes = state(caller)?.random().to_le_bytes();
        let count = (len - offset).min(8);
        put(caller, address + offset, &bytes[..count as usize])?;
    }
    Ok(())
}

/// `subscription`: its size, and where the kind of event is.
const SUBSCRIPTION_BYTES: u32 = 48;
const SUBSCRIPTION_KIND: u32 = 8;
/// `event`: user data, `errno` at 8, kind at 10, bytes that are ready at 16.
const EVENT_BYTES: u32 = 32;
const EVENT_KIND: usize = 10;

/// Everything that is waited for is ready at once: the time has come, streams never block.
fn poll_oneoff(caller: &mut Caller<'_>, args: &Arguments<'_>) -> Outcome {
    let (subscriptions, events, count) = (args.u32(0), args.u32(1), args.u32(2));
    if count == 0 {
        return Err(Errno::Inval.into());
    }
    for index in 0..count {
        let offset = |size: u32| index.saturating_mul(size);
        let from = after(subscriptions, offset(SUBSCRIPTION_BYTES));
        let kind = caller.slice(after(from, SUBSCRIPTION_KIND), 1)?[0];
        let mut event = [0; EVENT_BYTES as usize];
        event[..8].copy_from_slice(caller.slice(from, 8)?);
        event[EVENT_KIND] = kind;
        put(caller, after(events, offset(EVENT_BYTES)), &event)?;
    }
    put_u32(caller, args.u32(3), count)
}
