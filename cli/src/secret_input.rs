//! Passwords from a terminal without an echo, from a file, or from standard input; never
//! from the command's arguments, which every user of the machine can read.

use crate::confirm::can_ask;
use crate::failure::{Exit, Failure};
use gateway_api::Secret;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest file that is read; the gateway takes less.
const SECRET_BYTES_MAX: u64 = 4_096;

/// The first line of a file; `-` is standard input.
pub fn read(path: &Path) -> Result<Secret, Failure> {
    let failure = || Failure::new(Exit::Usage, format!("read the secret in {}", path.display()));
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().lock().take(SECRET_BYTES_MAX).read_to_string(&mut text),
        false => {
            let file = File::open(path).map_err(|e| failure().because(&e))?;
            file.take(SECRET_BYTES_MAX).read_to_string(&mut text)
        }
    };
    read.map_err(|e| failure().because(&e))?;
    match text.lines().next().unwrap_or_default() {
        "" => Err(failure().or_try("a file whose first line is the secret")),
        line => Ok(Secret(line.to_owned())),
    }
}

pub fn ask(question: &str) -> Result<Secret, Failure> {
    if !can_ask() {
        return Err(Failure::new(Exit::Usage, format!("nobody could be asked for the {question}"))
            .or_try("--password-file FILE, or - for standard input"));
    }
    let answer = rpassword::prompt_password(format!("{question}: "));
    answer.map(Secret).map_err(|e| Failure::new(Exit::Failed, "read from the terminal").because(&e))
}

/// A new one is typed twice.
pub fn ask_new(question: &str) -> Result<Secret, Failure> {
    let first = ask(question)?;
    if ask("the same again")? != first {
        return Err(Failure::new(Exit::Usage, "they are not the same, and nothing was done"));
    }
    Ok(first)
}

pub fn new_password(file: Option<&Path>) -> Result<Secret, Failure> {
    match file {
        Some(path) => read(path),
        None => ask_new("new password"),
    }
}
