//! Starting a runtime, natively or through a launcher such as `qemu-aarch64-static`.
//!
//! An emulated process cannot execute a foreign binary by itself, and may even
//! be told that it could. So the launcher is put in front, and a runtime counts
//! as started only when its hello has come.

use super::ending::Ending;
use super::frames::EventReader;
use super::process::{Patience, said_nothing};
use super::stderr_log::StderrLog;
use crate::app_files::OpenDirectory;
use crate::config::RuntimeConfig;
use crate::refusal::Refusal;
use crate::report::build;
use device_protocol::{BuildReport, RefusalCode};
use module_package::RuntimeProfile;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use worker_protocol::{Event, Hello, PROTOCOL_VERSION};

#[derive(Debug, Clone)]
pub struct Launcher {
    /// The launcher and its arguments, then the runtime with its target.
    words: Vec<PathBuf>,
    runtime: PathBuf,
    patience: Patience,
}

/// A process that has not spoken yet.
pub struct Started {
    pub child: Child,
    pub socket: UnixStream,
    pub stderr: Option<OwnedFd>,
    pub app: String,
    pub patience: Patience,
    pub has_own_uid: bool,
    /// Of a process of several modules: the number of the one that was called last.
    pub blame: Option<File>,
}

/// Where a worker is to be started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    pub uid: Option<u32>,
    /// Writable memory of the process.
    pub data_bytes_max: Option<u64>,
    /// Processor time that a real-time thread of it may take without a pause.
    pub rttime_us_max: Option<u64>,
    /// Several modules run there, and it leaves word of whose call runs.
    pub is_shared: bool,
}

/// Threads of a worker that is alone under its user id: three, with room for an
/// emulator's.
const TASKS_MAX: u64 = 64;

impl Started {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// What the device's runtime says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeInfo {
    pub profile: RuntimeProfile,
    /// `farrier-runtime` and its version, with WAMR's.
    pub runtime: String,
    pub confinement: Vec<String>,
    pub builds: BuildReport,
}

impl Launcher {
    pub fn new(config: &RuntimeConfig) -> Self {
        let words = config.launcher.iter().map(PathBuf::from).chain([config.path.clone()]);
        let target = config.target.iter().flat_map(|id| ["--target".into(), id.into()]);
        let (words, runtime) = (words.chain(target).collect(), config.path.clone());
        Self { words, runtime, patience: Patience::default() }
    }

    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// `app` is for people: in the log, and in a list of processes. It is empty for
    /// the probe.
    pub fn start(&self, app: &str) -> Result<Started, Refusal> {
        self.start_in(app, Place::default())
    }

    /// The same with a user id of its own. Where that user cannot get at the program, or
    /// the system does not know the id, it is started without.
    pub fn start_in(&self, app: &str, place: Place) -> Result<Started, Refusal> {
        self.start_with(app, place, &[])
    }

    /// The same with directories for a program.
    pub fn start_with(
        &self,
        app: &str,
        place: Place,
        directories: &[OpenDirectory],
    ) -> Result<Started, Refusal> {
        let started = match self.start_process(app, place, directories) {
            Err(e) if place.uid.is_some() => {
                tracing::warn!(app, "the worker gets no user id of its own: {e}");
                self.start_process(app, Place { uid: None, ..place }, directories)
            }
            started => started,
        };
        started.map_err(|e| {
            let words: Vec<String> =
                self.words.iter().map(|word| word.display().to_string()).collect();
            let detail = format!("start {}: {e}", words.join(" "));
            Refusal::new(RefusalCode::WorkerStart, detail)
        })
    }

    fn start_process(
        &self,
        app: &str,
        place: Place,
        directories: &[OpenDirectory],
    ) -> io::Result<Started> {
        let (ours, theirs) = UnixStream::pair()?;
        let program = find_program(&self.words[0]);
        let mut command = Command::new(program);
        if let Some(uid) = place.uid {
            // With it go root's groups.
            command.uid(uid).gid(uid);
        }
        let blame = place.is_shared.then(blame_file).transpose()?;
        let stdout = blame.as_ref().map(File::try_clone).transpose()?;
        let mut child = command
            .args(&self.words[1..])
            .args(label_of(app))
            .args(limits_of(place))
            .args(if place.is_shared { &["--blame", "yes"][..] } else { &[] })
            .args(letters_of(directories))
            // A worker needs nothing of the agent's environment, and a launcher
            // would take orders from it.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(stdout.map_or_else(Stdio::null, Stdio::from))
            .stderr(Stdio::piped())
            .spawn()?;
        let descriptors: Vec<_> = directories.iter().map(|d| d.file.as_fd()).collect();
        worker_protocol::send_directories(&ours, &descriptors)?;
        let stderr = child.stderr.take().map(OwnedFd::from);
        let (app, patience) = (app.into(), self.patience);
        let has_own_uid = place.uid.is_some();
        Ok(Started { child, socket: ours, stderr, app, patience, has_own_uid, blame })
    }
}

/// In memory: it has no name, and is gone with the last who has it open.
fn blame_file() -> io::Result<File> {
    let file = File::from(memfd_create("farrier-blame", MemfdFlags::CLOEXEC)?);
    file.set_len(4)?;
    Ok(file)
}

/// Tells workers apart in a list of processes.
fn label_of(app: &str) -> Vec<&str> {
    if app.is_empty() { vec![] } else { vec!["--app", app] }
}

/// Limits of the process, which it gives itself.
fn limits_of(place: Place) -> Vec<String> {
    let data = place.data_bytes_max.map(|bytes| ("--data-bytes-max", bytes));
    let rttime = place.rttime_us_max.map(|us| ("--rttime-us-max", us));
    let tasks = place.uid.map(|_| ("--tasks-max", TASKS_MAX));
    let words = |(name, value): (&str, u64)| [name.to_owned(), value.to_string()];
    data.into_iter().chain(rttime).chain(tasks).flat_map(words).collect()
}

/// What each directory is for.
fn letters_of(directories: &[OpenDirectory]) -> Vec<String> {
    let letter = |directory: &OpenDirectory| if directory.is_writable { 'w' } else { 'r' };
    let letters: String = directories.iter().map(letter).collect();
    if letters.is_empty() { vec![] } else { vec!["--directories".into(), letters] }
}

/// Looks a bare name up in the agent's own PATH: the child has none.
fn find_program(word: &Path) -> PathBuf {
    if word.components().count() > 1 {
        return std::path::absolute(word).unwrap_or_else(|_| word.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(word)).find(|at| at.is_file());
    found.unwrap_or_else(|| word.into())
}

/// Starts a runtime for a moment to hear what it is.
pub async fn probe(launcher: &Launcher) -> Result<RuntimeInfo, Refusal> {
    let mut started = launcher.start("")?;
    let stderr = StderrLog::follow(started.stderr.take(), "");
    let hello = read_hello(&started.socket, launcher.patience).await;
    let ending = Ending::kill(started.child, hello.is_err()).await;
    let hello = match hello {
        Ok(hello) => hello,
        Err(error) => return Err(no_hello(&error, &ending, &stderr).await),
    };
    check_hello(&hello)?;
    let (mut info, runtime) = (info_of(&hello), launcher.runtime.clone());
    let mut builds = info.builds.clone();
    let hashed = tokio::task::spawn_blocking(move || {
        build::add_hashes(&mut builds, &find_program(&runtime));
        builds
    });
    if let Ok(builds) = hashed.await {
        info.builds = builds;
    }
    Ok(info)
}

async fn read_hello(socket: &UnixStream, patience: Patience) -> Result<Hello, String> {
    let socket = socket.try_clone().and_then(|socket| {
        socket.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(socket)
    });
    let mut reader = EventReader::new(socket.map_err(|e| e.to_string())?);
    match tokio::time::timeout(patience.hello, reader.next()).await {
        Ok(Ok((_, Event::Hello(hello)))) => Ok(hello),
        Ok(Ok(_)) => Err("its first message was no hello".into()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(said_nothing(patience)),
    }
}

/// Why there is no hello, with all that is known.
pub(super) async fn no_hello(error: &str, ending: &Ending, stderr: &StderrLog) -> Refusal {
    let last_words = stderr.last_line().await;
    let said = if last_words.is_empty() { String::new() } else { format!(": {last_words}") };
    let detail = format!("the runtime did not come up: {error}; it {ending}{said}");
    Refusal::new(RefusalCode::WorkerStart, detail)
}

/// What makes a runtime unfit, whatever it shall run.
pub fn check_hello(hello: &Hello) -> Result<(), Refusal> {
    if hello.protocol_version != PROTOCOL_VERSION {
        let detail = format!(
            "{} speaks version {} of the worker protocol, this agent speaks {PROTOCOL_VERSION}: install the two together",
            hello.runtime, hello.protocol_version
        );
        return Err(Refusal::new(RefusalCode::WorkerStart, detail));
    }
    match &hello.self_test_failure {
        Some(failure) => Err(Refusal::new(RefusalCode::SelfTest, failure)),
        None => Ok(()),
    }
}

pub fn info_of(hello: &Hello) -> RuntimeInfo {
    RuntimeInfo {
        profile: RuntimeProfile {
            target: hello.target.clone(),
            bounds_checks: hello.bounds_checks.clone(),
            aot_version: hello.aot_version,
            cpu_features: hello.cpu_features.clone(),
            imports: hello.imports.clone(),
        },
        runtime: format!("{}, WAMR {}", hello.runtime, hello.wamr_version),
        confinement: hello.confinement.clone(),
        builds: build::of_hello(hello),
    }
}
