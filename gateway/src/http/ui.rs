//! The dashboard's files, as `cargo xtask web` has built them.
//!
//! A debug build reads them from disk, a release build carries them. Each may
//! have `.br` and `.gz` siblings. Files below `assets/` have their hash in the
//! name, so they never change; a path that is no file is a page of the dashboard,
//! which finds its own way from `index.html`.

use super::problem::ApiError;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use gateway_api::ProblemCode;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../target/web-dist"]
#[allow_missing = true]
struct Files;

const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<title>Farrier: dashboard not built</title>\
<h1>The dashboard is not built</h1>\
<p>The gateway runs; its API is at <code>/api/v1</code>. \
Build the pages with <code>cargo xtask web</code> and load this page again \
(a release build of the gateway has to be built again after it).</p></html>";

/// Encodings in the order of preference, with the suffix of their files.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

pub async fn serve(request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let what = "Only the API changes things.";
        return ApiError::new(ProblemCode::MethodNotAllowed, what).into_response();
    }
    let path = request.uri().path().trim_start_matches('/');
    let is_asset = path.starts_with("assets/");
    let path = if is_file(path) { path } else { "index.html" };
    if is_asset && path == "index.html" {
        return ApiError::new(ProblemCode::NotFound, "There is no such file.").into_response();
    }
    if Files::get(path).is_none() {
        return (StatusCode::OK, Html(NOT_BUILT)).into_response();
    }
    send(path, request.headers())
}

/// The compressed siblings are not pages of their own.
fn is_file(path: &str) -> bool {
    let is_sibling = ENCODINGS.iter().any(|(_, suffix)| path.ends_with(suffix));
    !path.is_empty() && !is_sibling && Files::get(path).is_some()
}

fn send(path: &str, headers: &HeaderMap) -> Response {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let encoded = ENCODINGS
        .iter()
        .filter(|(name, _)| accepts(accepted, name))
        .find_map(|(name, suffix)| Some((Some(*name), Files::get(&format!("{path}{suffix}"))?)));
    let Some((encoding, file)) = encoded.or_else(|| Some((None, Files::get(path)?))) else {
        return ApiError::new(ProblemCode::NotFound, "There is no such file.").into_response();
    };
    let etag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let same = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let common = [
        (CACHE_CONTROL, cache.to_owned()),
        (VARY, "Accept-Encoding".to_owned()),
        (ETAG, etag.clone()),
    ];
    if same.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag)) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let EmbeddedFile { data, .. } = file;
    let mut response = (common, [(CONTENT_TYPE, content_type(path))], data).into_response();
    if let Some(encoding) = encoding {
        let value = axum::http::HeaderValue::from_static(encoding);
        response.headers_mut().insert(CONTENT_ENCODING, value);
    }
    response
}

/// Whether an `Accept-Encoding` takes this one; `q=0` means that it does not.
fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|part| {
        let mut fields = part.split(';').map(str::trim);
        let name = fields.next().unwrap_or_default();
        let refused = fields.any(|f| matches!(f.replace(' ', "").as_str(), "q=0" | "q=0.0"));
        name.eq_ignore_ascii_case(encoding) && !refused
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json" | "webmanifest") => "application/json",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_used_only_where_it_is_accepted() {
        assert!(accepts("gzip, br", "br"));
        assert!(accepts("br;q=0.5", "br"));
        assert!(!accepts("br;q=0, gzip", "br"));
        assert!(!accepts("", "gzip"));
        assert!(!accepts("brotli", "br"));
    }
}
