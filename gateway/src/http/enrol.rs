//! How devices come in: claim tokens, enrolment, acceptance by fingerprint, renewal.

use super::HttpState;
use super::extract::{Json, Path};
use super::problem::ApiError;
use crate::app::Enrolled;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use device_protocol::{EnrolRequest, RenewRequest, RenewResponse};
use gateway_api::{AcceptedEnrolment, ClaimToken, NewClaimToken, PendingEnrolments};

pub async fn new_claim_token(
    State(state): State<HttpState>,
    Json(new): Json<NewClaimToken>,
) -> Result<(StatusCode, Json<ClaimToken>), ApiError> {
    let token = state.run(move |app| app.new_claim_token(&new)).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

/// Without a login, like the next: the claim token is the right to it, or an
/// operator's acceptance.
pub async fn enrol(
    State(state): State<HttpState>,
    Json(request): Json<EnrolRequest>,
) -> Result<Response, ApiError> {
    let enrolled = state
        .run(move |app| match request.claim_token {
            Some(_) => app.enrol(&request).map(Enrolled::Done),
            None => app.ask_to_enrol(&request),
        })
        .await?;
    Ok(match enrolled {
        Enrolled::Done(response) => Json(response).into_response(),
        Enrolled::Waits(pending) => (StatusCode::ACCEPTED, Json(pending)).into_response(),
    })
}

/// The device's signature is the right to it.
pub async fn renew(
    State(state): State<HttpState>,
    Json(request): Json<RenewRequest>,
) -> Result<Json<RenewResponse>, ApiError> {
    state.run(move |app| app.renew_membership(&request)).await.map(Json)
}

pub async fn pending(State(state): State<HttpState>) -> Result<Json<PendingEnrolments>, ApiError> {
    state.run(|app| Ok(app.pending_enrolments())).await.map(Json)
}

pub async fn accept(
    State(state): State<HttpState>,
    Path(fingerprint): Path<String>,
) -> Result<Json<AcceptedEnrolment>, ApiError> {
    state.run(move |app| app.accept_enrolment(&fingerprint)).await.map(Json)
}

pub async fn reject(
    State(state): State<HttpState>,
    Path(fingerprint): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.run(move |app| app.reject_enrolment(&fingerprint)).await?;
    Ok(StatusCode::NO_CONTENT)
}
