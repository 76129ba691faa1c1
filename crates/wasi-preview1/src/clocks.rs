//! Time, and waiting for it.

use crate::descriptors::Descriptors;
use crate::guest::{Guest, after};
use crate::{Errno, Failure, Outcome, World};
use std::time::Duration;

/// `clockid`. The two clocks of a process's own time are a matter of gas here.
const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

/// What the clocks are told in: the time of day comes in milliseconds.
const REALTIME_STEP_NS: u64 = 1_000_000;
const MONOTONIC_STEP_NS: u64 = 1;

pub fn resolution(is_granted: bool, guest: &mut Guest<'_>) -> Outcome {
    let step_ns = match known(is_granted, guest.u32(0))? {
        Clock::Realtime => REALTIME_STEP_NS,
        Clock::Monotonic => MONOTONIC_STEP_NS,
    };
    guest.put_u64(guest.u32(1), step_ns)
}

pub fn time(is_granted: bool, guest: &mut Guest<'_>, world: &mut dyn World) -> Outcome {
    let now_ns = known(is_granted, guest.u32(0))?.now_ns(world);
    guest.put_u64(guest.u32(2), now_ns)
}

#[derive(Clone, Copy)]
enum Clock {
    Realtime,
    Monotonic,
}

impl Clock {
    fn now_ns(self, world: &mut dyn World) -> u64 {
        match self {
            Self::Realtime => world.wall_ns(),
            Self::Monotonic => world.monotonic_ns(),
        }
    }
}

fn known(is_granted: bool, id: u32) -> Result<Clock, Errno> {
    match id {
        _ if !is_granted => Err(Errno::Notcapable),
        REALTIME => Ok(Clock::Realtime),
        MONOTONIC => Ok(Clock::Monotonic),
        _ => Err(Errno::Inval),
    }
}

/// Most subscriptions of one call.
const SUBSCRIPTIONS_MAX: u32 = 256;
/// `subscription`: user data, kind at 8, clock or descriptor at 16, time at 24, flags at 40.
const SUBSCRIPTION_BYTES: u32 = 48;
/// `event`: user data, errno at 8, kind at 10, bytes that are ready at 16, flags at 24.
const EVENT_BYTES: u32 = 32;
const KIND_CLOCK: u8 = 0;
const KIND_READ: u8 = 1;
const KIND_WRITE: u8 = 2;
/// `subclockflags.subscription_clock_abstime`.
const ABSOLUTE: u16 = 1;
/// `eventrwflags.fd_readwrite_hangup`.
const HANGUP: u16 = 1;

struct Event {
    user_data: [u8; 8],
    kind: u8,
    errno: Option<Errno>,
    bytes: u64,
    flags: u16,
}

/// A wait for a clock, or what is known at once.
enum Awaited {
    Ready(Event),
    Clock { user_data: [u8; 8], left_ns: u64 },
}

/// What is open never blocks, so only a clock is ever waited for: the first of them.
pub fn poll(
    is_granted: bool,
    descriptors: &Descriptors,
    guest: &mut Guest<'_>,
    world: &mut dyn World,
) -> Outcome {
    let (from, to, count) = (guest.u32(0), guest.u32(1), guest.u32(2));
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::Inval.into());
    }
    // All of it first: nothing is waited for that could not be answered.
    guest.check(to, count * EVENT_BYTES)?;
    guest.check(guest.u32(3), 4)?;
    let mut awaited = Vec::new();
    for index in 0..count {
        awaited.push(read(
            is_granted,
            descriptors,
            guest,
            world,
            after(from, index * SUBSCRIPTION_BYTES),
        )?);
    }
    let left_ns = |awaited: &Awaited| match awaited {
        Awaited::Ready(_) => 0,
        Awaited::Clock { left_ns, .. } => *left_ns,
    };
    let wait_ns = awaited.iter().map(left_ns).min().unwrap_or(0);
    if wait_ns > 0 {
        world.wait(Duration::from_nanos(wait_ns));
    }
    let mut told = 0;
    for event in awaited.into_iter().filter(|awaited| left_ns(awaited) <= wait_ns) {
        let event = match event {
            Awaited::Ready(event) => event,
            Awaited::Clock { user_data, .. } => {
                Event { user_data, kind: KIND_CLOCK, errno: None, bytes: 0, flags: 0 }
            }
        };
        guest.put(after(to, told * EVENT_BYTES), &event.to_bytes())?;
        told += 1;
    }
    guest.put_u32(guest.u32(3), told)
}

fn read(
    is_granted: bool,
    descriptors: &Descriptors,
    guest: &mut Guest<'_>,
    world: &mut dyn World,
    at: u32,
) -> Result<Awaited, Failure> {
    let mut bytes = [0; SUBSCRIPTION_BYTES as usize];
    bytes.copy_from_slice(guest.slice(at, SUBSCRIPTION_BYTES)?);
    let (user_data, kind) = (part(&bytes, 0), bytes[8]);
    let what = u32::from_le_bytes(part(&bytes, 16));
    let ready = |errno: Option<Errno>, bytes: u64, flags: u16| {
        Ok(Awaited::Ready(Event { user_data, kind, errno, bytes, flags }))
    };
    match kind {
        KIND_CLOCK => {
            let time_ns = u64::from_le_bytes(part(&bytes, 24));
            let is_absolute = u16::from_le_bytes(part(&bytes, 40)) & ABSOLUTE != 0;
            match known(is_granted, what) {
                Err(errno) => ready(Some(errno), 0, 0),
                Ok(_) if !is_absolute => Ok(Awaited::Clock { user_data, left_ns: time_ns }),
                Ok(clock) => {
                    let left_ns = time_ns.saturating_sub(clock.now_ns(world));
                    Ok(Awaited::Clock { user_data, left_ns })
                }
            }
        }
        KIND_READ => match descriptors.bytes_left(what) {
            Ok(0) => ready(None, 0, HANGUP),
            Ok(left) => ready(None, left, 0),
            Err(errno) => ready(Some(errno), 0, 0),
        },
        KIND_WRITE if descriptors.has(what) => ready(None, 1, 0),
        KIND_WRITE => ready(Some(Errno::Badf), 0, 0),
        _ => Err(Errno::Inval.into()),
    }
}

impl Event {
    fn to_bytes(&self) -> [u8; EVENT_BYTES as usize] {
        let mut bytes = [0; EVENT_BYTES as usize];
        bytes[..8].copy_from_slice(&self.user_data);
        bytes[8..10].copy_from_slice(&self.errno.map_or(0, Errno::code).to_le_bytes());
        bytes[10] = self.kind;
        bytes[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[24..26].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }
}

/// So many bytes from there; both are constants within the subscription.
fn part<const N: usize>(bytes: &[u8; SUBSCRIPTION_BYTES as usize], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}
