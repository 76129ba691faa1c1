//! The types of the gateway's public HTTP API, `/api/v1`.
//!
//! Browser, command line and tests read and write these; the gateway converts
//! them by hand from its own. Everything is JSON unless a line says otherwise.
//! Times are milliseconds since 1970 in UTC, quantities carry their unit in the
//! name, ids and hashes are lower-case hexadecimal text. Fields are only added.
//!
//! | request | answer |
//! |---|---|
//! | `GET /healthz` (no login) | 200 while the process serves |
//! | `GET /readyz` (no login) | 200 if it can do all of its work, else 503 with `reasons` |
//! | `GET /version` (no login) | name and version of the gateway, versions of the API |
//! | `GET /metrics` | OpenMetrics text, `docs/metrics.md` |
//! | `GET /api/v1/session` | [`Session`] |
//! | `POST /api/v1/login-links` | [`LoginLink`], good once and for ten minutes |
//! | `GET /login?token=…` (no login) | sets the session cookie, redirects to `/` |
//! | `POST /api/v1/login` with [`NewLogin`] (no login) | [`Login`], and the session cookie unless it asked for a token |
//! | `POST /api/v1/logout` | 204 |
//! | `GET /api/v1/me` | [`Me`] |
//! | `GET /api/v1/users`, `POST /api/v1/users` with [`NewUser`] | [`List`] of [`User`], 201 [`User`] |
//! | `DELETE /api/v1/users/{name}` | 204; tokens and sessions end with it |
//! | `PUT /api/v1/users/{name}/role` with [`NewRole`] | [`User`] |
//! | `PUT /api/v1/users/{name}/password` with [`NewPassword`] | 204; the user's other sessions end |
//! | `GET /api/v1/tokens`, `POST /api/v1/tokens` with [`NewToken`] | [`List`] of [`Token`], 201 [`IssuedToken`] |
//! | `DELETE /api/v1/tokens/{id}` | 204 |
//! | `GET /api/v1/sessions`, `DELETE /api/v1/sessions/{id}` | [`List`] of [`LoginSession`], 204 |
//! | `POST /api/v1/claim-tokens` with [`NewClaimToken`] | 201 [`ClaimToken`] |
//! | `POST /api/v1/enroll` (no login) | see `device-protocol` |
//! | `POST /api/v1/renew` (no login) | see `device-protocol` |
//! | `GET /api/v1/enrolments` | [`PendingEnrolments`] |
//! | `POST /api/v1/enrolments/{fingerprint}/accept` | [`AcceptedEnrolment`] |
//! | `POST /api/v1/enrolments/{fingerprint}/reject` | 204; it is sent away for an hour |
//! | `POST /api/v1/devices/{ref}/revoke` | [`Device`]; its session ends, and it gets nothing any more |
//! | `DELETE /api/v1/devices/{ref}` | 204; it is a stranger then |
//! | `GET /api/v1/overview` | [`Overview`] |
//! | `GET /api/v1/audit?after=&limit=` | [`AuditPage`] |
//! | `GET /api/v1/trust` | [`Trust`] |
//! | `POST /api/v1/trust/keys` with [`NewGatewayKey`] | 201 [`TrustKey`]: one more, for the next root document |
//! | `POST /api/v1/roots`, the body is a signed root document | 201, or 200 if it is the newest already, [`Trust`] |
//! | `GET /api/v1/roots/{version}` | the signed root document |
//! | `GET /api/v1/releases/waiting` | [`List`] of [`WaitingRelease`]: they wait for their signature |
//! | `POST /api/v1/releases`, the body is a sealed release | 201 [`AcceptedRelease`] |
//! | `GET /api/v1/artifacts/{id}/provenance` | a DSSE envelope with an in-toto statement, `docs/provenance.md` |
//! | `POST /api/v1/modules?name=…&signature=…`, the body is the Wasm file; the signature is a developer's, in hexadecimal, and may be absent | 201, or 200 if the same bytes are there, [`Module`] |
//! | `POST /api/v1/linked-modules`, the body is a [`LinkedUpload`] as one line of JSON and the Wasm files that it names | 201, or 200 if the linked bytes are there, [`Module`] |
//! | `GET /api/v1/modules` | [`Page`] of [`Module`] |
//! | `GET /api/v1/modules/{ref}` | [`Module`]; a ref is an id, `name@version` or `name` for its newest |
//! | `PUT /api/v1/modules/{ref}/known-answers`, the body is their TOML | [`Module`] |
//! | `GET /api/v1/modules/{ref}/compiles` | [`List`] of [`CompileRecord`], newest first |
//! | `GET /api/v1/modules/{ref}/eligibility?memory_bytes_max=&sensors=&actuators=&accelerators=&labels=` | [`ModuleEligibility`]: what it needs, and which devices can run it |
//! | `POST /api/v1/deployments` with [`NewDeployment`] | 201 [`Deployment`] |
//! | `POST /api/v1/deployment-plans` with [`NewDeployment`] | [`DeploymentPlan`]; nothing is changed |
//! | `GET /api/v1/deployments`, `GET /api/v1/deployments/{id}` | [`Page`] of [`Deployment`], [`Deployment`] |
//! | `POST /api/v1/deployments/{id}/repeat` | 201 [`Deployment`]: the same again, to go back to it |
//! | `DELETE /api/v1/deployments/{id}` | 204; its application leaves the devices |
//! | `POST /api/v1/application-plans` with [`NewApplication`] | [`ApplicationPlan`]; nothing is changed |
//! | `POST /api/v1/applications` with [`NewApplication`] | 201, or 200 if nothing had to be changed, [`AppliedApplication`]; 409 with the plan if it asks for more and `accept_more` is not set |
//! | `GET /api/v1/applications`, `GET /api/v1/applications/{name}` | [`Page`] of [`Application`], [`Application`] |
//! | `DELETE /api/v1/applications/{name}` | 204; its modules leave the devices |
//! | `GET /api/v1/devices?q=&sort=`, `GET /api/v1/devices/{ref}` | [`Page`] of [`Device`], [`Device`]; a ref is an id or a name |
//! | `GET /api/v1/devices/{ref}/history` | [`History`]; with any of `series`, `app`, `from`, `to`, `points` a [`HistoryRange`] |
//! | `GET /api/v1/fleet/history?series=&app=&from=&to=&points=` | [`HistoryRange`] |
//! | `POST /api/v1/devices/{ref}/messages` with [`NewMessage`] | 202 [`SentMessage`]; to a module that subscribes to the channel |
//! | `GET /api/v1/ps` | [`Page`] of [`AppStatus`] |
//! | `GET /api/v1/logs?device=&app=&since_ms=&last_s=&limit=&cursor=` | [`Page`] of [`LogLine`], the newest ones, oldest first; `next` is of those before |
//! | `GET /api/v1/published?device=&app=&channel=&limit=&cursor=` | [`Page`] of [`Published`], likewise |
//! | `GET /api/v1/events?devices=` | server-sent events, each an [`Event`]; with `devices` those of single devices only for these ids |
//!
//! All of it is also in the OpenAPI document `docs/openapi.json`, served as
//! `/api/v1/openapi.json`.
//!
//! Lists of modules, deployments, applications, devices and of what runs come as a
//! [`Page`]: `?limit=` (1 to 1,000) makes it one of several, `next` of its answer is the
//! `cursor` of the following one, and `fields=id,name` leaves all other fields of the
//! items out. Without `limit` and `cursor` the whole list comes. Devices are chosen by
//! `q`, as `q=status:offline arch:riscv64 module:filter@2 kitchen`, and ordered by `sort`:
//! `docs/http-api.md`.
//!
//! A refusal is a [`Problem`] with content type `application/problem+json`.
//! Login is a bearer token in `Authorization`, or the session cookie.

mod access;
mod application;
mod audit;
mod deployment;
mod deployment_plan;
mod device;
mod eligibility;
mod event;
mod history;
mod message;
mod module;
mod placement;
mod problem;
mod provisions;
mod session;
mod trace;
mod trust;

pub use access::{
    IssuedToken, Login, LoginSession, Me, NewLogin, NewPassword, NewRole, NewToken, NewUser, Role,
    Secret, Token, User,
};
pub use application::{
    Application, ApplicationModule, ApplicationPlan, AppliedApplication, FileProblem, ModulePlan,
    NewApplication, PlanAction, PlanBuild, PlanDifference,
};
pub use audit::{AuditAction, AuditPage, AuditRecord, AuditSignature};
pub use deployment::{
    Deployment, DeploymentState, DeviceProgress, DeviceSelector, ModuleLimits, NewDeployment,
    ProgressState, earlier_deployment,
};
pub use deployment_plan::{DeploymentPlan, DevicePlan, DevicePlanAction, ReplacedDeployment};
pub use device::{
    AcceptedEnrolment, Alarm, AppSample, AppStatus, BuildStatus, Company, Connection, Device,
    DeviceCapabilities, DeviceSample, History, HostCallStatus, InboxStatus, LimitHit, LimitLast,
    LogLine, MetricStatus, OutletStatus, PendingEnrolment, PendingEnrolments, ProgramStatus,
    Published, Refusal, StorageStatus, SystemStatus,
};
pub use device::{TrapPlaceStatus, TrapStatus};
pub use eligibility::{
    DeviceEligibility, ModuleEligibility, ModuleNeeds, NOT_PLACED, Obstacle, TableNeeds,
};
pub use event::Event;
pub use history::{
    DeviceHistory, HISTORY_POINTS_MAX, HistoryMetric, HistoryQuery, HistoryRange, HistorySeries,
};
pub use message::{NewMessage, SentMessage};
pub use module::{
    Artifact, ArtifactState, CompileRecord, LinkPart, LinkedInput, LinkedUpload, Module,
    ModuleExtern, ModuleMemory,
};
pub use module_limits::{Limit, LimitAction, LimitActions, LimitError};
pub use module_traps::{TrapCount, TrapKind};
pub use placement::{AskedOfDevices, Placement};
pub use problem::{PROBLEM_CONTENT_TYPE, Problem, ProblemCode};
pub use provisions::{Provisions, Wasi, WasiDirectory, WasiRestart, WasiStdout};
pub use scheduling::{
    Allowance, InForce, Policy, RealTime, Scheduling, Spread, TickReport, TickWindow,
};
pub use session::{ClaimToken, Delivery, LoginLink, NewClaimToken, Overview, Session};
pub use trace::{NoTraceContext, TRACEPARENT_HEADER, TraceContext};
pub use trust::{
    AcceptedRelease, GatewayKeyRole, NewGatewayKey, ReleaseKeyPlace, SignerStatus, Trust,
    TrustDeveloper, TrustFloor, TrustKey, TrustSummary, WaitingRelease,
};

use serde::{Deserialize, Serialize};

/// Every list is an object, so that paging can be added to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct List<T> {
    pub items: Vec<T>,
}

/// A piece of a list; who reads only `items` can read it as a [`List`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The `cursor` of the next one, if there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// On all pages together.
    #[serde(default)]
    pub total: u64,
}
