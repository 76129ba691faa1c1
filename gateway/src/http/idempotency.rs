//! `Idempotency-Key`: a POST that is sent twice happens once.
//!
//! The first request with a key is carried out to its end even if its sender goes away;
//! its answer is kept for a day and given to whoever sends the same again with the same
//! key. While it is under way the answer is 409, with another body 422. Keys belong to
//! who sends them. Kept in memory: after a restart of the gateway a key is new.
//!
//! Answers with a secret are not kept, only that they were given. Uploads of modules do
//! not need a key (the same bytes are the same module) and are passed through. What fails
//! by a fault of ours or for want of room is not kept, so that it can be tried again.

use super::HttpState;
use super::guard::ACTOR;
use super::problem::ApiError;
use super::request::REQUEST_ORIGIN;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gateway_api::{Problem, ProblemCode};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::Instrument;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEY_CHARS_MAX: usize = 255;
const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);
const ENTRIES_MAX: usize = 10_000;
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Longer answers are not kept.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Their answers are shown once.
const SECRET_ROUTES: [&str; 3] = ["/api/v1/claim-tokens", "/api/v1/login-links", "/api/v1/tokens"];
const UPLOAD_ROUTES: [&str; 2] = ["/api/v1/modules", "/api/v1/linked-modules"];

type Owner = (String, String);
type Print = [u8; 32];

#[derive(Default)]
pub struct Idempotency(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: HashMap<Owner, Entry>,
    bytes: usize,
}

struct Entry {
    print: Print,
    since: Instant,
    answer: Option<Answer>,
}

#[derive(Clone)]
enum Answer {
    Whole(Arc<WholeAnswer>),
    /// It was given, and is not kept.
    Given,
}

struct WholeAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    problem: Option<Problem>,
}

impl Answer {
    fn bytes(&self) -> usize {
        match self {
            Self::Whole(answer) => answer.body.len(),
            Self::Given => 0,
        }
    }
}

enum Begun {
    First,
    Running,
    OtherRequest,
    Done(Answer),
    Full,
}

impl Kept {
    fn remove(&mut self, owner: &Owner) {
        if let Some(entry) = self.entries.remove(owner) {
            self.bytes -= entry.answer.as_ref().map_or(0, Answer::bytes);
        }
    }

    /// Makes room by the oldest answers; what is under way stays.
    fn has_room(&mut self) -> bool {
        while self.entries.len() >= ENTRIES_MAX || self.bytes > KEPT_BYTES_MAX {
            let done = self.entries.iter().filter(|(_, entry)| entry.answer.is_some());
            let oldest = done.min_by_key(|(_, entry)| entry.since).map(|(owner, _)| owner.clone());
            let Some(oldest) = oldest else { return false };
            self.remove(&oldest);
        }
        true
    }

    fn begin(&mut self, owner: &Owner, print: Print, now: Instant) -> Begun {
        let is_old = self.entries.get(owner).is_some_and(|entry| {
            entry.answer.is_some() && now.duration_since(entry.since) >= KEPT_FOR
        });
        if is_old {
            self.remove(owner);
        }
        if let Some(entry) = self.entries.get(owner) {
            return match &entry.answer {
                _ if entry.print != print => Begun::OtherRequest,
                None => Begun::Running,
                Some(answer) => Begun::Done(answer.clone()),
            };
        }
        if !self.has_room() {
            return Begun::Full;
        }
        self.entries.insert(owner.clone(), Entry { print, since: now, answer: None });
        Begun::First
    }

    fn end(&mut self, owner: &Owner, answer: Option<Answer>) {
        match (self.entries.get_mut(owner), answer) {
            (Some(entry), Some(answer)) => {
                self.bytes += answer.bytes();
                entry.answer = Some(answer);
                self.has_room();
            }
            (_, None) => self.remove(owner),
            (None, Some(_)) => {}
        }
    }
}

impl Idempotency {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a request that ended without an answer, by a panic.
struct UnderWay {
    idempotency: Arc<Idempotency>,
    owner: Owner,
    is_ended: bool,
}

impl UnderWay {
    fn end(mut self, answer: Option<Answer>) {
        self.idempotency.kept().end(&self.owner, answer);
        self.is_ended = true;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.is_ended {
            self.idempotency.kept().end(&self.owner, None);
        }
    }
}

pub async fn once(
    State(state): State<HttpState>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(key) = request.headers().get(KEY).cloned() else {
        return Ok(next.run(request).await);
    };
    if !takes_key(request.method(), route.as_str()) {
        return Ok(next.run(request).await);
    }
    let key = read_key(&key)?;
    let actor = ACTOR.try_with(Clone::clone).unwrap_or_default();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, super::TEXT_BODY_BYTES_MAX).await.map_err(|_| {
        let what = format!("The body is longer than {} bytes.", super::TEXT_BODY_BYTES_MAX);
        ApiError::new(ProblemCode::TooLarge, what)
    })?;
    let print = print_of(&parts.uri.to_string(), &body);
    let owner = (actor.clone(), key);
    match state.idempotency.kept().begin(&owner, print, Instant::now()) {
        Begun::First => {}
        Begun::Running => {
            return Err(ApiError::new(
                ProblemCode::Conflict,
                "A request with this Idempotency-Key is under way. Send it again in a moment for its \
                 answer.",
            ));
        }
        Begun::OtherRequest => {
            return Err(ApiError::new(
                ProblemCode::KeyReused,
                "This Idempotency-Key came with another request before. Take a new key for a new request.",
            ));
        }
        Begun::Done(answer) => return replay(&answer),
        Begun::Full => {
            return Err(ApiError::new(
                ProblemCode::RateLimited,
                "Too many requests with an Idempotency-Key are under way; try again.",
            ));
        }
    }
    let under_way = UnderWay { idempotency: state.idempotency.clone(), owner, is_ended: false };
    let keeps_answer = !SECRET_ROUTES.contains(&route.as_str());
    let request = Request::from_parts(parts, Body::from(body));
    // On a task of its own: its sender may go away, and a rule that has begun goes on.
    let carry_out = ACTOR.scope(actor, async move {
        let response = next.run(request).await;
        let (response, answer) = keep(response, keeps_answer).await;
        under_way.end(answer);
        response
    });
    let origin = REQUEST_ORIGIN.try_with(Clone::clone).unwrap_or_default();
    let carried_out = tokio::spawn(REQUEST_ORIGIN.scope(origin, carry_out).in_current_span());
    match carried_out.await {
        Ok(response) => Ok(response),
        Err(error) => Err(ApiError::internal(format!("a request ended by {error}"))),
    }
}

/// Of the routes behind the login.
pub fn takes_key(method: &Method, route: &str) -> bool {
    *method == Method::POST && !UPLOAD_ROUTES.contains(&route)
}

fn read_key(value: &HeaderValue) -> Result<String, ApiError> {
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= KEY_CHARS_MAX);
    text.map(str::to_owned).ok_or_else(|| {
        let what =
            format!("Idempotency-Key should be 1 to {KEY_CHARS_MAX} visible ASCII characters.");
        ApiError::new(ProblemCode::BadRequest, what)
    })
}

fn print_of(uri: &str, body: &[u8]) -> Print {
    let mut hash = Sha256::new();
    hash.update((uri.len() as u64).to_be_bytes());
    hash.update(uri);
    hash.update(body);
    hash.finalize().into()
}

/// The answer for its sender, and what is kept of it.
async fn keep(response: Response, keeps_answer: bool) -> (Response, Option<Answer>) {
    let status = response.status();
    let is_passing = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED);
    if is_passing {
        return (response, None);
    }
    let is_short = response.body().size_hint().exact().is_some_and(|len| len <= ANSWER_BYTES_MAX);
    if !keeps_answer || !is_short {
        return (response, Some(Answer::Given));
    }
    let problem = response.extensions().get::<Problem>().cloned();
    let (parts, body) = response.into_parts();
    let body = match to_bytes(body, ANSWER_BYTES_MAX as usize).await {
        Ok(body) => body,
        Err(error) => {
            let lost = ApiError::internal(format!("an answer was lost: {error}"));
            return (lost.into_response(), Some(Answer::Given));
        }
    };
    let whole = WholeAnswer { status, headers: parts.headers.clone(), body: body.clone(), problem };
    (Response::from_parts(parts, Body::from(body)), Some(Answer::Whole(Arc::new(whole))))
}

fn replay(answer: &Answer) -> Result<Response, ApiError> {
    let Answer::Whole(answer) = answer else {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "This was done already, and its answer is not kept: it holds a secret that is shown once, \
             or is too long. If it was lost, look at what there is now, or send a new request with a \
             new key.",
        ));
    };
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers.clone();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(problem) = &answer.problem {
        response.extensions_mut().insert(problem.clone());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn owner(number: usize) -> Owner {
        ("token admin".into(), number.to_string())
    }

    fn whole(bytes: usize) -> Option<Answer> {
        Some(Answer::Whole(Arc::new(WholeAnswer {
            status: StatusCode::CREATED,
            headers: HeaderMap::new(),
            body: vec![0; bytes].into(),
            problem: None,
        })))
    }

    #[test]
    fn answers_end_after_a_day_and_what_is_under_way_does_not() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        assert!(matches!(kept.begin(&owner(1), [1; 32], now), Begun::First));
        let later = now + KEPT_FOR;
        assert!(matches!(kept.begin(&owner(1), [1; 32], later), Begun::Running));
        kept.end(&owner(1), whole(1));
        let before = now + KEPT_FOR - Duration::from_secs(1);
        assert!(matches!(kept.begin(&owner(1), [1; 32], before), Begun::Done(_)));
        assert!(matches!(kept.begin(&owner(1), [2; 32], before), Begun::OtherRequest));
        assert!(matches!(kept.begin(&owner(1), [2; 32], later), Begun::First));
        assert_eq!(kept.bytes, 0);
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        for number in 0..ENTRIES_MAX + 5 {
            assert!(matches!(kept.begin(&owner(number), [1; 32], now), Begun::First));
            kept.end(&owner(number), whole(0));
        }
        assert!(kept.entries.len() <= ENTRIES_MAX);
        for number in 0..100 {
            kept.begin(&owner(20_000 + number), [1; 32], now);
            kept.end(&owner(20_000 + number), whole(ANSWER_BYTES_MAX as usize));
        }
        assert!(kept.bytes <= KEPT_BYTES_MAX, "{}", kept.bytes);
        let sum: usize =
            kept.entries.values().filter_map(|e| e.answer.as_ref()).map(Answer::bytes).sum();
        assert_eq!(sum, kept.bytes);
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_to_be_kept_comes_whole_all_the_same() {
        let most = ANSWER_BYTES_MAX as usize;
        let stream = Body::from_stream(futures_util::stream::iter([Ok::<_, Infallible>("abc")]));
        for (body, len, is_kept) in [
            (Body::from(vec![7; most]), most, true),
            (Body::from(vec![7; most + 1]), most + 1, false),
            (stream, 3, false),
        ] {
            let (given, answer) = keep(Response::new(body), true).await;
            assert_eq!(given.status(), StatusCode::OK);
            assert_eq!(to_bytes(given.into_body(), 2 * most).await.unwrap().len(), len);
            let answer = answer.unwrap();
            assert_eq!(matches!(answer, Answer::Whole(_)), is_kept, "{len}");
            assert_eq!(replay(&answer).is_ok(), is_kept, "{len}");
        }
    }

    #[test]
    fn requests_under_way_are_bounded_too() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        for number in 0..ENTRIES_MAX {
            kept.begin(&owner(number), [1; 32], now);
        }
        assert!(matches!(kept.begin(&owner(ENTRIES_MAX), [1; 32], now), Begun::Full));
    }
}
