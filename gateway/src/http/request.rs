//! What every request has: an id, a line in the log, and, if it is refused, a
//! problem document with that id.

use super::problem::{ApiError, InternalCause};
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::traces;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gateway_api::{PROBLEM_CONTENT_TYPE, Problem};
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Tells requests of different starts apart in one log.
static START: LazyLock<u32> = LazyLock::new(|| getrandom::u32().unwrap_or_default());
static COUNT: AtomicU64 = AtomicU64::new(0);

/// What no template matches: the dashboard's files and pages.
const UI_ROUTE: &str = "ui";

tokio::task_local! {
    /// For what a rule leads to later.
    pub static REQUEST_ORIGIN: Origin;
}

/// The outermost layer. What is logged within has the ids of request and trace by the
/// span. The query is never logged: a login token stands in it.
pub async fn finish(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:08x}-{count}", *START);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    // Of the highest level, so that no filter takes the ids from a line that it lets pass.
    let span = tracing::error_span!("request", request.id = id, trace.id = Empty);
    let template = route.as_ref().map_or(UI_ROUTE, MatchedPath::as_str);
    let trace_id = traces::begin(&span, request.headers(), method.as_str(), template);
    span.record("trace.id", &trace_id);
    let origin = Origin { request_id: id.clone(), trace_id };
    let answered = REQUEST_ORIGIN.scope(origin, next.run(request)).instrument(span.clone()).await;
    traces::end(&span, answered.status().as_u16());
    let _entered = span.entered();
    let mut response = write_problem(answered, &id);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    metrics.note_request(method.as_str(), template, status, elapsed.as_secs_f64());
    let elapsed_ms = elapsed.as_millis() as u64;
    match response.extensions().get::<InternalCause>() {
        Some(InternalCause(cause)) => {
            tracing::error!(%method, path, status, elapsed_ms, cause, "request failed");
        }
        None if status >= 400 => {
            tracing::info!(%method, path, status, elapsed_ms, "request refused");
        }
        None => tracing::debug!(%method, path, status, elapsed_ms, "request"),
    }
    response
}

fn write_problem(mut response: Response, id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| {
        // The framework's own refusals, such as 405, come without a document.
        let detail = status.canonical_reason().unwrap_or("The request was refused.");
        let mut refusal = ApiError::with_status(status, detail).into_response();
        refusal.extensions_mut().remove::<Problem>()
    });
    let Some(mut problem) = problem else { return response };
    problem.request_id = Some(id.to_owned());
    let json = serde_json::to_vec(&problem).unwrap_or_default();
    response.headers_mut().remove(CONTENT_LENGTH);
    let content_type = HeaderValue::from_static(PROBLEM_CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    *response.body_mut() = Body::from(json);
    response
}
