//! The main thread: says hello, reads commands, answers what needs no module.

use crate::blame::BlameNote;
use crate::confine::Asked;
use crate::directories::GivenDirectory;
use crate::guests::{Order, Request};
use crate::inbox::Inboxes;
use crate::process::Process;
use crate::{confine, guest_api, guests, self_test, supervisor, version};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;
use wamr::Profile;
use worker_protocol::{
    Command, Event, FrameError, GuestId, Hello, Load, LogLevel, PROTOCOL_VERSION, read_guest_frame,
};

pub fn run(
    socket: UnixStream,
    profile: Profile,
    asked: Asked,
    blame: Option<BlameNote>,
    directories: Vec<GivenDirectory>,
) -> ExitCode {
    let Ok(incoming) = socket.try_clone() else { return ExitCode::FAILURE };
    let process = Arc::new(Process::new(socket, blame));
    let mut confinement = Vec::new();
    confine::leave_network(&mut confinement);
    let self_test_failure = self_test::run();
    confine::confine(asked, &directories, &mut confinement);
    process.set_directories(directories);
    let has_failed = self_test_failure.is_some();
    let hello = Event::Hello(hello(profile, self_test_failure, confinement));
    process.send(GuestId::ONLY, &hello);
    if has_failed {
        return ExitCode::FAILURE;
    }
    serve(&incoming, &process)
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
fn serve(incoming: &UnixStream, process: &Arc<Process>) -> ExitCode {
    let mut guests = None;
    loop {
        let (guest, command) = match read_guest_frame(incoming) {
            Ok(read) => read,
            Err(FrameError::Closed) => return ExitCode::SUCCESS,
            Err(error) => {
                // The frames are out of step from here on, so nothing more can be
                // understood.
                let detail = format!("read a command: {error}; the worker ends");
                process.send_log(LogLevel::Error, detail.clone());
                process.send(GuestId::ONLY, &Event::Rejected { detail });
                return ExitCode::FAILURE;
            }
        };
        match take(process, &mut guests, guest, command) {
            Ok(()) => {}
            Err(End::Rejected(detail)) => process.send(guest, &Event::Rejected { detail }),
            Err(End::Process(code)) => return code,
        }
    }
}

/// What a command can lead to that is not done.
enum End {
    Rejected(String),
    Process(ExitCode),
}

/// Does what needs no module, and passes the rest on.
fn take(
    process: &Arc<Process>,
    guests: &mut Option<Sender<Order>>,
    guest: GuestId,
    command: Command,
) -> Result<(), End> {
    let of = |request| Ok(Order::Of(guest, request));
    let order = match command {
        Command::ReportUsage => {
            let usage = process.guest(guest).map(|shared| shared.take_usage()).unwrap_or_default();
            process.send(guest, &Event::Usage(usage));
            return Ok(());
        }
        Command::SetClock(clock) => {
            process.set_wall_clock(clock);
            return Ok(());
        }
        Command::Deliver(delivered) => {
            process.guest(guest).inspect(|shared| shared.inboxes().put(delivered));
            return Ok(());
        }
        Command::Answer(answer) => {
            process.guest(guest).inspect(|shared| shared.take_answer(answer));
            return Ok(());
        }
        Command::Load(load) => begin_load(process, guests, guest, load),
        Command::RunChecks { steps } => match known_answer::check_bounds(&steps) {
            Ok(()) => of(Request::RunChecks(steps)),
            Err(error) => Err(End::Rejected(error.to_string())),
        },
        Command::Start { interval_ms, stored } => {
            let interval = Duration::from_millis(interval_ms.max(1).into());
            of(Request::Start { interval, stored })
        }
        Command::RunTicks { ticks } => of(Request::RunTicks(ticks)),
        Command::Unload => Ok(Order::Unload(guest)),
        Command::Stop => match guests {
            // The guest thread ends the process once its call has returned.
            Some(guests) if guests.send(Order::Stop).is_ok() => return Ok(()),
            _ => return Err(End::Process(ExitCode::SUCCESS)),
        },
    }?;
    let is_taken = guests.as_ref().is_some_and(|guests| guests.send(order).is_ok());
    let nobody = || End::Rejected("no module is loaded".to_owned());
    is_taken.then_some(()).ok_or_else(nobody)
}

/// The first one starts the threads.
fn begin_load(
    process: &Arc<Process>,
    guests: &mut Option<Sender<Order>>,
    guest: GuestId,
    load: Load,
) -> Result<Order, End> {
    let call_max = Duration::from_millis(load.limits.call_ms_max.max(1).into());
    let Some(shared) = process.add_guest(guest, call_max) else {
        let detail = format!("guest {guest} was loaded before: unload it, or give another number");
        return Err(End::Rejected(detail));
    };
    if let Some(clock) = load.clock {
        process.set_wall_clock(clock);
    }
    *shared.inboxes() = Inboxes::new(&load.grants.subscriptions);
    if guests.is_none() {
        let (sender, orders) = mpsc::channel();
        let started = guests::spawn(Arc::clone(process), load.limits.stack_bytes, orders)
            .and_then(|thread| supervisor::spawn(Arc::clone(process), thread));
        if let Err(error) = started {
            process.send_log(LogLevel::Error, format!("start a thread: {error}"));
            return Err(End::Process(ExitCode::FAILURE));
        }
        *guests = Some(sender);
    }
    Ok(Order::Load(shared, Box::new(load)))
}
