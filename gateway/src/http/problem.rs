//! Refusals as responses.
//!
//! A response carries its [`Problem`] beside it until `request::finish`, which
//! knows the request's id, writes it out.

use crate::app::AppError;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use gateway_api::{ApplicationPlan, FileProblem, Problem, ProblemCode};
use std::any::Any;

#[derive(Debug)]
pub struct ApiError {
    code: ProblemCode,
    status: StatusCode,
    detail: String,
    retry_after_s: Option<u64>,
    errors: Vec<FileProblem>,
    plan: Option<Box<ApplicationPlan>>,
    /// Short, so that a result with it stays small.
    reasons: Box<[String]>,
    /// For the log only.
    cause: Option<String>,
}

/// What the log says about a fault of ours.
#[derive(Debug, Clone)]
pub struct InternalCause(pub String);

impl ApiError {
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self::of(code, status_of(code), detail.into())
    }

    /// For an error that the framework has given a status of its own.
    pub fn with_status(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::of(code_of(status), status, detail.into())
    }

    fn of(code: ProblemCode, status: StatusCode, detail: String) -> Self {
        Self {
            code,
            status,
            detail,
            retry_after_s: None,
            errors: Vec::new(),
            plan: None,
            reasons: Box::default(),
            cause: None,
        }
    }

    pub fn with_reasons(self, reasons: Vec<String>) -> Self {
        Self { reasons: reasons.into(), ..self }
    }

    pub fn internal(cause: String) -> Self {
        let detail = "The gateway has a fault. Its log has the reason under this request's id.";
        Self { cause: Some(cause), ..Self::new(ProblemCode::Internal, detail) }
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Refused { code, detail } => Self::new(code, detail),
            AppError::InvalidFile { detail, errors } => {
                Self { errors, ..Self::new(ProblemCode::InvalidApplication, detail) }
            }
            AppError::AsksForMore { detail, plan } => {
                Self { plan: Some(plan), ..Self::new(ProblemCode::AsksForMore, detail) }
            }
            AppError::QueueFull { detail, retry_after_s } => {
                let retry_after_s = Some(retry_after_s);
                Self { retry_after_s, ..Self::new(ProblemCode::QueueFull, detail) }
            }
            AppError::RateLimited { detail, retry_after_s } => {
                let retry_after_s = Some(retry_after_s);
                Self { retry_after_s, ..Self::new(ProblemCode::RateLimited, detail) }
            }
            AppError::Store(error) if error.is_full() => {
                tracing::error!(%error, "the disk is full");
                let detail = "The gateway's disk is full, so nothing was changed. Make space there; \
                              it goes on by itself, then try again.";
                Self::new(ProblemCode::StorageFull, detail)
            }
            AppError::Store(error) => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map(|c| format!(": {c}")).unwrap_or_default();
                Self::internal(format!("{error}{cause}"))
            }
            AppError::Bug(what) => Self::internal(what),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(InternalCause(cause));
        }
        response.extensions_mut().insert(Problem {
            kind: format!("/problems/{}", code_text(self.code)),
            title: title_of(self.code).to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            request_id: None,
            errors: self.errors,
            plan: self.plan,
            reasons: self.reasons.into(),
        });
        response
    }
}

pub fn of_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    ApiError::internal(format!("panic: {}", text.unwrap_or_default())).into_response()
}

fn status_of(code: ProblemCode) -> StatusCode {
    match code {
        ProblemCode::KeyReused
        | ProblemCode::NotTrusted
        | ProblemCode::NotWasm
        | ProblemCode::TruncatedModule
        | ProblemCode::InvalidModule
        | ProblemCode::UnsupportedProposal
        | ProblemCode::UnknownImport
        | ProblemCode::InvalidApplication
        | ProblemCode::InvalidKnownAnswers => StatusCode::UNPROCESSABLE_ENTITY,
        ProblemCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemCode::BadRequest | ProblemCode::Other => StatusCode::BAD_REQUEST,
        ProblemCode::NotFound => StatusCode::NOT_FOUND,
        ProblemCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ProblemCode::Conflict | ProblemCode::AsksForMore => StatusCode::CONFLICT,
        ProblemCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ProblemCode::LoginRequired => StatusCode::UNAUTHORIZED,
        ProblemCode::Forbidden | ProblemCode::ClaimRefused | ProblemCode::SignatureRefused => {
            StatusCode::FORBIDDEN
        }
        ProblemCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ProblemCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ProblemCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ProblemCode::Unavailable | ProblemCode::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn code_of(status: StatusCode) -> ProblemCode {
    match status {
        StatusCode::NOT_FOUND => ProblemCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::TooLarge,
        StatusCode::UNAUTHORIZED => ProblemCode::LoginRequired,
        StatusCode::FORBIDDEN => ProblemCode::Forbidden,
        StatusCode::TOO_MANY_REQUESTS => ProblemCode::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE => ProblemCode::Unavailable,
        status if status.is_server_error() => ProblemCode::Internal,
        _ => ProblemCode::BadRequest,
    }
}

fn title_of(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::NotWasm => "Not a WebAssembly module",
        ProblemCode::TruncatedModule => "The module is cut off",
        ProblemCode::InvalidModule => "The module is not valid",
        ProblemCode::UnsupportedProposal => "The module uses an unsupported proposal",
        ProblemCode::UnknownImport => "The module imports what nothing offers",
        ProblemCode::TooLarge => "Too large",
        ProblemCode::InvalidKnownAnswers => "The known answers are not valid",
        ProblemCode::InvalidApplication => "The application file is refused",
        ProblemCode::AsksForMore => "The application asks for more",
        ProblemCode::BadRequest => "The request is not valid",
        ProblemCode::NotFound => "Not found",
        ProblemCode::MethodNotAllowed => "Not possible with this method",
        ProblemCode::Conflict => "The request contradicts the present state",
        ProblemCode::PreconditionFailed => "It was changed meanwhile",
        ProblemCode::KeyReused => "The idempotency key was used for another request",
        ProblemCode::LoginRequired => "Login required",
        ProblemCode::Forbidden => "Not allowed",
        ProblemCode::ClaimRefused => "The claim token is refused",
        ProblemCode::SignatureRefused => "The module's signature does not count here",
        ProblemCode::NotTrusted => "The signature is not accepted",
        ProblemCode::RateLimited => "Too many requests",
        ProblemCode::Internal => "The gateway has a fault",
        ProblemCode::Unavailable => "Not ready",
        ProblemCode::StorageFull => "The disk is full",
        ProblemCode::QueueFull => "Too many compile jobs wait",
        ProblemCode::Other => "Refused",
    }
}

/// As the code stands in JSON.
fn code_text(code: ProblemCode) -> String {
    let json = serde_json::to_value(code).unwrap_or_default();
    json.as_str().unwrap_or("other").to_owned()
}
