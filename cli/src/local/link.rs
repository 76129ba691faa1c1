//! The runtime's process and the socket to it.

use crate::failure::{Exit, Failure};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;
use tokio::sync::mpsc;
use worker_protocol::{Command, Event, FrameError, read_frame, write_frame};

/// A call that does not return is told by `Overrun`; this is for a runtime that says
/// nothing at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// Events that may wait here before the runtime waits for us.
const EVENTS_MAX: usize = 256;

pub struct Link {
    child: Child,
    socket: UnixStream,
    events: mpsc::Receiver<Result<Event, FrameError>>,
}

impl Link {
    /// Starts the words as a command with a socket as its standard input.
    pub fn start(words: &[PathBuf], directories: &[File]) -> Result<Self, Failure> {
        let started = start_process(words, directories);
        let (child, socket, incoming) = started.map_err(|error| {
            let said: Vec<String> = words.iter().map(|word| word.display().to_string()).collect();
            Failure::new(Exit::Failed, format!("start {}", said.join(" "))).because(&error)
        })?;
        let (to_us, events) = mpsc::channel(EVENTS_MAX);
        std::thread::spawn(move || listen(&incoming, &to_us));
        Ok(Self { child, socket, events })
    }

    pub async fn send(&mut self, command: &Command) -> Result<(), Failure> {
        let Err(error) = write_frame(&self.socket, command) else { return Ok(()) };
        // What it said before it ended says more than that it has ended.
        while self.next().await.is_ok() {}
        Err(Failure::new(Exit::Failed, format!("the runtime {}", self.ending())).because(&error))
    }

    /// The next event, or what became of the runtime.
    pub async fn next(&mut self) -> Result<Event, Failure> {
        self.next_within(ANSWER_WITHIN).await
    }

    /// The same without an end to the patience: a module may be silent for hours.
    pub async fn next_whenever(&mut self) -> Result<Event, Failure> {
        let event = self.events.recv().await;
        self.heard(event)
    }

    pub async fn next_within(&mut self, most: Duration) -> Result<Event, Failure> {
        match tokio::time::timeout(most, self.events.recv()).await {
            Ok(event) => self.heard(event),
            Err(_) => {
                let message = format!("the runtime said nothing for {} s", most.as_secs());
                Err(Failure::new(Exit::OutOfTime, message))
            }
        }
    }

    fn heard(&mut self, event: Option<Result<Event, FrameError>>) -> Result<Event, Failure> {
        match event {
            Some(Ok(event)) => Ok(event),
            Some(Err(FrameError::Closed)) | None => {
                Err(Failure::new(Exit::Failed, format!("the runtime {}", self.ending())))
            }
            Some(Err(error)) => {
                let message = format!("the runtime {}", self.ending());
                Err(Failure::new(Exit::Failed, message).because(&error))
            }
        }
    }

    /// How it ended; it does so at the latest with our end of the socket.
    fn ending(&mut self) -> String {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        match self.child.wait() {
            Ok(status) => format!("has ended: {status}"),
            Err(error) => format!("has ended: {error}"),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Harmless if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_process(
    words: &[PathBuf],
    directories: &[File],
) -> std::io::Result<(Child, UnixStream, UnixStream)> {
    let (socket, its_end) = UnixStream::pair()?;
    let incoming = socket.try_clone()?;
    let mut process = Process::new(&words[0]);
    process.args(&words[1..]).current_dir("/").stdout(Stdio::null());
    process.stdin(Stdio::from(OwnedFd::from(its_end)));
    // Ctrl-C is for us alone: what the runtime has to say of its module is still wanted.
    process.process_group(0);
    // The process's copy of that end goes with `process`; a left one would keep the
    // socket open when the runtime has ended.
    let child = process.spawn()?;
    let directories: Vec<_> = directories.iter().map(File::as_fd).collect();
    worker_protocol::send_directories(&socket, &directories)?;
    Ok((child, socket, incoming))
}

fn listen(incoming: &UnixStream, to_us: &mpsc::Sender<Result<Event, FrameError>>) {
    loop {
        let event = read_frame(incoming);
        let is_last = event.is_err();
        if to_us.blocking_send(event).is_err() || is_last {
            return;
        }
    }
}
