//! One worker process and the task that owns it.
//!
//! The process has one module, or several that share it. Each of them is a worker to the
//! rest of the agent: it hears a hello, its own messages and its own end, which it has by
//! being unloaded while the others go on, or together with the process.

use super::WorkerNews;
use super::crew::Crew;
use super::ending::Ending;
use super::frames::EventReader;
use super::launcher::{Started, check_hello, no_hello};
use super::stderr_log::StderrLog;
use crate::agent::Event;
use crate::install::WorkerId;
use crate::refusal::Refusal;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use worker_protocol::{Command, Event as Message, GuestId, Hello, write_guest_frame};

/// How long a worker may take for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the start of the process to its hello; an emulator is slow to start.
    pub hello: Duration,
    /// To answer `ReportUsage`.
    pub answer: Duration,
    /// The same while it takes in an artifact of up to 48 MiB.
    pub load: Duration,
    /// From `Stop` to force.
    pub stop: Duration,
    /// From `Unload` to force: the longest call that a neighbour may be making, and more.
    pub unload: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(10),
            answer: Duration::from_secs(5),
            load: Duration::from_secs(30),
            stop: Duration::from_secs(2),
            unload: Duration::from_secs(65),
        }
    }
}

/// How much longer a worker may talk of other things instead of answering.
const TALK_WITHIN: Duration = Duration::from_secs(2);

pub enum Order {
    /// One more module shares the process.
    Join(GuestId, WorkerId, String),
    Send(GuestId, Box<Command>),
    /// Dropped where the worker has fallen behind.
    Offer(GuestId, Box<Command>),
    Stop(GuestId),
    /// Ends this module, and the process only where the module holds it.
    Kill(GuestId),
}

/// The way to the agent.
pub struct NewsSender(pub mpsc::Sender<Event>);

impl NewsSender {
    /// Waits while the agent is busy, so a talkative worker is slowed down.
    async fn send(&self, worker: WorkerId, news: WorkerNews) {
        // An error means that the agent is ending; then nobody needs the news.
        let _ = self.0.send(Event::Worker(worker, news)).await;
    }
}

/// What a task starts with.
pub struct Beginning {
    pub started: Result<Started, Refusal>,
    pub orders: mpsc::Receiver<Order>,
    pub news: NewsSender,
    pub first: (GuestId, WorkerId, String),
}

/// Runs until the process is gone.
pub async fn supervise(beginning: Beginning) {
    let Beginning { started, mut orders, news, first: (guest, worker, app) } = beginning;
    let mut started = match started {
        Ok(started) => started,
        Err(refusal) => return news.send(worker, WorkerNews::NotStarted(refusal)).await,
    };
    let stderr = StderrLog::follow(started.stderr.take(), &started.app);
    let socket = started.socket.set_nonblocking(true);
    let patience = started.patience;
    let mut crew = Crew::new((guest, worker, app), patience);
    let result = match socket.and_then(|()| UnixStream::from_std(started.socket)) {
        Ok(socket) => {
            let mut talk = Talk { crew: &mut crew, patience, hello: None, news: &news };
            talk.converse(socket, &mut orders).await
        }
        Err(e) => Err(Failure::NoHello(e.to_string())),
    };
    let closed_by_worker =
        matches!(result, Err(Failure::NoHello(_) | Failure::Later(_)) | Ok(Done::Closed));
    let ending = Ending::kill(started.child, closed_by_worker).await;
    // From now on nobody can join, and those who were about to have not.
    orders.close();
    while let Ok(order) = orders.try_recv() {
        if let Order::Join(guest, worker, app) = order {
            crew.join(guest, worker, app);
        }
    }
    let culprit = match &result {
        Ok(Done::Held(guest)) => Some(*guest),
        _ => started.blame.as_ref().and_then(read_blame),
    };
    let how = match result {
        Err(Failure::NoHello(error)) => Err(no_hello(&error, &ending, &stderr).await),
        Err(Failure::BadHello(refusal)) => Err(refusal),
        Err(Failure::Later(error)) => Ok(format!("{error}; it {ending}")),
        Ok(_) => Ok(format!("it {ending}")),
    };
    let name = culprit.and_then(|guest| crew.app_of(guest)).unwrap_or_default().to_owned();
    for (worker, is_to_blame) in crew.verdicts(culprit) {
        let last = match &how {
            Err(refusal) => WorkerNews::NotStarted(refusal.clone()),
            Ok(how) if is_to_blame => WorkerNews::Ended(how.clone()),
            Ok(how) => WorkerNews::Displaced { by: name.clone(), how: how.clone() },
        };
        news.send(worker, last).await;
    }
}

/// Whose call ran last; 0 is nobody's.
fn read_blame(file: &File) -> Option<GuestId> {
    let mut number = [0; 4];
    file.read_exact_at(&mut number, 0).ok()?;
    Some(GuestId(u32::from_le_bytes(number))).filter(|guest| *guest != GuestId::ONLY)
}

/// How a conversation ended that was to end.
enum Done {
    Closed,
    Forced,
    /// The last module is unloaded.
    Empty,
    /// This module holds the process, and was to be killed.
    Held(GuestId),
}

pub(super) fn said_nothing(patience: Patience) -> String {
    format!("it said nothing for {:.0?}", patience.hello)
}

enum Failure {
    NoHello(String),
    BadHello(Refusal),
    Later(String),
}

struct Talk<'a> {
    crew: &'a mut Crew,
    patience: Patience,
    hello: Option<Hello>,
    news: &'a NewsSender,
}

type Frames = mpsc::Sender<(GuestId, Command)>;

impl Talk<'_> {
    async fn converse(
        &mut self,
        socket: UnixStream,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Result<Done, Failure> {
        let (read, write) = socket.into_split();
        let mut reader = EventReader::new(read);
        let Some(hello) = self.await_hello(&mut reader, orders).await? else {
            return Ok(Done::Forced);
        };
        check_hello(&hello).map_err(Failure::BadHello)?;
        for worker in self.crew.workers() {
            self.news.send(worker, WorkerNews::Hello(hello.clone())).await;
        }
        self.hello = Some(hello);

        let (frames, frames_rx) = mpsc::channel(orders.max_capacity());
        let writer = tokio::spawn(write_frames(write, frames_rx));
        let result = self.exchange(&mut reader, orders, frames).await;
        writer.abort();
        result
    }

    /// `None` where nobody waits for it any longer.
    async fn await_hello(
        &mut self,
        reader: &mut EventReader<OwnedReadHalf>,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Result<Option<Hello>, Failure> {
        let give_up_at = Instant::now() + self.patience.hello;
        let failed = |error: String| Err(Failure::NoHello(error));
        loop {
            tokio::select! {
                first = reader.next() => return match first {
                    Ok((_, Message::Hello(hello))) => Ok(Some(hello)),
                    Ok(_) => failed("its first message was no hello".into()),
                    Err(e) => failed(e.to_string()),
                },
                () = sleep_until(give_up_at) => return failed(said_nothing(self.patience)),
                order = orders.recv() => match order {
                    Some(Order::Join(guest, worker, app)) => self.crew.join(guest, worker, app),
                    // Of one that has no hello nothing else can be wanted than its end.
                    Some(Order::Stop(guest) | Order::Kill(guest)) if !self.crew.is_last(guest) => {
                        self.part_with(guest, "it was ended before the worker had come up").await;
                    }
                    _ => return Ok(None),
                },
            }
        }
    }

    async fn exchange(
        &mut self,
        reader: &mut EventReader<OwnedReadHalf>,
        orders: &mut mpsc::Receiver<Order>,
        frames: Frames,
    ) -> Result<Done, Failure> {
        loop {
            let deadline = self.crew.deadline();
            tokio::select! {
                // Orders first: a worker that never stops talking can be ended.
                biased;
                order = orders.recv() => {
                    let Some(order) = order else { return Ok(Done::Forced) };
                    if let Some(done) = self.obey(order, &frames).await? {
                        return Ok(done);
                    }
                }
                message = reader.next() => match message {
                    Ok((guest, message)) => {
                        if let Some(done) = self.hear(guest, message).await {
                            return Ok(done);
                        }
                        if self.is_over_by(TALK_WITHIN) {
                            return self.give_up();
                        }
                    }
                    Err(_) if self.crew.is_stopping() => return Ok(Done::Closed),
                    Err(e) => return Err(Failure::Later(e.to_string())),
                },
                () = sleep_until_some(deadline) => return self.give_up(),
            }
        }
    }

    async fn obey(&mut self, order: Order, frames: &Frames) -> Result<Option<Done>, Failure> {
        let (guest, command) = match order {
            Order::Join(guest, worker, app) => {
                self.crew.join(guest, worker, app);
                if let Some(hello) = self.hello.clone() {
                    self.news.send(worker, WorkerNews::Hello(hello)).await;
                }
                return Ok(None);
            }
            Order::Offer(guest, command) => {
                if frames.capacity() > frames.max_capacity() / 2 {
                    let _ = frames.try_send((guest, *command));
                }
                return Ok(None);
            }
            Order::Kill(guest) if self.crew.holds(guest) => return Ok(Some(Done::Held(guest))),
            Order::Kill(guest) if self.crew.is_last(guest) => return Ok(Some(Done::Forced)),
            Order::Stop(guest) | Order::Kill(guest) => (guest, self.crew.end(guest)),
            Order::Send(guest, command) => (guest, *command),
        };
        if let Some(watch) = self.crew.watch(guest) {
            watch.note_order(&command);
        }
        match frames.try_send((guest, command)) {
            Ok(()) => Ok(None),
            Err(_) => Err(Failure::Later("it takes no commands".into())),
        }
    }

    async fn hear(&mut self, guest: GuestId, message: Message) -> Option<Done> {
        let Some(worker) = self.crew.hear(guest, &message) else {
            // Of the process itself, or of a module that is gone.
            tracing::debug!(guest = guest.0, "a worker says {message:?}");
            return None;
        };
        if message == Message::Unloaded {
            if self.crew.is_last(guest) {
                return Some(Done::Empty);
            }
            self.part_with(guest, "it was unloaded").await;
            return None;
        }
        self.news.send(worker, WorkerNews::Event(message)).await;
        None
    }

    /// The process goes on without it.
    async fn part_with(&mut self, guest: GuestId, how: &str) {
        if let Some(worker) = self.crew.leave(guest) {
            self.news.send(worker, WorkerNews::Ended(how.to_owned())).await;
        }
    }

    fn is_over_by(&self, more: Duration) -> bool {
        self.crew.deadline().is_some_and(|deadline| deadline + more < Instant::now())
    }

    fn give_up(&self) -> Result<Done, Failure> {
        if self.crew.is_stopping() {
            return Ok(Done::Forced);
        }
        Err(Failure::Later("it did not answer in time".into()))
    }
}

/// For ever where there is no such moment.
async fn sleep_until_some(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn write_frames(mut to: OwnedWriteHalf, mut commands: mpsc::Receiver<(GuestId, Command)>) {
    while let Some((guest, command)) = commands.recv().await {
        let mut frame = Vec::new();
        // An error shows on the reading side, too: the worker is gone.
        let written = write_guest_frame(&mut frame, guest, &command);
        if written.is_err() || to.write_all(&frame).await.is_err() {
            return;
        }
    }
}
