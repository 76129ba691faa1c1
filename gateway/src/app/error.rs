//! How a rule says no.

use crate::store::StoreError;
use gateway_api::{ApplicationPlan, FileProblem, ProblemCode};

/// The user's mistake and our own fault are apart all the way to the user.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// What is wrong with the request, where, and what to do.
    #[error("{detail}")]
    Refused { code: ProblemCode, detail: String },
    /// An application file with these errors.
    #[error("{detail}")]
    InvalidFile { detail: String, errors: Vec<FileProblem> },
    /// An application that needs a yes to this.
    #[error("{detail}")]
    AsksForMore { detail: String, plan: Box<ApplicationPlan> },
    /// Nothing is wrong with the request, but it has to wait.
    #[error("{detail}")]
    QueueFull { detail: String, retry_after_s: u64 },
    /// It was asked too often.
    #[error("{detail}")]
    RateLimited { detail: String, retry_after_s: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("bug: {0}")]
    Bug(String),
}

impl AppError {
    pub fn refused(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into() }
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::refused(ProblemCode::NotFound, detail)
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::refused(ProblemCode::BadRequest, detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::refused(ProblemCode::Conflict, detail)
    }
}
