//! Notices a call that runs longer than its limit.
//!
//! Metered code looks at its limit of gas in each loop, so it can be stopped from here,
//! and the worker lives on. Other code looks at nothing: then all this does is to tell
//! the starter, which ends the process; so it does where code does not stop within
//! [`INTERRUPT_WITHIN`]. `docs/decisions/a-kill-is-the-second-step.md` says why there is
//! nothing between the two.
//!
//! It wakes once in the shortest limit's time: a call that began meanwhile is then looked
//! at again when its own time is over, so none runs longer for that.

use crate::guests::GuestThread;
use crate::process::{Process, RunningCall};
use crate::shared::to_ms;
use std::io;
use std::process;
use std::sync::Arc;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};
use worker_protocol::{Event, GuestId, LogLevel};

/// It formats one event; the smallest stack that glibc gives is 16 KiB.
const STACK_BYTES: usize = 64 * 1024;

/// Between two looks is one turn of a loop; the rest is for a busy machine.
const INTERRUPT_WITHIN: Duration = Duration::from_millis(25);

pub fn spawn(process: Arc<Process>, guests: GuestThread) -> io::Result<()> {
    let watch = move || watch(&process, &guests);
    Builder::new().name("supervisor".into()).stack_size(STACK_BYTES).spawn(watch)?;
    Ok(())
}

fn watch(process: &Process, guests: &GuestThread) {
    let mut reported: Option<(GuestId, Instant)> = None;
    let mut interrupted: Option<(GuestId, Instant)> = None;
    process.set_supervisor();
    loop {
        if guests.is_finished() {
            // It ends the process when it ends well.
            let text = "the guest thread could not be set up".to_owned();
            process.send_log(LogLevel::Error, text);
            process::exit(1);
        }
        let is_new = |call: &RunningCall| !reported.is_some_and(|known| call.is_same(known));
        let Some(call) = process.running_call().filter(is_new) else {
            thread::park_timeout(process.call_max_least());
            continue;
        };
        let elapsed = call.elapsed();
        if elapsed < call.max {
            // It may return before, and one with a shorter limit begin.
            thread::park_timeout((call.max - elapsed).min(process.call_max_least()));
            continue;
        }
        let this = (call.guest, call.since);
        if interrupted != Some(this) && process.interrupt(this) {
            interrupted = Some(this);
            thread::sleep(INTERRUPT_WITHIN);
            continue;
        }
        reported = Some(this);
        let elapsed_ms = to_ms(elapsed);
        process.send(call.guest, &Event::Overrun { export: call.export, elapsed_ms });
    }
}
