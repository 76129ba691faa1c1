//! The framework's extractors, with our refusals.

use super::problem::ApiError;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{
    BytesRejection, JsonRejection, PathRejection, QueryRejection, StringRejection,
};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::IntoResponse;
use gateway_api::ProblemCode;
use serde::de::DeserializeOwned;

/// A JSON object. The framework's own would take an array for any of our types, its items
/// for the fields in their order, and so an empty one where all fields may be absent.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(whole, state).await?;
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            let what = "The body should be a JSON object, as {\"name\": \"value\"}.";
            return Err(ApiError::new(ProblemCode::BadRequest, what));
        }
        let read = Request::from_parts(parts, Body::from(bytes));
        let axum::Json(value) = axum::Json::from_request(read, state).await?;
        Ok(Self(value))
    }
}

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub struct Query<T>(pub T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub struct Path<T>(pub T);

macro_rules! from_rejections {
    ($($rejection:ident)*) => {$(
        impl From<$rejection> for ApiError {
            fn from(rejection: $rejection) -> Self {
                Self::with_status(rejection.status(), rejection.body_text())
            }
        }
    )*};
}

from_rejections! { BytesRejection JsonRejection PathRejection QueryRejection StringRejection }
