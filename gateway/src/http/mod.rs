//! The public API and the dashboard's files, over HTTP.
//!
//! One file a noun. A handler reads the request, calls one rule of `app` on a
//! blocking thread, and gives its answer; it decides nothing. From outside in, a
//! request passes: `request` (id, log line, problem documents), the catch for
//! panics, headers, `guard` (login, the role by the table in `rights`, and no cross-site
//! changes), `idempotency` (a POST that is sent twice) and `conditional` (ETag, If-Match).

mod applications;
mod audit;
mod conditional;
mod cookies;
mod deployments;
mod devices;
mod enrol;
mod events;
mod extract;
mod guard;
mod history;
mod idempotency;
mod messages;
mod modules;
mod operations;
mod paging;
mod problem;
mod request;
mod rights;
mod session;
mod telemetry;
#[cfg(test)]
mod tests;
mod trust;
mod ui;
mod users;

use crate::app::{App, AppError};
use crate::metrics::Metrics;
use crate::origin::for_request;
use crate::store::note::as_actor;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any, delete, get, post, put};
use gateway_api::ProblemCode;
use idempotency::Idempotency;
use module_package::BlobId;
use problem::ApiError;
use std::sync::Arc;
use tokio::sync::{RwLock, Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

/// Longest JSON or TOML body.
const TEXT_BODY_BYTES_MAX: usize = 256 * 1024;

/// Modules held in memory at the same time while they are uploaded and validated.
const UPLOADS_AT_ONCE: usize = 4;

/// Each takes some 19 MiB and a CPU.
const PASSWORDS_AT_ONCE: usize = 2;

/// The pages have no inline script and no inline style, and open nothing from elsewhere.
const CSP: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; object-src 'none'; \
                   base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(Clone)]
pub struct HttpState {
    app: Arc<App>,
    uploads: Arc<Semaphore>,
    passwords: Arc<Semaphore>,
    /// The hash of what opens `/metrics`.
    metrics_token: Option<BlobId>,
    idempotency: Arc<Idempotency>,
    /// Held by whoever changes what has an ETag; alone by who does so under a condition.
    changes: Arc<RwLock<()>>,
    /// Turns true when the gateway ends, so that streams end too.
    ending: watch::Receiver<bool>,
}

impl HttpState {
    pub fn new(app: Arc<App>, ending: watch::Receiver<bool>) -> Self {
        Self {
            app,
            uploads: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
            passwords: Arc::new(Semaphore::new(PASSWORDS_AT_ONCE)),
            metrics_token: None,
            idempotency: Arc::default(),
            changes: Arc::default(),
            ending,
        }
    }

    /// This secret opens `/metrics`, and nothing else.
    pub fn with_metrics_token(self, token: Option<&str>) -> Self {
        Self { metrics_token: token.map(|token| BlobId::of(token.as_bytes())), ..self }
    }

    /// Runs a rule where it may block.
    async fn run<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let app = self.app.clone();
        let actor = guard::ACTOR.try_with(Clone::clone).ok();
        let origin = request::REQUEST_ORIGIN.try_with(Clone::clone).ok();
        let span = tracing::Span::current();
        let rule = move || {
            let _entered = span.entered();
            for_request(origin, || match actor {
                Some(actor) => as_actor(actor, || rule(&app)),
                None => rule(&app),
            })
        };
        match tokio::task::spawn_blocking(rule).await {
            Ok(result) => Ok(result?),
            Err(error) => Err(ApiError::internal(format!("a rule panicked: {error}"))),
        }
    }

    /// The same for one that hashes passwords.
    async fn run_hashing<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
    ) -> Result<T, ApiError> {
        // It is never closed.
        let _turn = self.passwords.acquire().await;
        self.run(rule).await
    }
}

type Route = (&'static str, MethodRouter<HttpState>);

/// Tables and not calls, so that the contract test can hold them against the document.
fn routes_behind_login() -> Vec<Route> {
    vec![
        ("/session", get(session::show)),
        ("/login-links", post(session::new_link)),
        ("/logout", post(session::log_out)),
        ("/me", get(session::me)),
        ("/users", get(users::list).post(users::add)),
        ("/users/{name}", delete(users::remove)),
        ("/users/{name}/role", put(users::set_role)),
        ("/users/{name}/password", put(users::set_password)),
        ("/tokens", get(users::tokens).post(users::make_token)),
        ("/tokens/{id}", delete(users::revoke_token)),
        ("/sessions", get(users::sessions)),
        ("/sessions/{id}", delete(users::end_session)),
        ("/claim-tokens", post(enrol::new_claim_token)),
        ("/enrolments", get(enrol::pending)),
        ("/enrolments/{fingerprint}/accept", post(enrol::accept)),
        ("/enrolments/{fingerprint}/reject", post(enrol::reject)),
        ("/overview", get(telemetry::overview)),
        ("/audit", get(audit::page)),
        ("/trust", get(trust::show)),
        ("/trust/keys", post(trust::new_key)),
        ("/roots", post(trust::publish_root)),
        ("/roots/{version}", get(trust::show_root)),
        ("/releases/waiting", get(trust::waiting_releases)),
        ("/releases", post(trust::submit_release)),
        ("/artifacts/{id}/provenance", get(trust::provenance)),
        ("/modules", get(modules::list).post(modules::upload)),
        ("/linked-modules", post(modules::upload_linked)),
        ("/modules/{reference}", get(modules::show)),
        ("/modules/{reference}/compiles", get(modules::compiles)),
        ("/modules/{reference}/eligibility", get(modules::eligibility)),
        ("/modules/{reference}/known-answers", put(modules::put_known_answers)),
        ("/deployments", get(deployments::list).post(deployments::create)),
        ("/deployments/{id}", get(deployments::show).delete(deployments::remove)),
        ("/deployments/{id}/repeat", post(deployments::repeat)),
        ("/deployment-plans", post(deployments::plan)),
        ("/application-plans", post(applications::plan)),
        ("/applications", get(applications::list).post(applications::apply)),
        ("/applications/{name}", get(applications::show).delete(applications::remove)),
        ("/devices", get(devices::list)),
        ("/devices/{reference}", get(devices::show).delete(devices::remove)),
        ("/devices/{reference}/revoke", post(devices::revoke)),
        ("/devices/{reference}/messages", post(messages::send)),
        ("/devices/{reference}/history", get(history::device)),
        ("/fleet/history", get(history::fleet)),
        ("/ps", get(telemetry::ps)),
        ("/logs", get(telemetry::logs)),
        ("/published", get(telemetry::published)),
        ("/events", get(events::stream)),
    ]
}

/// Below `/api/v1` and without a login: the right to them is in the request itself.
fn open_routes() -> Vec<Route> {
    vec![
        ("/login", post(session::log_in)),
        ("/enroll", post(enrol::enrol)),
        ("/renew", post(enrol::renew)),
        ("/openapi.json", get(openapi)),
    ]
}

/// Beside the API.
fn root_routes() -> Vec<Route> {
    vec![
        ("/healthz", get(operations::healthz)),
        ("/readyz", get(operations::readyz)),
        ("/version", get(operations::version)),
        ("/metrics", get(operations::read_metrics)),
        ("/login", get(session::open_link)),
    ]
}

/// The document of the API, as docs/openapi.json; the contract test makes it.
async fn openapi() -> impl IntoResponse {
    const DOCUMENT: &str = include_str!("../../../docs/openapi.json");
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// Everything that the gateway answers. Needs no port, so tests call it directly.
pub fn router(state: HttpState) -> Router {
    let metrics = state.app.metrics().clone();
    let behind_login = routes_behind_login()
        .into_iter()
        .fold(Router::new(), |router, (path, handlers)| router.route(path, handlers))
        .route("/{*rest}", any(unknown_path))
        .layer(from_fn_with_state(state.clone(), conditional::tag_and_compare))
        .layer(from_fn_with_state(state.clone(), idempotency::once))
        .layer(from_fn_with_state(state.clone(), guard::require_login));
    let open = open_routes().into_iter();
    let api = open
        .fold(Router::new(), |router, (path, handlers)| router.route(path, handlers))
        .merge(behind_login);
    let all = root_routes()
        .into_iter()
        .fold(Router::new(), |router, (path, handlers)| router.route(path, handlers))
        .nest("/api/v1", api)
        .route("/api", any(unknown_path))
        .route("/api/", any(unknown_path))
        .route("/api/{*rest}", any(unknown_path))
        .fallback(ui::serve)
        .layer(DefaultBodyLimit::max(TEXT_BODY_BYTES_MAX))
        .layer(set_header(CONTENT_SECURITY_POLICY, CSP))
        .layer(set_header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set_header(X_FRAME_OPTIONS, "DENY"))
        .with_state(state);
    in_outer_layers(all, metrics)
}

/// What turns any end of a request into an answer.
fn in_outer_layers(router: Router, metrics: Arc<Metrics>) -> Router {
    router
        .layer(CatchPanicLayer::custom(problem::of_panic))
        .layer(from_fn_with_state(metrics, request::finish))
}

fn set_header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

async fn unknown_path() -> ApiError {
    ApiError::new(
        ProblemCode::NotFound,
        "There is nothing at this path. The API is described by /api/v1/openapi.json and docs/http-api.md.",
    )
}
