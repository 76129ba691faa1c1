//! `farrier-runtime`: the worker that runs one guest module.
//!
//! `farrier-agent` starts it on a device, and the gateway starts it to check an
//! artifact; both speak `worker-protocol` over the socket that is its standard
//! input. In order it tests itself (`self_test`), gives up what it will not need
//! (`confine`), says hello and obeys (`worker`). Three threads: the main one reads
//! commands, `guest` owns WAMR and the module, `supervisor` watches the clock.
//!
//! It knows no keys, no network and no manifests, and the only files it reads
//! are its own libraries.

mod backoff;
mod checks;
mod confine;
mod gas_keeper;
mod gas_rate;
mod guest;
mod guest_api;
mod inbox;
mod rate;
mod self_test;
mod shared;
mod supervisor;
mod worker;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use wamr::Profile;

const USAGE: &str = "\
farrier-runtime runs one module for farrier-agent, which starts it with a socket as standard input.

  farrier-runtime [--app NAME] [--target ID]
                               run the module that comes over the socket; the name is for lists of
                               processes, the target one with more CPU features than the usual one
  farrier-runtime --profile    print how this runtime was built, one `key value` a line
  farrier-runtime --version    print the version
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--version"] => print(&format!("{}\n", version())),
        ["--profile"] => print(&profile_text()),
        [] | ["--app", _] => run_worker(Profile::of_this_build()),
        ["--target", target] | ["--target", target, "--app", _] => {
            match Profile::for_target(target) {
                Ok(profile) => run_worker(profile),
                Err(error) => refuse(&format!("{error}\n")),
            }
        }
        _ => refuse(USAGE),
    }
}

fn run_worker(profile: Profile) -> ExitCode {
    match inherited_socket() {
        Ok(socket) => worker::run(socket, profile),
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
