//! One worker process and the task that owns it.

use super::WorkerNews;
use super::ending::Ending;
use super::frames::EventReader;
use super::launcher::{Started, check_hello, no_hello};
use super::stderr_log::StderrLog;
use crate::agent::Event;
use crate::install::WorkerId;
use crate::refusal::Refusal;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use worker_protocol::{Command, Event as Message, write_frame};

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
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(10),
            answer: Duration::from_secs(5),
            load: Duration::from_secs(30),
            stop: Duration::from_secs(2),
        }
    }
}

/// How much longer a worker may talk of other things instead of answering.
const TALK_WITHIN: Duration = Duration::from_secs(2);

pub enum Order {
    Send(Box<Command>),
    /// Dropped where the worker has fallen behind.
    Offer(Box<Command>),
    Stop,
}

pub struct NewsSender {
    pub worker: WorkerId,
    pub events: mpsc::Sender<Event>,
}

impl NewsSender {
    /// Waits while the agent is busy, so a talkative worker is slowed down.
    async fn send(&self, news: WorkerNews) {
        // An error means that the agent is ending; then nobody needs the news.
        let _ = self.events.send(Event::Worker(self.worker, news)).await;
    }
}

/// Runs until the process is gone.
pub async fn supervise(
    started: Result<Started, Refusal>,
    orders: mpsc::Receiver<Order>,
    news: NewsSender,
) {
    let mut started = match started {
        Ok(started) => started,
        Err(refusal) => return news.send(WorkerNews::NotStarted(refusal)).await,
    };
    let stderr = StderrLog::follow(started.stderr.take(), &started.app);
    let socket = started.socket.set_nonblocking(true);
    let patience = started.patience;
    let result = match socket.and_then(|()| UnixStream::from_std(started.socket)) {
        Ok(socket) => converse(socket, patience, orders, &news).await,
        Err(e) => Err(Failure::NoHello(e.to_string())),
    };
    let closed_by_worker =
        matches!(result, Err(Failure::NoHello(_) | Failure::Later(_)) | Ok(Done::Closed));
    let ending = Ending::kill(started.child, closed_by_worker).await;
    let last = match result {
        Err(Failure::NoHello(error)) => {
            WorkerNews::NotStarted(no_hello(&error, &ending, &stderr).await)
        }
        Err(Failure::BadHello(refusal)) => WorkerNews::NotStarted(refusal),
        Err(Failure::Later(error)) => WorkerNews::Ended(format!("{error}; it {ending}")),
        Ok(_) => WorkerNews::Ended(format!("it {ending}")),
    };
    news.send(last).await;
}

/// How a conversation ended that was to end.
enum Done {
    Closed,
    Forced,
}

pub(super) fn said_nothing(patience: Patience) -> String {
    format!("it said nothing for {:.0?}", patience.hello)
}

enum Failure {
    NoHello(String),
    BadHello(Refusal),
    Later(String),
}

async fn converse(
    socket: UnixStream,
    patience: Patience,
    mut orders: mpsc::Receiver<Order>,
    news: &NewsSender,
) -> Result<Done, Failure> {
    let (read, write) = socket.into_split();
    let mut reader = EventReader::new(read);
    let hello = tokio::select! {
        first = timeout(patience.hello, reader.next()) => match first {
            Ok(Ok((_, Message::Hello(hello)))) => hello,
            Ok(Ok(_)) => return Err(Failure::NoHello("its first message was no hello".into())),
            Ok(Err(e)) => return Err(Failure::NoHello(e.to_string())),
            Err(_) => return Err(Failure::NoHello(said_nothing(patience))),
        },
        // The first order can only be to end: others need a hello.
        _ = orders.recv() => return Ok(Done::Forced),
    };
    check_hello(&hello).map_err(Failure::BadHello)?;
    news.send(WorkerNews::Hello(hello)).await;

    let (frames, frames_rx) = mpsc::channel(super::ORDERS_MAX);
    let writer = tokio::spawn(write_frames(write, frames_rx));
    let result = exchange(&mut reader, patience, &mut orders, frames, news).await;
    writer.abort();
    result
}

async fn exchange(
    reader: &mut EventReader<tokio::net::unix::OwnedReadHalf>,
    patience: Patience,
    orders: &mut mpsc::Receiver<Order>,
    frames: mpsc::Sender<Command>,
    news: &NewsSender,
) -> Result<Done, Failure> {
    let mut watch = Watch::new(patience);
    loop {
        tokio::select! {
            // Orders first: a worker that never stops talking can be ended.
            biased;
            order = orders.recv() => {
                let command = match order {
                    Some(Order::Send(command)) => *command,
                    Some(Order::Offer(command)) => {
                        if frames.capacity() > super::ORDERS_MAX / 2 {
                            let _ = frames.try_send(*command);
                        }
                        continue;
                    }
                    Some(Order::Stop) => Command::Stop,
                    None => return Ok(Done::Forced),
                };
                watch.note_order(&command);
                if frames.try_send(command).is_err() {
                    return Err(Failure::Later("it takes no commands".into()));
                }
            }
            message = reader.next() => match message {
                Ok((_, message)) => {
                    watch.hear(&message);
                    news.send(WorkerNews::Event(message)).await;
                    if watch.deadline() + TALK_WITHIN < Instant::now() {
                        return watch.give_up();
                    }
                }
                Err(_) if watch.stopping => return Ok(Done::Closed),
                Err(e) => return Err(Failure::Later(e.to_string())),
            },
            () = sleep_until(watch.deadline()) => {
                return watch.give_up();
            }
        }
    }
}

async fn write_frames(mut to: OwnedWriteHalf, mut commands: mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        let mut frame = Vec::new();
        // An error shows on the reading side, too: the worker is gone.
        if write_frame(&mut frame, &command).is_err() || to.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Until when the worker has to answer.
struct Watch {
    patience: Patience,
    stopping: bool,
    usage_by: Option<Instant>,
    load_by: Option<Instant>,
    stop_by: Option<Instant>,
}

impl Watch {
    fn new(patience: Patience) -> Self {
        Self { patience, stopping: false, usage_by: None, load_by: None, stop_by: None }
    }

    fn note_order(&mut self, command: &Command) {
        let now = Instant::now();
        match command {
            Command::Load(_) => self.load_by = Some(now + self.patience.load),
            Command::ReportUsage => {
                self.usage_by.get_or_insert(now + self.patience.answer);
            }
            Command::Stop => {
                self.stopping = true;
                self.stop_by.get_or_insert(now + self.patience.stop);
            }
            Command::RunChecks { .. }
            | Command::Start { .. }
            | Command::SetClock(_)
            | Command::RunTicks { .. }
            | Command::Unload
            | Command::Answer(_)
            | Command::Deliver(_) => {}
        }
    }

    fn hear(&mut self, message: &Message) {
        match message {
            Message::Usage(_) => self.usage_by = None,
            Message::Loaded { .. } | Message::LoadFailed { .. } => {
                self.load_by = None;
                // It may not have been able to answer until now.
                self.usage_by = self.usage_by.map(|_| Instant::now() + self.patience.answer);
            }
            _ => {}
        }
    }

    fn give_up(&self) -> Result<Done, Failure> {
        if self.stopping {
            return Ok(Done::Forced);
        }
        Err(Failure::Later("it did not answer in time".into()))
    }

    fn deadline(&self) -> Instant {
        let usage_by = if self.load_by.is_some() { None } else { self.usage_by };
        let earliest = [usage_by, self.load_by, self.stop_by].into_iter().flatten().min();
        earliest.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600))
    }
}
