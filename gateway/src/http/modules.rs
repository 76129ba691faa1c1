//! Modules: upload, list, known answers.

use super::HttpState;
use super::extract::{Json, Path, Query};
use super::paging::PageQuery;
use super::problem::ApiError;
use crate::app::{LinkInput, Upload, check_parts};
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::extract::rejection::StringRejection;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::StreamExt;
use gateway_api::{
    AskedOfDevices, CompileRecord, LinkedUpload, List, Module, ModuleEligibility, Placement,
    ProblemCode,
};
use module_package::MODULE_STATEMENT_BYTES_MAX;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// Longest silence of someone who uploads.
const CHUNK_MAX: Duration = Duration::from_secs(30);

/// What is read and dropped of a body that is too large, so that its sender gets
/// to read the answer instead of a broken connection.
const DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;
const DRAIN_MAX: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    name: String,
    /// A developer's sealed statement, in hexadecimal.
    signature: Option<String>,
}

pub async fn upload(
    State(state): State<HttpState>,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Module>), ApiError> {
    let permit = upload_permit(&state)?;
    // Before the body: who sends a wrong signature need not send the module.
    let statement = query.signature.as_deref().map(read_hex).transpose()?;
    let bytes_max = state.app.session().upload_bytes_max;
    let wasm = read_body(&state, &headers, body, bytes_max).await?;
    let upload = state
        .run(move |app| app.upload_signed_module(&query.name, &wasm, statement.as_deref()))
        .await;
    drop(permit);
    upload.map(answer)
}

/// Longest first line: seventeen names and signatures fit.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Modules that are linked into one here.
pub async fn upload_linked(
    State(state): State<HttpState>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Module>), ApiError> {
    let permit = upload_permit(&state)?;
    let bytes_max = state.app.session().upload_bytes_max;
    let body = read_body(&state, &headers, body, bytes_max + HEAD_BYTES_MAX as u64).await?;
    let (upload, inputs) = split_linked(&body, bytes_max)?;
    let statement = upload.signature.as_deref().map(read_hex).transpose()?;
    let uploaded = state
        .run(move |app| app.upload_linked_module(&upload.name, statement.as_deref(), &inputs))
        .await;
    drop(permit);
    uploaded.map(answer)
}

/// Held while a module is in memory.
fn upload_permit(state: &HttpState) -> Result<OwnedSemaphorePermit, ApiError> {
    state.uploads.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(ProblemCode::RateLimited, "Too many uploads at the same time; try again.")
    })
}

fn answer((upload, module): (Upload, Module)) -> (StatusCode, Json<Module>) {
    let status = match upload {
        Upload::Created => StatusCode::CREATED,
        Upload::Repeated => StatusCode::OK,
    };
    (status, Json(module))
}

fn split_linked(body: &[u8], bytes_max: u64) -> Result<(LinkedUpload, Vec<LinkInput>), ApiError> {
    let bad = |what: String| ApiError::new(ProblemCode::BadRequest, what);
    let end =
        body.iter().take(HEAD_BYTES_MAX).position(|byte| *byte == b'\n').ok_or_else(|| {
            bad("The body begins with no line of JSON that says which modules follow.".to_owned())
        })?;
    let upload: LinkedUpload = serde_json::from_slice(&body[..end])
        .map_err(|error| bad(format!("The first line is not what is to be linked: {error}.")))?;
    check_parts(&upload, bytes_max)?;
    let mut rest = &body[end + 1..];
    let all: u64 = upload.inputs.iter().map(|input| input.bytes).sum();
    if all != rest.len() as u64 {
        return Err(bad(format!(
            "The first line tells of {all} bytes, and {} follow.",
            rest.len()
        )));
    }
    let mut inputs = Vec::new();
    for input in &upload.inputs {
        // Fits: all of them together are as long as the rest.
        let (wasm, behind) = rest.split_at(input.bytes as usize);
        rest = behind;
        inputs.push(LinkInput {
            name: input.name.clone(),
            wasm: wasm.to_vec(),
            statement: input.signature.as_deref().map(read_hex).transpose()?,
        });
    }
    Ok((upload, inputs))
}

fn read_hex(text: &str) -> Result<Vec<u8>, ApiError> {
    let is_short = text.len() <= 2 * MODULE_STATEMENT_BYTES_MAX;
    is_short.then(|| hex::decode(text).ok()).flatten().ok_or_else(|| {
        ApiError::new(
            ProblemCode::BadRequest,
            format!("signature is not hexadecimal of at most {MODULE_STATEMENT_BYTES_MAX} bytes."),
        )
    })
}

/// The body, never more of it in memory than it may have.
async fn read_body(
    state: &HttpState,
    headers: &HeaderMap,
    body: Body,
    bytes_max: u64,
) -> Result<Vec<u8>, ApiError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let mut stream = body.into_data_stream();
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        // Who asks first (`Expect: 100-continue`) has not sent anything yet.
        if !headers.contains_key(EXPECT) {
            drain(&mut stream).await;
        }
        return Err(state.app.too_large().into());
    }
    let mut wasm = Vec::new();
    while let Some(chunk) = next_chunk(&mut stream).await? {
        if wasm.len() as u64 + chunk.len() as u64 > bytes_max {
            drop(wasm);
            drain(&mut stream).await;
            return Err(state.app.too_large().into());
        }
        wasm.extend_from_slice(&chunk);
    }
    Ok(wasm)
}

async fn next_chunk(stream: &mut BodyDataStream) -> Result<Option<axum::body::Bytes>, ApiError> {
    match timeout(CHUNK_MAX, stream.next()).await {
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(None) => Ok(None),
        Ok(Some(Err(error))) => Err(ApiError::new(
            ProblemCode::BadRequest,
            format!("The upload broke off: {error}. Send it again."),
        )),
        Err(_) => Err(ApiError::with_status(
            StatusCode::REQUEST_TIMEOUT,
            format!("The upload stood still for {} s. Send it again.", CHUNK_MAX.as_secs()),
        )),
    }
}

async fn drain(stream: &mut BodyDataStream) {
    let mut left = DRAIN_BYTES_MAX;
    let reading = async {
        while let Some(Ok(chunk)) = stream.next().await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                return;
            }
        }
    };
    // Whether it ended or not, the answer follows.
    let _ = timeout(DRAIN_MAX, reading).await;
}

pub async fn list(
    State(state): State<HttpState>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let request = query.request();
    let page = state.run(move |app| app.modules_page(&request)).await?;
    query.answer(page)
}

pub async fn show(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
) -> Result<Json<Module>, ApiError> {
    state.run(move |app| app.module(&reference)).await.map(Json)
}

pub async fn compiles(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
) -> Result<Json<List<CompileRecord>>, ApiError> {
    let items = state.run(move |app| app.compiles(&reference)).await?;
    Ok(Json(List { items }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EligibilityQuery {
    memory_bytes_max: Option<u64>,
    /// Lists with commas: names cannot have any.
    #[serde(default)]
    sensors: String,
    #[serde(default)]
    actuators: String,
    #[serde(default)]
    accelerators: String,
    /// As `room=hall,floor=2`.
    #[serde(default)]
    labels: String,
}

impl EligibilityQuery {
    fn to_asked(&self) -> Result<AskedOfDevices, ApiError> {
        let list = |text: &str| -> Vec<String> {
            text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let mut labels = BTreeMap::new();
        for label in list(&self.labels) {
            let (key, value) = label.split_once('=').ok_or_else(|| {
                let what = format!("{label:?} of labels is not KEY=VALUE.");
                ApiError::new(ProblemCode::BadRequest, what)
            })?;
            labels.insert(key.to_owned(), value.to_owned());
        }
        let (sensors, actuators) = (list(&self.sensors), list(&self.actuators));
        let placement = Placement { labels, accelerators: list(&self.accelerators) };
        Ok(AskedOfDevices { sensors, actuators, placement })
    }
}

pub async fn eligibility(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
    Query(query): Query<EligibilityQuery>,
) -> Result<Json<ModuleEligibility>, ApiError> {
    let asked = query.to_asked()?;
    let memory_bytes_max = query.memory_bytes_max;
    state.run(move |app| app.eligibility(&reference, memory_bytes_max, &asked)).await.map(Json)
}

pub async fn put_known_answers(
    State(state): State<HttpState>,
    Path(reference): Path<String>,
    text: Result<String, StringRejection>,
) -> Result<Json<Module>, ApiError> {
    let text = text?;
    state.run(move |app| app.put_known_answers(&reference, &text)).await.map(Json)
}
