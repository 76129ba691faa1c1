//! Enrolment: the device makes itself known and gets its id, the root document and
//! its membership. It is let in by a claim token, or without one by an operator who
//! compares the fingerprint that the device logs with the one that the gateway shows.
//!
//! The claim token says which root document to trust, by hash: an answer with
//! another root is refused, whoever gave it. Without a claim token the configured
//! `root_id` does; without that as well the device trusts the first that it is given,
//! and says so. A gateway that cannot be reached is
//! tried again and again; a gateway that says no is asked again slowly, because
//! an operator can change its mind or put a new token in place.

use crate::config::Config;
use crate::delay::Delays;
use crate::state::Enrolment;
use crate::workers::RuntimeInfo;
use device_protocol::{
    ClaimToken, EnrolPending, EnrolRequest, EnrolResponse, EnrolStatement, MESSAGE_VERSION,
    decode_sealed, encode_sealed, fingerprint,
};
use ed25519_dalek::SigningKey;
use module_package::{DeviceId, Domain, RootId, Signer, TrustedRoot, open_membership, seal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A root document in base64 and two short strings, with much room.
const RESPONSE_BYTES_MAX: u64 = 64 * 1024;
const REQUEST_WITHIN: Duration = Duration::from_secs(15);

const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
const REFUSED_RETRY_MIN: Duration = Duration::from_secs(10);
const REFUSED_RETRY_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error("no operator has accepted this device yet; its fingerprint is {fingerprint}")]
    Waits { fingerprint: String, retry_after: Duration },
    #[error("no claim token: {0}")]
    NoToken(String),
    #[error("reach the gateway at {url}: {error}")]
    Unreachable { url: String, error: String },
    #[error("the gateway has a fault (status {status}): {detail}")]
    Fault { status: u16, detail: String },
    #[error("the gateway refuses (status {status}): {detail}")]
    Refused { status: u16, detail: String },
    #[error("the gateway's answer is not valid: {0}")]
    BadAnswer(String),
}

impl EnrolError {
    /// Whether only a person can change the outcome.
    fn is_definite(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Fault { .. } | Self::Waits { .. })
    }

    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Waits { .. } => {
                "compare the fingerprint with `farrier device pending` and accept it there"
            }
            Self::NoToken(_) => "put a claim token of the gateway into claim_token_file",
            Self::Unreachable { .. } => "check gateway_url and that the gateway runs",
            Self::Fault { .. } => "see the gateway's log",
            Self::Refused { .. } => "make a new claim token and put it into claim_token_file",
            Self::BadAnswer(_) => {
                "check that the claim token and gateway_url are of the same gateway"
            }
        }
    }
}

/// Between two questions whether we were accepted.
const WAIT_S_MIN: u32 = 2;
const WAIT_S_MAX: u32 = 60;

/// What is told to the gateway.
pub struct Applicant<'a> {
    pub config: &'a Config,
    pub key: &'a SigningKey,
    pub runtime: &'a RuntimeInfo,
}

/// Tries until the device is enrolled.
pub async fn enrol(applicant: Applicant<'_>) -> (Enrolment, Vec<u8>) {
    let mut soon = Delays::random(RETRY_MIN, RETRY_MAX);
    let mut later = Delays::random(REFUSED_RETRY_MIN, REFUSED_RETRY_MAX);
    loop {
        let error = match enrol_once(&applicant).await {
            Ok(enrolled) => return enrolled,
            Err(error) => error,
        };
        if let EnrolError::Waits { fingerprint, retry_after } = &error {
            let advice = error.advice();
            tracing::info!("waits to be accepted. Fingerprint: {fingerprint}. To do: {advice}");
            tokio::time::sleep(*retry_after).await;
            continue;
        }
        let delay = if error.is_definite() { later.next_delay() } else { soon.next_delay() };
        let advice = error.advice();
        tracing::error!("enrolment: {error}. To do: {advice}. Next attempt in {delay:.1?}");
        tokio::time::sleep(delay).await;
    }
}

async fn enrol_once(applicant: &Applicant<'_>) -> Result<(Enrolment, Vec<u8>), EnrolError> {
    let token = match &applicant.config.claim_token_file {
        Some(file) => Some(read_token(file)?),
        None => None,
    };
    let request = request_of(applicant, token.as_ref())?;
    let url = format!("{}/api/v1/enroll", applicant.config.gateway_url.trim_end_matches('/'));
    let ca_file = applicant.config.ca_file.clone();
    let post = move || post_json::<_, EnrolAnswer>(&url, &request, ca_file);
    let posted = tokio::task::spawn_blocking(post);
    match posted.await.map_err(|e| EnrolError::BadAnswer(e.to_string()))?? {
        EnrolAnswer::Done(response) => accept(response, root_pin(applicant, token)?, applicant.key),
        EnrolAnswer::Waits(pending) => {
            // Our own, not the gateway's word: the operator compares the two.
            let fingerprint = fingerprint(&applicant.key.public_key());
            let wait_s = pending.retry_after_s.clamp(WAIT_S_MIN, WAIT_S_MAX);
            Err(EnrolError::Waits { fingerprint, retry_after: Duration::from_secs(wait_s.into()) })
        }
    }
}

/// Told apart by their fields.
#[derive(Deserialize)]
#[serde(untagged)]
enum EnrolAnswer {
    Done(EnrolResponse),
    Waits(EnrolPending),
}

/// Which root document to take; `None`: whichever comes.
fn root_pin(
    applicant: &Applicant<'_>,
    token: Option<ClaimToken>,
) -> Result<Option<RootId>, EnrolError> {
    if let Some(token) = token {
        return Ok(Some(token.root));
    }
    let Some(root_id) = &applicant.config.root_id else { return Ok(None) };
    root_id.parse().map(Some).map_err(|e| EnrolError::NoToken(format!("root_id: {e}")))
}

fn read_token(file: &PathBuf) -> Result<ClaimToken, EnrolError> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| EnrolError::NoToken(format!("read {}: {e}", file.display())))?;
    text.parse().map_err(|e| EnrolError::NoToken(format!("{}: {e}", file.display())))
}

fn request_of(
    applicant: &Applicant<'_>,
    token: Option<&ClaimToken>,
) -> Result<EnrolRequest, EnrolError> {
    let Applicant { config, key, runtime } = applicant;
    let profile = &runtime.profile;
    let statement = EnrolStatement {
        version: MESSAGE_VERSION,
        public_key: key.public_key(),
        claim_hash: token.map(ClaimToken::secret_hash),
        name: config.name.clone(),
        target: profile.target.clone(),
        bounds_checks: profile.bounds_checks.clone(),
        aot_version: profile.aot_version,
        cpu_features: profile.cpu_features.clone(),
        imports: profile.imports.clone(),
        agent: crate::AGENT.into(),
        runtime: runtime.runtime.clone(),
        emulated: config.is_emulated(),
        sensors: config.sensors.iter().map(|sensor| sensor.name().to_owned()).collect(),
    };
    let payload = minicbor::to_vec(statement).map_err(|e| EnrolError::BadAnswer(e.to_string()))?;
    let statement = encode_sealed(&seal(Domain::Enrol, payload, *key));
    Ok(EnrolRequest { claim_token: token.map(ToString::to_string), statement })
}

/// The fields of a problem document (RFC 9457) that are shown.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
}

pub(crate) fn post_json<Q: Serialize, A: DeserializeOwned>(
    url: &str,
    request: &Q,
    ca_file: Option<PathBuf>,
) -> Result<A, EnrolError> {
    let unreachable = |error: String| EnrolError::Unreachable { url: url.to_owned(), error };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(REQUEST_WITHIN))
        .tls_config(TlsConfig::builder().root_certs(root_certs(ca_file)?).build())
        .build()
        .into();
    let body = serde_json::to_vec(request).map_err(|e| EnrolError::BadAnswer(e.to_string()))?;
    let sent = agent.post(url).header("content-type", "application/json").send(&body[..]);
    let mut response = sent.map_err(|e| unreachable(e.to_string()))?;
    let status = response.status().as_u16();
    let read = response.body_mut().with_config().limit(RESPONSE_BYTES_MAX).read_to_vec();
    let body = read.map_err(|e| unreachable(e.to_string()))?;
    if !(200..300).contains(&status) {
        return Err(refused(status, &body));
    }
    serde_json::from_slice(&body).map_err(|e| EnrolError::BadAnswer(e.to_string()))
}

fn root_certs(ca_file: Option<PathBuf>) -> Result<RootCerts, EnrolError> {
    let Some(file) = ca_file else { return Ok(RootCerts::WebPki) };
    let invalid = |e: String| EnrolError::NoToken(format!("ca_file {}: {e}", file.display()));
    let pem = std::fs::read(&file).map_err(|e| invalid(e.to_string()))?;
    let certificate = Certificate::from_pem(&pem).map_err(|e| invalid(e.to_string()))?;
    Ok(RootCerts::new_with_certs(&[certificate]))
}

fn refused(status: u16, body: &[u8]) -> EnrolError {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let detail = match (problem.title.as_str(), problem.detail.as_str()) {
        ("", "") => "it does not say why".into(),
        (title, detail) => format!("{title}: {detail}"),
    };
    // Too many requests and faults pass by themselves.
    if status == 429 || status >= 500 {
        EnrolError::Fault { status, detail }
    } else {
        EnrolError::Refused { status, detail }
    }
}

fn accept(
    response: EnrolResponse,
    pin: Option<RootId>,
    key: &SigningKey,
) -> Result<(Enrolment, Vec<u8>), EnrolError> {
    let bad = |what: String| EnrolError::BadAnswer(what);
    let device = DeviceId::of_key(&key.public_key().0);
    if response.device_id != device.as_str() {
        let other = crate::refusal::shorten(response.device_id, 80);
        return Err(bad(format!("it calls this device {other}, which is {device}")));
    }
    let sealed_root =
        decode_sealed(&response.root).ok_or_else(|| bad("the root is not base64".into()))?;
    let root = TrustedRoot::pinned(&sealed_root, pin.unwrap_or(RootId::of(&sealed_root)))
        .map_err(|e| bad(format!("the root document: {e}")))?;
    let membership = decode_sealed(&response.membership)
        .ok_or_else(|| bad("the membership is not base64".into()))?;
    let broker_url = open_membership(&membership, &root, &device)
        .map_err(|e| bad(format!("the membership: {e}")))?
        .broker_url;
    crate::mqtt::BrokerAddress::parse(&broker_url).map_err(bad)?;
    if pin.is_none() {
        tracing::warn!(
            root.id = %root.id(),
            "trusts the first root document that it was given: put root_id into the \
             configuration to pin one"
        );
    }
    Ok((Enrolment { device, root, sealed_root, broker_url }, membership))
}

#[cfg(test)]
#[path = "enrol_tests.rs"]
mod tests;
