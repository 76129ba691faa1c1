//! Asks before what cannot be taken back.
//!
//! A terminal is asked. Without one nobody could answer, and the command ends instead of
//! waiting for ever.

use crate::failure::{Exit, Failure};
use std::io::{BufRead, IsTerminal, Write};

/// Whether somebody sits there who can answer.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whoever says nothing, or something else, has not said yes.
pub fn ask(question: &str) -> bool {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    is_yes(&mut std::io::stdin().lock())
}

fn is_yes(input: &mut dyn BufRead) -> bool {
    let mut answer = String::new();
    let read = input.read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Ends the command unless somebody says yes, by option or by answer.
pub fn confirm(question: &str, said_yes: bool) -> Result<(), Failure> {
    if said_yes {
        return Ok(());
    }
    if !can_ask() {
        let message = format!("nobody could be asked {question:?}, and nothing was done");
        return Err(Failure::new(Exit::Usage, message).or_try("--yes, if that is meant"));
    }
    match ask(question) {
        true => Ok(()),
        false => Err(Failure::new(Exit::Usage, "nothing was done: there was no yes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, expected) in [
            ("y\n", true),
            (" YES \n", true),
            ("yes", true),
            ("", false),
            ("\n", false),
            ("n\n", false),
            ("yep\n", false),
        ] {
            assert_eq!(is_yes(&mut answer.as_bytes()), expected, "{answer:?}");
        }
    }
}
