//! One receiver: its queue, and how a notice gets there.
//!
//! What is answered by 2xx is delivered. A receiver that is away, slow, busy (408, 425,
//! 429) or broken (5xx) gets it again, later each time; whatever else it says is final, a
//! redirect too, because following one would let a receiver choose whom the gateway talks
//! to. What it answers beyond the status is not read.

use super::Webhook;
use super::notice::Notice;
use crate::metrics::{Metrics, WebhookEnd};
use anyhow::Context;
use backon::{ExponentialBuilder, Retryable};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use ring::hmac;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Notices that wait for one receiver; the oldest make room.
const QUEUE_MAX: usize = 1_000;

/// How patient a delivery is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub timeout: Duration,
    pub again_min: Duration,
    pub again_max: Duration,
    pub repeats_max: usize,
}

impl Default for Pace {
    /// About three quarters of an hour, then it is given up.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            again_min: Duration::from_secs(1),
            again_max: Duration::from_secs(600),
            repeats_max: 12,
        }
    }
}

pub struct Receiver {
    webhook: Webhook,
    key: hmac::Key,
    client: Client,
    pace: Pace,
    metrics: Arc<Metrics>,
    queue: Mutex<VecDeque<Notice>>,
    added: Notify,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it cannot be reached: {0}")]
    Reach(String),
}

impl Failed {
    fn may_be_repeated(&self) -> bool {
        match self {
            Self::Reach(_) => true,
            Self::Status(status) => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
            }
        }
    }
}

impl Receiver {
    pub fn new(webhook: Webhook, pace: Pace, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        // An error only says that the process has a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("farrier-gateway/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(pace.timeout);
        if webhook.config.url.starts_with("http://") {
            // Loopback: a proxy's would be another machine's, and there is no TLS to check.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let name = &webhook.config.name;
        let client = builder.build().with_context(|| format!("prepare the webhook {name}"))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &webhook.secret);
        let (queue, added) = (Mutex::default(), Notify::new());
        Ok(Self { webhook, key, client, pace, metrics, queue, added })
    }

    pub fn wants(&self, kind: &str) -> bool {
        let events = &self.webhook.config.events;
        events.is_empty() || events.iter().any(|event| event == kind)
    }

    pub fn add(&self, notice: &Notice) {
        let mut queue = self.queue();
        if queue.len() >= QUEUE_MAX {
            queue.pop_front();
            self.metrics.note_webhook(WebhookEnd::Dropped);
        }
        queue.push_back(notice.clone());
        drop(queue);
        self.added.notify_one();
    }

    pub async fn run(self: Arc<Self>) {
        loop {
            let next = self.queue().pop_front();
            match next {
                Some(notice) => self.deliver(&notice).await,
                None => self.added.notified().await,
            }
        }
    }

    async fn deliver(&self, notice: &Notice) {
        let name = &self.webhook.config.name;
        let again = ExponentialBuilder::default()
            .with_min_delay(self.pace.again_min)
            .with_max_delay(self.pace.again_max)
            .with_max_times(self.pace.repeats_max)
            .with_jitter();
        let sent = (|| self.send(notice)).retry(again).when(Failed::may_be_repeated);
        let sent = sent.notify(|failed, _| {
            self.metrics.note_webhook(WebhookEnd::Repeated);
            tracing::debug!(webhook = name, %failed, notice = notice.number, "sends it again");
        });
        match sent.await {
            Ok(()) => self.metrics.note_webhook(WebhookEnd::Delivered),
            Err(failed) => {
                self.metrics.note_webhook(WebhookEnd::Dead);
                let (notice, kind) = (notice.number, notice.kind);
                tracing::warn!(webhook = name, %failed, notice, kind, "gives a notice up");
            }
        }
    }

    async fn send(&self, notice: &Notice) -> Result<(), Failed> {
        let body = json!({
            "id": notice.number.to_string(), "type": notice.kind, "time_ms": notice.time_ms,
            "data": notice.data,
        });
        let body = body.to_string();
        let time_s = notice.time_ms / 1_000;
        let signature = signature(&self.key, time_s, &body);
        let request = self
            .client
            .post(&self.webhook.config.url)
            .header(CONTENT_TYPE, "application/json")
            .header("farrier-event", notice.kind)
            .header("farrier-delivery", notice.number.to_string())
            .header("farrier-signature", format!("t={time_s},v1={signature}"))
            .body(body);
        // Without the URL: a path may hold a secret.
        let answer = request.send().await.map_err(|error| Failed::Reach(words_of(error)))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Failed::Status(status)),
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Notice>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn words_of(error: reqwest::Error) -> String {
    let error = error.without_url();
    match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The time is signed with the body, so that an old notice cannot be sent again as new.
fn signature(key: &hmac::Key, time_s: u64, body: &str) -> String {
    hex::encode(hmac::sign(key, format!("{time_s}.{body}").as_bytes()))
}
