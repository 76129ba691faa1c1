//! `farrier-runtime`: the worker that runs guest modules, one or several.
//!
//! `farrier-agent` starts it on a device, and the gateway starts it to check an
//! artifact; both speak `worker-protocol` over the socket that is its standard
//! input. In order it tests itself (`self_test`), gives up what it will not need
//! (`confine`), says hello and obeys (`worker`). Three threads: the main one reads
//! commands, `guests` owns WAMR and the modules, `supervisor` watches the clock.
//!
//! It knows no keys, no network and no manifests, and the only files it reads
//! are its own libraries.

mod agenda;
mod alarm;
mod backoff;
mod blame;
mod checks;
mod confine;
mod cpu_clock;
mod directories;
mod gas_keeper;
mod gas_rate;
mod guest;
mod guest_api;
mod guests;
mod inbox;
mod library;
mod process;
mod program;
mod rate;
mod self_test;
mod shared;
mod supervisor;
#[cfg_attr(target_arch = "arm", path = "no_syscall_filter.rs")]
mod syscall_filter;
mod ticks;
mod trap_kind;
mod worker;

use blame::BlameNote;
use confine::Asked;
use directories::DirectoryUse;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use wamr::Profile;

const USAGE: &str = "\
farrier-runtime runs modules for farrier-agent, which starts it with a socket as standard input.

  farrier-runtime [--app NAME] [--target ID] [--data-bytes-max N] [--tasks-max N]
                  [--rttime-us-max N] [--blame yes] [--directories LETTERS]
                               run the modules that come over the socket; the name is for lists of
                               processes, the target one with more CPU features than the usual one;
                               the limits are those of the process and of its user; with --blame,
                               standard output is a file for the number of the module that runs;
                               with --directories, a message with open directories comes first, one
                               letter for each: r to read in it, w to write as well
  farrier-runtime --profile    print how this runtime was built, one `key value` a line
  farrier-runtime --version    print the version
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--version"] => print(&format!("{}\n", version())),
        ["--profile"] => print(&profile_text()),
        options => match Options::read(options) {
            Ok(options) => run_worker(options),
            Err(error) => refuse(&error),
        },
    }
}

struct Options {
    profile: Profile,
    asked: Asked,
    blame: Option<BlameNote>,
    /// What each directory that comes over the socket is for.
    directories: Vec<DirectoryUse>,
}

impl Options {
    fn read(mut words: &[&str]) -> Result<Self, String> {
        let (profile, asked, blame) = (Profile::of_this_build(), Asked::default(), None);
        let mut options = Self { profile, asked, blame, directories: vec![] };
        let number = |value: &str| value.parse().map(Some).map_err(|_| USAGE.to_owned());
        while let [name, value, rest @ ..] = words {
            match *name {
                "--app" => {}
                "--target" => {
                    options.profile = Profile::for_target(value).map_err(|e| format!("{e}\n"))?;
                }
                "--blame" => options.blame = (*value == "yes").then(BlameNote::new),
                "--directories" => {
                    options.directories =
                        DirectoryUse::read(value).ok_or_else(|| USAGE.to_owned())?;
                }
                "--data-bytes-max" => options.asked.data_bytes_max = number(value)?,
                "--rttime-us-max" => options.asked.rttime_us_max = number(value)?,
                "--tasks-max" => options.asked.tasks_max = number(value)?,
                _ => return Err(USAGE.to_owned()),
            }
            words = rest;
        }
        if words.is_empty() { Ok(options) } else { Err(USAGE.to_owned()) }
    }
}

fn run_worker(Options { profile, asked, blame, directories }: Options) -> ExitCode {
    let given = inherited_socket().and_then(|socket| {
        let given = directories::receive(&socket, &directories)?;
        Ok((socket, given))
    });
    match given {
        Ok((socket, given)) => worker::run(socket, profile, asked, blame, given),
        Err(error) => refuse(&format!("standard input is no socket ({error}).\n{USAGE}")),
    }
}

pub fn version() -> String {
    format!("farrier-runtime {}", env!("CARGO_PKG_VERSION"))
}

fn profile_text() -> String {
    let imports = guest_api::import_names().join(",");
    format!(
        "runtime {}\n{}guest-api {}\nimports {imports}\n",
        version(),
        Profile::of_this_build(),
        worker_protocol::GUEST_API_VERSION
    )
}

/// The starter's end of the pair closes with it, so this one sees end of file.
fn inherited_socket() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    Ok(socket)
}

/// Unlike `print!`, no panic when nobody reads.
fn print(text: &str) -> ExitCode {
    match io::Write::write_all(&mut io::stdout(), text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn refuse(why: &str) -> ExitCode {
    // Nobody is left to tell if even this fails.
    let _ = io::Write::write_all(&mut io::stderr(), why.as_bytes());
    ExitCode::from(2)
}
