//! The gateway's HTTP API as functions; the only code here that sends requests.
//!
//! The browser adds the session cookie by itself. Nothing is retried: what a
//! person asked for, a person repeats, and `live` reads again after a break.

use crate::json::{self, FromJson};
use crate::model::{
    AppStatus, AuditPage, Deployment, Device, DeviceName, DeviceSensors, History, HistoryRange,
    LogLine, Module, NewDeployment, Overview, Page, Problem, Session,
};
use js_sys::{JsString, encode_uri_component};
use std::pin::Pin;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request, RequestInit, Response};

#[derive(Debug, Clone, PartialEq)]
pub enum ApiError {
    /// Nobody is logged in, or no longer.
    LoginRequired,
    /// The gateway refused, and says why.
    Problem(Box<Problem>),
    /// No answer.
    Unreachable(String),
    /// An answer that is not of this API.
    Unreadable(String),
}

impl ApiError {
    pub fn title(&self) -> String {
        match self {
            Self::LoginRequired => "Log in first".to_owned(),
            Self::Problem(problem) => problem.title.clone(),
            Self::Unreachable(_) => "The gateway does not answer".to_owned(),
            Self::Unreadable(_) => "The gateway's answer cannot be read".to_owned(),
        }
    }

    pub fn detail(&self) -> String {
        match self {
            Self::LoginRequired => "Reload the page, and log in again.".to_owned(),
            Self::Problem(problem) => problem.detail.clone(),
            Self::Unreachable(reason) => {
                format!("Is it running, and is this machine on its network? ({reason})")
            }
            Self::Unreadable(reason) => {
                format!("Perhaps it was upgraded; reload the page. ({reason})")
            }
        }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.code == "not-found")
    }

    pub fn request_id(&self) -> Option<String> {
        match self {
            Self::Problem(problem) => problem.request_id.clone(),
            _ => None,
        }
    }
}

pub type Answer<T> = Result<T, ApiError>;

pub async fn session() -> Answer<Session> {
    get("/api/v1/session").await
}

/// The cookie comes with the answer. Here a 401 is a refusal as any other.
pub async fn log_in(login: &str) -> Answer<()> {
    let value = JsValue::from_str(login);
    let body = Body { content_type: "application/json", value };
    let response = fetch("POST", "/api/v1/login", Some(body)).await.map_err(unreachable)?;
    if response.ok() {
        return Ok(());
    }
    Err(problem(response.status(), &text_of(&response).await.unwrap_or_default()))
}

pub async fn log_out() -> Answer<()> {
    send("POST", "/api/v1/logout", None).await.map(|_| ())
}

pub async fn overview() -> Answer<Overview> {
    get("/api/v1/overview").await
}

/// One page of the devices that `q` finds; an empty `cursor` is the first one's.
pub async fn devices(q: &str, sort: &str, cursor: &str, limit: usize) -> Answer<Page<Device>> {
    let (q, sort, cursor) = (escape(q), escape(sort), escape(cursor));
    get(&format!("/api/v1/devices?q={q}&sort={sort}&cursor={cursor}&limit={limit}")).await
}

/// All that `q` finds, as ids and names.
pub async fn device_names(q: &str, cursor: &str) -> Answer<Page<DeviceName>> {
    let (q, cursor) = (escape(q), escape(cursor));
    get(&format!("/api/v1/devices?q={q}&cursor={cursor}&limit=1000&fields=id,name")).await
}

/// The sensors of the first thousand devices, each once.
pub async fn device_sensors() -> Answer<Vec<String>> {
    let page: Page<DeviceSensors> = get("/api/v1/devices?limit=1000&fields=sensors").await?;
    let mut all: Vec<String> = Vec::new();
    for sensor in page.items.into_iter().flat_map(|device| device.sensors) {
        // A fleet has few kinds of sensors.
        if !all.contains(&sensor) {
            all.push(sensor);
        }
    }
    Ok(all)
}

/// By its id, or by its name.
pub async fn device(reference: &str) -> Answer<Device> {
    get(&format!("/api/v1/devices/{}", escape(reference))).await
}

pub async fn remove_device(id: &str) -> Answer<()> {
    send("DELETE", &format!("/api/v1/devices/{}", escape(id)), None).await.map(|_| ())
}

/// What runs, from the whole fleet.
pub async fn running(limit: usize) -> Answer<Page<AppStatus>> {
    get(&format!("/api/v1/ps?limit={limit}")).await
}

/// The newest records of the audit log, oldest first.
pub async fn audit(count: u64) -> Answer<AuditPage> {
    // The log is read from a number on, and says itself where it ends.
    let end = get::<AuditPage>("/api/v1/audit?limit=1").await?.end;
    let end: u64 = end.split(':').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    get(&format!("/api/v1/audit?after={}&limit={count}", end.saturating_sub(count))).await
}

pub async fn history(device: &str) -> Answer<History> {
    get(&format!("/api/v1/devices/{}/history", escape(device))).await
}

/// Of a device, or of the whole fleet; `series` with commas between them.
pub async fn history_range(
    device: Option<&str>,
    series: &str,
    from_ms: u64,
    to_ms: u64,
) -> Answer<HistoryRange> {
    let of = match device {
        Some(device) => format!("devices/{}", escape(device)),
        None => "fleet".to_owned(),
    };
    get(&format!("/api/v1/{of}/history?series={series}&from={from_ms}&to={to_ms}")).await
}

pub async fn log_lines(device: &str, limit: usize) -> Answer<Vec<LogLine>> {
    get_list(&format!("/api/v1/logs?device={}&limit={limit}", escape(device))).await
}

pub async fn modules() -> Answer<Vec<Module>> {
    get_list("/api/v1/modules").await
}

pub async fn upload_module(name: &str, file: &web_sys::File) -> Answer<Module> {
    let path = format!("/api/v1/modules?name={}", escape(name));
    let body = Body { content_type: "application/wasm", value: file.into() };
    read(&send("POST", &path, Some(body)).await?)
}

pub async fn set_known_answers(module: &str, file: &web_sys::File) -> Answer<Module> {
    let path = format!("/api/v1/modules/{}/known-answers", escape(module));
    let body = Body { content_type: "application/toml", value: file.into() };
    read(&send("PUT", &path, Some(body)).await?)
}

pub async fn deployments() -> Answer<Vec<Deployment>> {
    get_list("/api/v1/deployments").await
}

pub async fn deploy(new: &NewDeployment) -> Answer<Deployment> {
    let value = JsValue::from_str(&new.to_json());
    let body = Body { content_type: "application/json", value };
    read(&send("POST", "/api/v1/deployments", Some(body)).await?)
}

/// A new deployment with all that this one had.
pub async fn repeat_deployment(id: &str) -> Answer<Deployment> {
    read(&send("POST", &format!("/api/v1/deployments/{}/repeat", escape(id)), None).await?)
}

pub async fn remove_deployment(id: &str) -> Answer<()> {
    send("DELETE", &format!("/api/v1/deployments/{}", escape(id)), None).await.map(|_| ())
}

struct Body {
    content_type: &'static str,
    value: JsValue,
}

async fn get<T: FromJson>(path: &str) -> Answer<T> {
    read(&send("GET", path, None).await?)
}

async fn get_list<T: FromJson>(path: &str) -> Answer<Vec<T>> {
    get::<Page<T>>(path).await.map(|page| page.items)
}

/// Boxed, so that its state is not copied into each function above.
fn send<'a>(method: &'a str, path: &'a str, body: Option<Body>) -> Sending<'a> {
    Box::pin(send_unboxed(method, path, body))
}

type Sending<'a> = Pin<Box<dyn Future<Output = Answer<String>> + 'a>>;

async fn send_unboxed(method: &str, path: &str, body: Option<Body>) -> Answer<String> {
    let response = fetch(method, path, body).await.map_err(unreachable)?;
    let text = text_of(&response).await;
    if response.ok() {
        text.ok_or_else(|| ApiError::Unreadable("the connection broke".to_owned()))
    } else {
        Err(refusal(response.status(), &text.unwrap_or_default()))
    }
}

fn unreachable(error: JsValue) -> ApiError {
    ApiError::Unreachable(error.as_string().unwrap_or_else(|| {
        error.dyn_ref::<js_sys::Error>().map_or_else(String::new, |e| e.message().into())
    }))
}

async fn fetch(method: &str, path: &str, body: Option<Body>) -> Result<Response, JsValue> {
    let init = RequestInit::new();
    init.set_method(method);
    if let Some(body) = &body {
        init.set_body(&body.value);
    }
    let request = Request::new_with_str_and_init(path, &init)?;
    request.headers().set("accept", "application/json")?;
    if let Some(body) = &body {
        request.headers().set("content-type", body.content_type)?;
    }
    let window = web_sys::window().ok_or("no window")?;
    JsFuture::from(window.fetch_with_request(&request)).await?.dyn_into()
}

async fn text_of(response: &Response) -> Option<String> {
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}

/// What an answer outside 200 to 299 means.
fn refusal(status: u16, body: &str) -> ApiError {
    if status == 401 {
        return ApiError::LoginRequired;
    }
    problem(status, body)
}

fn problem(status: u16, body: &str) -> ApiError {
    match json::read::<Problem>(body) {
        Ok(problem) => ApiError::Problem(Box::new(problem)),
        Err(_) => ApiError::Unreadable(format!("HTTP status {status}")),
    }
}

fn read<T: FromJson>(text: &str) -> Answer<T> {
    json::read(text).map_err(ApiError::Unreadable)
}

fn escape(part: &str) -> JsString {
    encode_uri_component(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_the_gateways_words() {
        let body = r#"{"type":"/problems/truncated-module","title":"The module is truncated",
            "status":400,"detail":"It ends at byte 40.","code":"truncated-module",
            "request_id":"r1"}"#;
        let error = refusal(400, body);
        assert_eq!(error.title(), "The module is truncated");
        assert_eq!(error.detail(), "It ends at byte 40.");
        assert_eq!(error.request_id().as_deref(), Some("r1"));
    }

    #[test]
    fn a_lost_session_and_a_strange_answer_are_told_apart() {
        assert_eq!(refusal(401, ""), ApiError::LoginRequired);
        assert_eq!(refusal(502, "<html>"), ApiError::Unreadable("HTTP status 502".into()));
    }

    #[test]
    fn a_wrong_password_is_told_in_the_gateways_words() {
        let body = r#"{"type":"/problems/login-required","title":"Login required","status":401,
            "detail":"The name or the password is wrong.","code":"login-required"}"#;
        assert_eq!(problem(401, body).detail(), "The name or the password is wrong.");
    }

    #[test]
    fn an_answer_of_another_version_is_unreadable() {
        assert!(matches!(read::<Session>("{}"), Err(ApiError::Unreadable(_))));
    }
}
