//! Refusals of the API (RFC 9457).

use crate::{ApplicationPlan, FileProblem};
use serde::{Deserialize, Serialize};
use std::fmt;

pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// `about:blank`, or a URI reference such as `/problems/not-wasm`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong with this request, where, and what to do.
    pub detail: String,
    /// For programs; equal to the last part of `type`.
    pub code: ProblemCode,
    /// Identifies the request in the gateway's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Of an application file: all that is wrong with it, by place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FileProblem>,
    /// Of an application that asks for more: what it would change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<ApplicationPlan>>,
    /// Of a gateway that is not ready: all that is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ProblemCode {
    /// The bytes are not a Wasm module.
    NotWasm,
    /// The module ends in the middle.
    TruncatedModule,
    /// The module is Wasm, but not valid.
    InvalidModule,
    /// The module uses a proposal that is not supported; `detail` names it.
    UnsupportedProposal,
    /// The module imports what nothing offers; `detail` names both.
    UnknownImport,
    /// Something is over a limit that `detail` names.
    TooLarge,
    InvalidKnownAnswers,
    /// The application file is wrong, or asks for what cannot be; `errors` says where.
    InvalidApplication,
    /// The application asks for more than what runs; `plan` says what. Send it again
    /// with `accept_more`.
    AsksForMore,
    /// The request's JSON, query or path is wrong.
    BadRequest,
    NotFound,
    MethodNotAllowed,
    /// The request contradicts the present state.
    Conflict,
    /// What is to be changed is not as `If-Match` says.
    PreconditionFailed,
    /// The `Idempotency-Key` came with another request before.
    KeyReused,
    LoginRequired,
    Forbidden,
    /// Enrolment: the claim token is unknown, used or expired.
    ClaimRefused,
    /// The module has no developer's signature that counts here.
    SignatureRefused,
    /// The root document or release is not accepted: a signature is missing or wrong.
    NotTrusted,
    /// Too many requests; try again later.
    RateLimited,
    /// We have a bug, or the machine a fault; `request_id` leads to the log.
    Internal,
    /// A part of the gateway is not ready; try again.
    Unavailable,
    /// Too many compile jobs wait; try again after the time in `Retry-After`.
    QueueFull,
    /// The gateway's disk is full; try again when there is space.
    StorageFull,
    #[serde(other)]
    Other,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl std::error::Error for Problem {}
