//! Claim tokens, and the enrolment that uses them up.

use super::HttpState;
use super::extract::Json;
use super::problem::ApiError;
use axum::extract::State;
use axum::http::StatusCode;
use device_protocol::{EnrolRequest, EnrolResponse};
use gateway_api::{ClaimToken, NewClaimToken};

pub async fn new_claim_token(
    State(state): State<HttpState>,
    Json(new): Json<NewClaimToken>,
) -> Result<(StatusCode, Json<ClaimToken>), ApiError> {
    let token = state.run(move |app| app.new_claim_token(&new)).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

/// The only change without a login: the claim token is the right to it.
pub async fn enrol(
    State(state): State<HttpState>,
    Json(request): Json<EnrolRequest>,
) -> Result<Json<EnrolResponse>, ApiError> {
    state.run(move |app| app.enrol(&request)).await.map(Json)
}
