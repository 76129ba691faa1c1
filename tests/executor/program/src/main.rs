//! `farrier-executor`: WAMR in a process of its own, for tests.
//!
//! ```text
//! farrier-executor [STACK_BYTES]    requests on standard input, answers on standard output
//! ```
//!
//! The package `executor` starts one for a machine (natively or under qemu-user) and
//! asks; `protocol` there says what. Modules and instances live until they are
//! dropped, several at once. `session` holds them and answers, `host` is what guests
//! may import, `values` translates.
//!
//! It is never installed anywhere: it loads whatever it is given.

mod host;
mod session;
mod values;

use executor::protocol::Request;
use session::Session;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::process::ExitCode;
use wamr::Runtime;
use worker_protocol::{FrameError, read_frame, write_frame};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("farrier-executor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "2097152".to_owned());
    let stack_bytes = argument.parse().map_err(|_| format!("{argument:?} is no stack size"))?;
    // WAMR prints its complaints to standard output, where our answers go.
    let answers = rustix::io::dup(rustix::stdio::stdout()).map_err(|e| e.to_string())?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr()).map_err(|e| e.to_string())?;
    let thread = Runtime::spawn("executor", stack_bytes, |runtime| {
        host::register(runtime).map_err(|error| error.to_string())?;
        serve(&mut Session::new(runtime), File::from(answers)).map_err(|error| error.to_string())
    });
    let thread = thread.map_err(|error| error.to_string())?;
    thread.join().map_err(|_| "a bug of the executor".to_owned())?.map_err(|e| e.to_string())?
}

fn serve(session: &mut Session<'_>, answers: File) -> Result<(), FrameError> {
    let mut requests = BufReader::new(std::io::stdin());
    let mut answers = BufWriter::new(answers);
    loop {
        let request: Request = match read_frame(&mut requests) {
            Ok(request) => request,
            Err(FrameError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        };
        write_frame(&mut answers, &session.answer(request))?;
    }
}
