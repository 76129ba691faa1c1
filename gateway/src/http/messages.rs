//! Messages to modules on devices.

use super::HttpState;
use super::extract::{Json, Path};
use super::problem::ApiError;
use axum::extract::State;
use axum::http::StatusCode;
use gateway_api::{NewMessage, SentMessage};

pub async fn send(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
    Json(new): Json<NewMessage>,
) -> Result<(StatusCode, Json<SentMessage>), ApiError> {
    let sent = state.run(move |app| app.send_message(&reference, &new)).await?;
    Ok((StatusCode::ACCEPTED, Json(sent)))
}
