//! Lists as pages, whole items or some of their fields.

use super::extract::Json;
use super::problem::ApiError;
use crate::app::PageRequest;
use axum::response::{IntoResponse, Response};
use gateway_api::{Page, ProblemCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const FIELDS_MAX: usize = 32;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    /// Names of the items' fields, with commas between them.
    fields: Option<String>,
}

impl PageQuery {
    pub fn request(&self) -> PageRequest {
        request_of(self.limit, &self.cursor)
    }

    pub fn answer<T: Serialize>(&self, page: Page<T>) -> Result<Response, ApiError> {
        answer(page, self.fields.as_deref())
    }
}

/// An empty cursor is how a form says that there is none.
pub fn request_of(limit: Option<usize>, cursor: &Option<String>) -> PageRequest {
    PageRequest { limit, cursor: cursor.clone().filter(|cursor| !cursor.is_empty()) }
}

/// With `fields`, of each item only these. Which ones an item has the document of the API
/// says; one that an item leaves out because it is empty is not there either way, so a
/// name that no item has is no error.
pub fn answer<T: Serialize>(page: Page<T>, fields: Option<&str>) -> Result<Response, ApiError> {
    let Some(fields) = fields.filter(|fields| !fields.is_empty()) else {
        return Ok(Json(page).into_response());
    };
    let names: Vec<&str> = fields.split(',').collect();
    let is_name = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
    };
    if names.len() > FIELDS_MAX || !names.iter().all(is_name) {
        let what = format!(
            "fields should be at most {FIELDS_MAX} names with commas between them, as fields=id,name."
        );
        return Err(ApiError::new(ProblemCode::BadRequest, what));
    }
    let Page { items, next, total } = page;
    let mut cut = Vec::with_capacity(items.len());
    for item in items {
        let item = serde_json::to_value(item).map_err(|e| ApiError::internal(e.to_string()))?;
        cut.push(match item {
            Value::Object(mut object) => {
                object.retain(|name, _| names.contains(&name.as_str()));
                Value::Object(object)
            }
            other => other,
        });
    }
    Ok(Json(Page { items: cut, next, total }).into_response())
}
