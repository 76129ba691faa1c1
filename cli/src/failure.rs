//! How a command ends badly: an exit code, a message, its causes, what to try.

use gateway_client::ClientError;
use std::error::Error;
use std::fmt::Display;
use std::io;
use std::path::Path;

/// Documented in the help of `farrier`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The reader of our output has gone, which is its good right.
    ClosedPipe,
    Failed,
    Usage,
    NotFound,
    LoginNeeded,
    /// Some devices did it, some did not.
    Partial,
    /// Something grows, and nobody said yes to that.
    NeedsYes,
    OutOfTime,
    /// That of a program that was run.
    OfProgram(u8),
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::ClosedPipe => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotFound => 3,
            Exit::LoginNeeded => 4,
            Exit::Partial => 5,
            Exit::NeedsYes => 6,
            Exit::OutOfTime => 124,
            Exit::OfProgram(code) => code,
        })
    }
}

#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// Outermost first.
    pub causes: Vec<String>,
    pub advice: Option<String>,
    /// Of the request that the gateway refused.
    pub request_id: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Display) -> Self {
        let message = message.to_string();
        Self { exit, message, causes: Vec::new(), advice: None, request_id: None }
    }

    /// A file that was named and cannot be read.
    pub fn of_reading(path: &Path, error: &io::Error) -> Self {
        let failure = Self::new(Exit::Failed, format!("read {}", path.display())).because(error);
        match error.kind() {
            io::ErrorKind::NotFound => failure.or_try("look at the name, which counts from here"),
            io::ErrorKind::PermissionDenied => {
                failure.or_try("let yourself read it, or run this as somebody who may")
            }
            io::ErrorKind::IsADirectory => failure.or_try("name a file in it"),
            _ => failure,
        }
    }

    pub fn because(mut self, cause: &dyn Error) -> Self {
        let mut next = Some(cause);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Where to look for what does exist, if that is the failure.
    pub fn if_not_found_try(self, advice: &str) -> Self {
        if self.exit == Exit::NotFound { self.or_try(advice) } else { self }
    }

    /// What to try, if nothing better is known already.
    pub fn or_try(mut self, advice: impl Into<String>) -> Self {
        self.advice.get_or_insert(advice.into());
        self
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::InvalidUrl { .. }
            | ClientError::InvalidToken
            | ClientError::InvalidReference(_) => Exit::Usage,
            _ if error.is_not_found() => Exit::NotFound,
            _ if error.is_login_required() => Exit::LoginNeeded,
            _ if error.is_timeout() => Exit::OutOfTime,
            _ => Exit::Failed,
        };
        let may_not = error.status() == Some(403);
        let mut failure = Self::new(exit, &error);
        failure.request_id = error.request_id().map(str::to_owned);
        failure.advice = match exit {
            Exit::LoginNeeded if may_not => {
                Some("farrier whoami, for who you are here and what you may do".to_owned())
            }
            Exit::LoginNeeded => Some(
                "farrier login NAME; or name a file with a token with --token-file or \
                 FARRIER_TOKEN_FILE"
                    .to_owned(),
            ),
            _ => error.advice(),
        };
        match error.source() {
            Some(cause) => failure.because(cause),
            None => failure,
        }
    }
}
