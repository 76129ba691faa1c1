//! What can go wrong between a caller and the gateway, and what to try.
//!
//! Callers branch on the variants and on [`Problem::code`]; texts are for people.
//! Each message names the operation, its cause is the error's source.

use gateway_api::{Problem, ProblemCode};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the gateway's address {url:?} cannot be used: {why}")]
    InvalidUrl { url: String, why: String },
    #[error("the token holds characters that no token has")]
    InvalidToken,
    #[error("{0:?} cannot be the name or id of anything")]
    InvalidReference(String),
    #[error("read {}", path.display())]
    ReadFile { path: PathBuf, source: std::io::Error },
    #[error("set up the HTTP client")]
    Setup { source: reqwest::Error },
    /// Nothing was sent.
    #[error("cannot reach the gateway at {url}")]
    Unreachable { url: String, source: reqwest::Error },
    #[error("{request}: no complete answer within {timeout:?}")]
    Timeout { request: String, timeout: Duration },
    /// The gateway may or may not have done it.
    #[error("{request}: the connection broke before the answer was complete")]
    Interrupted { request: String, source: reqwest::Error },
    /// Only told while an event stream is made again.
    #[error("the gateway ended the event stream")]
    StreamEnded,
    /// The gateway said no, and why.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// An answer that no gateway gives; a proxy does, or another server.
    #[error(
        "{request} was answered with status {status} and no reason that can be read{}",
        in_words(excerpt)
    )]
    UnexpectedStatus {
        request: String,
        status: u16,
        /// The start of the answer if it is text, on one line.
        excerpt: String,
        /// Where a redirect leads.
        location: Option<String>,
        request_id: Option<String>,
        retry_after: Option<Duration>,
    },
    #[error("{request} was answered with something else than {expected}: {why}")]
    UnexpectedAnswer { request: String, expected: &'static str, why: String },
}

/// A [`Problem`], and what it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub request: String,
    pub problem: Problem,
    /// When the gateway asks to come back, as it said.
    pub retry_after: Option<Duration>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.fmt(f)
    }
}

fn in_words(excerpt: &str) -> String {
    if excerpt.is_empty() { String::new() } else { format!(": {excerpt:?}") }
}

impl ClientError {
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(refused) => Some(&refused.problem),
            _ => None,
        }
    }

    /// Of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refused) => Some(refused.problem.status),
            Self::UnexpectedStatus { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused(refused) => refused.problem.request_id.as_deref(),
            Self::UnexpectedStatus { request_id, .. } => request_id.as_deref(),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.problem().is_some_and(|problem| problem.code == ProblemCode::NotFound)
    }

    /// The token is missing, unknown, or not good for this.
    pub fn is_login_required(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refused) => refused.retry_after,
            Self::UnexpectedStatus { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The same request may well succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Interrupted { .. } => true,
            _ => matches!(self.status(), Some(408 | 425 | 429 | 502 | 503 | 504)),
        }
    }

    /// What to try, where the message does not say it. A problem's `detail` does.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::InvalidUrl { .. } => "give an address such as http://127.0.0.1:8080".to_owned(),
            Self::InvalidToken => {
                "check the token: one line of letters, digits and signs".to_owned()
            }
            Self::Unreachable { url, .. } => {
                format!("start the gateway, or check the address {url} and the network between")
            }
            Self::Timeout { .. } => {
                "look at the gateway's log and load, then repeat the command".to_owned()
            }
            Self::Interrupted { .. } => {
                "look whether it was done, then repeat; the gateway's log tells if it restarted"
                    .to_owned()
            }
            Self::UnexpectedStatus { location: Some(to), .. } => {
                format!("the address redirects to {to}: use that gateway's address")
            }
            Self::UnexpectedStatus { .. } | Self::UnexpectedAnswer { .. } => {
                "check that the address is a Farrier gateway's of this version, and any proxy \
                 between"
                    .to_owned()
            }
            Self::Refused(_) if self.is_login_required() => {
                "give a token that the gateway knows".to_owned()
            }
            Self::Refused(refused) => match refused.problem.code {
                ProblemCode::Internal => "report it with the request id".to_owned(),
                ProblemCode::RateLimited | ProblemCode::Unavailable => {
                    "wait a moment, then repeat".to_owned()
                }
                ProblemCode::QueueFull => match refused.retry_after {
                    Some(wait) => format!("repeat it in {} s", wait.as_secs()),
                    None => "wait a moment, then repeat".to_owned(),
                },
                _ => return None,
            },
            Self::InvalidReference(_)
            | Self::ReadFile { .. }
            | Self::Setup { .. }
            | Self::StreamEnded => return None,
        })
    }
}
