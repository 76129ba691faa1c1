//! Notices a call that runs longer than its limit.
//!
//! Metered code looks at its limit of gas in each loop, so it can be stopped from here,
//! and the worker lives on. Other code looks at nothing: then all this does is to tell
//! the starter, which ends the process; so it does where code does not stop within
//! [`INTERRUPT_WITHIN`]. `docs/decisions/a-kill-is-the-second-step.md` says why there is
//! nothing between the two.
//!
//! It wakes once in a limit's time: a call that began meanwhile is then looked at again
//! when its own time is over, so none runs longer for that.

use crate::guest::GuestThread;
use crate::shared::{Shared, to_ms};
use std::io;
use std::process;
use std::sync::Arc;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};
use worker_protocol::{Event, LogLevel};

/// It formats one event; the smallest stack that glibc gives is 16 KiB.
const STACK_BYTES: usize = 64 * 1024;

/// Between two looks is one turn of a loop; the rest is for a busy machine.
const INTERRUPT_WITHIN: Duration = Duration::from_millis(25);

pub fn spawn(shared: Arc<Shared>, guest: GuestThread, call_max: Duration) -> io::Result<()> {
    let watch = move || watch(&shared, &guest, call_max);
    Builder::new().name("supervisor".into()).stack_size(STACK_BYTES).spawn(watch)?;
    Ok(())
}

fn watch(shared: &Shared, guest: &GuestThread, call_max: Duration) {
    let mut reported: Option<Instant> = None;
    let mut interrupted: Option<Instant> = None;
    loop {
        if guest.is_finished() {
            // It ends the process when it ends well.
            shared.send_log(LogLevel::Error, "the guest thread could not be set up".to_owned());
            process::exit(1);
        }
        let call = shared.running_call().filter(|call| reported != Some(call.since));
        let Some(call) = call else {
            thread::sleep(call_max);
            continue;
        };
        let elapsed = call.elapsed();
        if elapsed < call_max {
            thread::sleep(call_max - elapsed);
            continue;
        }
        if interrupted != Some(call.since) && shared.interrupt(call.since) {
            interrupted = Some(call.since);
            thread::sleep(INTERRUPT_WITHIN);
            continue;
        }
        reported = Some(call.since);
        shared.send(&Event::Overrun { export: call.export, elapsed_ms: to_ms(elapsed) });
    }
}
