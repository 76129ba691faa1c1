//! WASI preview 1 for one program: all 46 functions, each within what was granted.
//!
//! The runtime hands a call over with the guest's memory and gets back an errno or the
//! program's end. What reaches the world goes through [`World`] (time, chance, output),
//! or through directories that were opened before ([`Root`]): paths are resolved below
//! those by `cap-std`, so that neither `..` nor a link leads out. It opens nothing by a
//! path of its own and knows no WAMR, which is how tests run it without either.
//!
//! Every number from the guest is bounded before it is used: vectors, paths, bytes of one
//! call, open files, events to wait for. An address beyond the memory ends the program, as
//! its own access would. What was not granted answers `notcapable`, or is not there
//! (`badf`); sockets do not exist. `docs/wasi.md` has the table for people, and
//! `docs/decisions/wasi-of-our-own.md` says why this is not WAMR's own.

mod clocks;
mod descriptors;
mod directories;
mod errno;
mod files;
mod guest;
mod paths;
mod quota;
mod streams;
mod strings;

pub use cap_std::fs::Dir;
pub use descriptors::DESCRIPTORS_MAX;
pub use errno::Errno;
pub use guest::{Memory, OutOfBounds};
pub use quota::Root;
pub use streams::Stream;

use descriptors::Descriptors;
use guest::Guest;
use std::time::Duration;
use worker_protocol::{WasiCall, WasiGrants, WasiOutput};

/// What a program gets of the world outside of its directories.
pub trait World {
    /// Since the module was loaded.
    fn monotonic_ns(&mut self) -> u64;
    /// Since 1970, as far as the device knows it.
    fn wall_ns(&mut self) -> u64;
    /// `Err` ends the program: keys may be made of these.
    fn random(&mut self, place: &mut [u8]) -> Result<(), String>;
    /// Waits, and no longer than the call may still take.
    fn wait(&mut self, time: Duration);
    /// Takes what was written. `Err` ends the program, at a limit of it.
    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), String>;
}

/// How a call ends the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// `proc_exit`.
    Exit(u32),
    /// A trap, and why.
    Trap(String),
}

/// Why a function did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    Errno(Errno),
    End(End),
}

type Outcome = Result<(), Failure>;

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Errno(Errno::from(&error))
    }
}

impl From<OutOfBounds> for Failure {
    fn from(error: OutOfBounds) -> Self {
        Self::End(End::Trap(error.to_string()))
    }
}

/// What one instance has: its strings and its open descriptors.
pub struct Program {
    arguments: Vec<String>,
    environment: Vec<String>,
    has_clock: bool,
    has_random: bool,
    descriptors: Descriptors,
}

impl Program {
    /// `name` is its first argument. There is one root for each directory of the grants.
    pub fn new(name: &str, grants: &WasiGrants, roots: Vec<Root>) -> Self {
        let arguments = std::iter::once(name.to_owned()).chain(grants.arguments.iter().cloned());
        Self {
            arguments: arguments.collect(),
            environment: grants.environment.clone(),
            has_clock: grants.clock,
            has_random: grants.random,
            descriptors: Descriptors::new(grants.output != WasiOutput::Denied, roots),
        }
    }

    /// Carries out one call: its errno, 0 for success. `args` are as the function declares
    /// them, 32-bit ones in the lower half. The memory's bytes that were touched are
    /// counted into `bytes`.
    pub fn call(
        &mut self,
        call: WasiCall,
        args: &[u64],
        memory: &mut dyn Memory,
        world: &mut dyn World,
        bytes: &mut u64,
    ) -> Result<u16, End> {
        let mut guest = Guest::new(args, memory);
        let outcome = self.carry_out(call, &mut guest, world);
        *bytes += guest.bytes();
        match outcome {
            Ok(()) => Ok(0),
            Err(Failure::Errno(errno)) => Ok(errno.code()),
            Err(Failure::End(end)) => Err(end),
        }
    }

    fn carry_out(
        &mut self,
        call: WasiCall,
        guest: &mut Guest<'_>,
        world: &mut dyn World,
    ) -> Outcome {
        let descriptors = &mut self.descriptors;
        match call {
            WasiCall::ArgsGet => strings::put(guest, &self.arguments),
            WasiCall::ArgsSizesGet => strings::put_sizes(guest, &self.arguments),
            WasiCall::EnvironGet => strings::put(guest, &self.environment),
            WasiCall::EnvironSizesGet => strings::put_sizes(guest, &self.environment),
            WasiCall::ClockResGet => clocks::resolution(self.has_clock, guest),
            WasiCall::ClockTimeGet => clocks::time(self.has_clock, guest, world),
            WasiCall::PollOneoff => clocks::poll(self.has_clock, descriptors, guest, world),
            WasiCall::RandomGet => random(self.has_random, guest, world),
            WasiCall::ProcExit => Err(Failure::End(End::Exit(guest.u32(0)))),
            // A program has no signals; one that aborts itself ends.
            WasiCall::ProcRaise => {
                let text = format!("it raised signal {}", guest.u32(0));
                Err(Failure::End(End::Trap(text)))
            }
            WasiCall::SchedYield => Ok(()),
            WasiCall::FdAdvise => files::advise(descriptors, guest),
            WasiCall::FdAllocate => files::allocate(descriptors, guest),
            WasiCall::FdClose => descriptors.close(guest.u32(0)),
            WasiCall::FdDatasync => files::sync(descriptors, guest, false),
            WasiCall::FdFdstatGet => descriptors.stat(guest),
            WasiCall::FdFdstatSetFlags => descriptors.set_flags(guest),
            WasiCall::FdFdstatSetRights => descriptors.set_rights(guest),
            WasiCall::FdFilestatGet => files::filestat(descriptors, guest),
            WasiCall::FdFilestatSetSize => files::set_size(descriptors, guest),
            WasiCall::FdFilestatSetTimes => files::set_times(descriptors, guest),
            WasiCall::FdPread => files::read_at(descriptors, guest),
            WasiCall::FdPrestatGet => directories::prestat(descriptors, guest),
            WasiCall::FdPrestatDirName => directories::prestat_name(descriptors, guest),
            WasiCall::FdPwrite => files::write_at(descriptors, guest),
            WasiCall::FdRead => files::read(descriptors, guest),
            WasiCall::FdReaddir => directories::read(descriptors, guest),
            WasiCall::FdRenumber => descriptors.renumber(guest.u32(0), guest.u32(1)),
            WasiCall::FdSeek => files::seek(descriptors, guest),
            WasiCall::FdSync => files::sync(descriptors, guest, true),
            WasiCall::FdTell => files::tell(descriptors, guest),
            WasiCall::FdWrite => files::write(descriptors, guest, world),
            WasiCall::PathCreateDirectory => paths::create_directory(descriptors, guest),
            WasiCall::PathFilestatGet => paths::filestat(descriptors, guest),
            WasiCall::PathFilestatSetTimes => paths::set_times(descriptors, guest),
            WasiCall::PathLink => paths::link(descriptors, guest),
            WasiCall::PathOpen => paths::open(descriptors, guest),
            WasiCall::PathReadlink => paths::read_link(descriptors, guest),
            WasiCall::PathRemoveDirectory => paths::remove_directory(descriptors, guest),
            WasiCall::PathRename => paths::rename(descriptors, guest),
            WasiCall::PathSymlink => paths::symlink(descriptors, guest),
            WasiCall::PathUnlinkFile => paths::unlink_file(descriptors, guest),
            WasiCall::SockAccept
            | WasiCall::SockRecv
            | WasiCall::SockSend
            | WasiCall::SockShutdown => match descriptors.has(guest.u32(0)) {
                // Nothing that is open is one.
                true => Err(Errno::Notsock.into()),
                false => Err(Errno::Badf.into()),
            },
        }
    }
}

/// Most random bytes of one call; a program that wants more asks again.
const RANDOM_BYTES_MAX: u32 = 64 * 1024;

fn random(is_granted: bool, guest: &mut Guest<'_>, world: &mut dyn World) -> Outcome {
    if !is_granted {
        return Err(Errno::Notcapable.into());
    }
    let (address, len) = (guest.u32(0), guest.u32(1));
    // All or nothing: there is no other way to say how much it was.
    if len > RANDOM_BYTES_MAX {
        guest.check(address, len)?;
        return Err(Errno::Inval.into());
    }
    let place = guest.slice(address, len)?;
    world.random(place).map_err(|why| Failure::End(End::Trap(why)))
}
