//! The main thread: says hello, reads commands, answers what needs no module.

use crate::confine::Asked;
use crate::inbox::Inboxes;
use crate::shared::Shared;
use crate::{confine, guest, guest_api, self_test, supervisor, version};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;
use wamr::Profile;
use worker_protocol::{
    Command, Event, FrameError, Hello, LogLevel, PROTOCOL_VERSION, StoredValue, read_frame,
};

/// What the guest thread is asked to do, in order.
pub enum Request {
    RunChecks(Vec<known_answer::Step>),
    Start { interval: Duration, stored: Option<Vec<StoredValue>> },
    RunTicks(u32),
    Stop,
}

pub fn run(socket: UnixStream, profile: Profile, asked: Asked) -> ExitCode {
    let Ok(incoming) = socket.try_clone() else { return ExitCode::FAILURE };
    let shared = Arc::new(Shared::new(socket));
    let mut confinement = Vec::new();
    confine::leave_network(&mut confinement);
    let self_test_failure = self_test::run();
    confine::confine(asked, &mut confinement);
    let has_failed = self_test_failure.is_some();
    shared.send(&Event::Hello(hello(profile, self_test_failure, confinement)));
    if has_failed {
        return ExitCode::FAILURE;
    }
    serve(&incoming, &shared)
}

fn hello(profile: Profile, self_test_failure: Option<String>, confinement: Vec<String>) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        runtime: version(),
        wamr_version: profile.wamr_version,
        aot_version: profile.aot_version,
        target: profile.target,
        bounds_checks: profile.bounds_checks.to_string(),
        cpu_features: profile.cpu_features,
        imports: guest_api::import_names(),
        self_test_failure,
        confinement,
    }
}

/// Until the starter closes its end or says stop. Leaving `main` ends the process
/// with whatever call is running.
fn serve(incoming: &UnixStream, shared: &Arc<Shared>) -> ExitCode {
    let mut guest: Option<Sender<Request>> = None;
    loop {
        let command = match read_frame(incoming) {
            Ok(command) => command,
            Err(FrameError::Closed) => return ExitCode::SUCCESS,
            Err(error) => {
                // The frames are out of step from here on, so nothing more can be
                // understood.
                let detail = format!("read a command: {error}; the worker ends");
                shared.send_log(LogLevel::Error, detail.clone());
                shared.send(&Event::Rejected { detail });
                return ExitCode::FAILURE;
            }
        };
        let request = match command {
            Command::ReportUsage => {
                shared.send(&Event::Usage(shared.usage()));
                continue;
            }
            Command::SetClock(clock) => {
                shared.set_wall_clock(clock);
                continue;
            }
            Command::Deliver(delivered) => {
                shared.inboxes().put(delivered);
                continue;
            }
            Command::Answer(answer) => {
                shared.take_answer(answer);
                continue;
            }
            Command::Load(load) if guest.is_none() => {
                shared.set_wall_clock(load.clock.unwrap_or_default());
                *shared.inboxes() = Inboxes::new(&load.grants.subscriptions);
                let call_max = Duration::from_millis(load.limits.call_ms_max.max(1).into());
                let (sender, requests) = mpsc::channel();
                let started = guest::spawn(Arc::clone(shared), load, requests)
                    .and_then(|guest| supervisor::spawn(Arc::clone(shared), guest, call_max));
                if let Err(error) = started {
                    shared.send_log(LogLevel::Error, format!("start a thread: {error}"));
                    return ExitCode::FAILURE;
                }
                guest = Some(sender);
                continue;
            }
            Command::Load(_) => {
                reject(shared, "Load was given before; a worker hosts one module");
                continue;
            }
            Command::RunChecks { steps } => match known_answer::check_bounds(&steps) {
                Ok(()) => Request::RunChecks(steps),
                Err(error) => {
                    reject(shared, &error.to_string());
                    continue;
                }
            },
            Command::Start { interval_ms, stored } => {
                let interval = Duration::from_millis(interval_ms.max(1).into());
                Request::Start { interval, stored }
            }
            Command::RunTicks { ticks } => Request::RunTicks(ticks),
            Command::Unload => {
                reject(shared, "a worker of one module ends with it: tell it to stop");
                continue;
            }
            Command::Stop => match &guest {
                // The guest thread ends the process once its call has returned.
                Some(guest) if guest.send(Request::Stop).is_ok() => continue,
                _ => return ExitCode::SUCCESS,
            },
        };
        let is_taken = guest.as_ref().is_some_and(|guest| guest.send(request).is_ok());
        if !is_taken {
            reject(shared, "no module is loaded");
        }
    }
}

fn reject(shared: &Shared, detail: &str) {
    shared.send(&Event::Rejected { detail: detail.to_owned() });
}
