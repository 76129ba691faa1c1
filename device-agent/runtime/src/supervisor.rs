//! Notices a call that runs longer than its limit.
//!
//! Compiled code cannot be stopped from inside, so all this does is to tell the
//! starter, which ends the process. It wakes once in a limit's time: a call that
//! began meanwhile is then looked at again when its own time is over.

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

pub fn spawn(shared: Arc<Shared>, guest: GuestThread, call_max: Duration) -> io::Result<()> {
    let watch = move || watch(&shared, &guest, call_max);
    Builder::new().name("supervisor".into()).stack_size(STACK_BYTES).spawn(watch)?;
    Ok(())
}

fn watch(shared: &Shared, guest: &GuestThread, call_max: Duration) {
    let mut reported: Option<Instant> = None;
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
        reported = Some(call.since);
        shared.send(&Event::Overrun { export: call.export, elapsed_ms: to_ms(elapsed) });
    }
}
