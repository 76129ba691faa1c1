//! One request and its answer: timeouts, repeats, and how an answer is read.
//!
//! A request is repeated when the connection could not be made, since nothing was
//! sent then; and, if it is idempotent, when the connection broke or the gateway
//! was not ready. The body is made afresh for each attempt.

use crate::client::Client;
use crate::error::{ClientError, Refused};
use crate::upload::{Progress, Upload};
use backon::{ExponentialBuilder, Retryable};
use gateway_api::Problem;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest answer that is read. The largest list is far below it.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Longest refusal that is read.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

const EXCERPT_CHARS_MAX: usize = 200;
const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// The slowest upload that still counts as moving.
const UPLOAD_BYTES_PER_S_MIN: u64 = 16 * 1024;

/// One attempt, as told to the builder's observer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Method and URL.
    pub request: String,
    /// Counts from 1.
    pub attempt: u32,
    /// Of the answer; none if there was none.
    pub status: Option<u16>,
    pub elapsed: Duration,
}

pub(crate) enum Body {
    Empty,
    Json(Vec<u8>),
    Toml(String),
    Cose(Vec<u8>),
    Upload(Upload, Progress),
}

pub(crate) struct Request {
    method: Method,
    url: Url,
    body: Body,
    attempts: AtomicU32,
}

impl Request {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, body: Body::Empty, attempts: AtomicU32::new(0) }
    }

    pub(crate) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Method and URL, for messages.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.url)
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    fn may_repeat(&self, error: &ClientError) -> bool {
        match error {
            ClientError::Unreachable { .. } => true,
            _ => self.method.is_idempotent() && error.is_transient(),
        }
    }
}

impl Client {
    /// `/api/v1/` and these segments, each escaped.
    pub(crate) fn api_url(&self, segments: &[&str]) -> Result<Url, ClientError> {
        let mut url = self.base.clone();
        {
            // `http` and `https` addresses always have a path.
            let mut path = url.path_segments_mut().expect("the address has a path");
            path.pop_if_empty().extend(["api", "v1"]);
            for segment in segments {
                // `.` and `..` would be taken as a way, not as a name.
                if matches!(*segment, "" | "." | "..") {
                    return Err(ClientError::InvalidReference((*segment).to_owned()));
                }
                path.push(segment);
            }
        }
        Ok(url)
    }

    /// Sends until there is a good answer or no sense in another attempt.
    pub(crate) async fn exchange(&self, request: &Request) -> Result<Answer, ClientError> {
        let delays = ExponentialBuilder::default()
            .with_min_delay(RETRY_DELAY_MIN)
            .with_max_delay(RETRY_DELAY_MAX)
            .with_max_times(self.retries_max)
            .with_jitter();
        (|| self.attempt(request))
            .retry(delays)
            .when(|error| request.may_repeat(error))
            .adjust(|error, delay| {
                let asked = error.retry_after().unwrap_or_default();
                delay.map(|delay| delay.max(asked).min(RETRY_DELAY_MAX))
            })
            .await
    }

    async fn attempt(&self, request: &Request) -> Result<Answer, ClientError> {
        let attempt = request.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let started = Instant::now();
        let result = self.send_once(request).await;
        if let Some(observer) = &self.observer {
            let status = match &result {
                Ok(answer) => Some(answer.status),
                Err(error) => error.status(),
            };
            let elapsed = started.elapsed();
            observer(&Exchange { request: request.name(), attempt, status, elapsed });
        }
        result
    }

    async fn send_once(&self, request: &Request) -> Result<Answer, ClientError> {
        let timeout = self.timeout_of(request);
        let builder = self.http.request(request.method.clone(), request.url.clone());
        let builder = match &request.body {
            Body::Empty => builder,
            Body::Json(json) => builder.header(CONTENT_TYPE, "application/json").body(json.clone()),
            Body::Toml(text) => builder.header(CONTENT_TYPE, "application/toml").body(text.clone()),
            Body::Cose(sealed) => {
                builder.header(CONTENT_TYPE, "application/cose").body(sealed.clone())
            }
            Body::Upload(upload, progress) => builder
                .header(CONTENT_TYPE, "application/wasm")
                .header(CONTENT_LENGTH, upload.len_bytes())
                .body(upload.to_body(progress.clone()).await?),
        };
        let to_error = |source| self.transport_error(&request.name(), timeout, source);
        let response = builder.timeout(timeout).send().await.map_err(to_error)?;
        if !response.status().is_success() {
            return Err(read_refusal(request.name(), response).await.unwrap_or_else(to_error));
        }
        let status = response.status().as_u16();
        match read_bounded(response, ANSWER_BYTES_MAX).await.map_err(to_error)? {
            Some(body) => Ok(Answer { request: request.name(), status, body }),
            None => Err(ClientError::UnexpectedAnswer {
                request: request.name(),
                expected: "a short answer",
                why: format!("it is longer than {ANSWER_BYTES_MAX} bytes"),
            }),
        }
    }

    fn timeout_of(&self, request: &Request) -> Duration {
        match &request.body {
            Body::Upload(upload, _) => {
                let seconds = upload.len_bytes() / UPLOAD_BYTES_PER_S_MIN;
                self.request_timeout + Duration::from_secs(seconds)
            }
            _ => self.request_timeout,
        }
    }

    pub(crate) fn transport_error(
        &self,
        request: &str,
        timeout: Duration,
        source: reqwest::Error,
    ) -> ClientError {
        // The address is part of our own message already.
        let source = source.without_url();
        if source.is_connect() {
            ClientError::Unreachable { url: self.gateway().to_owned(), source }
        } else if source.is_timeout() {
            ClientError::Timeout { request: request.to_owned(), timeout }
        } else {
            ClientError::Interrupted { request: request.to_owned(), source }
        }
    }
}

/// A whole answer of a 2xx status.
#[derive(Debug)]
pub(crate) struct Answer {
    request: String,
    pub(crate) status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(
        self,
        expected: &'static str,
    ) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|e| ClientError::UnexpectedAnswer {
            request: self.request,
            expected,
            why: e.to_string(),
        })
    }
}

/// Turns an answer of another status into the error that it is.
pub(crate) async fn read_refusal(
    request: String,
    response: Response,
) -> Result<ClientError, reqwest::Error> {
    let status = response.status().as_u16();
    let text_of = |headers: &HeaderMap, name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let headers = response.headers();
    let retry_after = text_of(headers, RETRY_AFTER.as_str());
    let retry_after = retry_after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let location = text_of(headers, LOCATION.as_str());
    let request_id = text_of(headers, "x-request-id");
    let is_json = text_of(headers, CONTENT_TYPE.as_str()).is_some_and(|kind| kind.contains("json"));

    let body = read_bounded(response, PROBLEM_BYTES_MAX).await?.unwrap_or_default();
    let problem = if is_json { serde_json::from_slice::<Problem>(&body).ok() } else { None };
    Ok(match problem {
        Some(mut problem) => {
            problem.request_id = problem.request_id.or(request_id);
            // What HTTP said is what happened, also if the text differs.
            problem.status = status;
            ClientError::Refused(Box::new(Refused { request, problem, retry_after }))
        }
        None => ClientError::UnexpectedStatus {
            request,
            status,
            excerpt: excerpt_of(&body),
            location,
            request_id,
            retry_after,
        },
    })
}

/// None if there is more than `bytes_max`.
async fn read_bounded(
    mut response: Response,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn excerpt_of(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(EXCERPT_CHARS_MAX).collect()
}
