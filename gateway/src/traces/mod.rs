//! Which trace a request belongs to, and where traces are sent.
//!
//! Every build goes on with the trace that a request names, for the log. Only one with the
//! feature `otlp`, and told so by `[traces]`, also sends spans to a collector: its crates
//! would add a third to the time that everybody's build of the gateway takes.

#[cfg(feature = "otlp")]
mod otlp;

use crate::config::TracesConfig;
use axum::http::HeaderMap;
use gateway_api::{TRACEPARENT_HEADER, TraceContext};
use tracing::{Span, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

/// Sends what waits when it is dropped.
#[derive(Default)]
pub struct Sending {
    #[cfg(feature = "otlp")]
    _provider: Option<otlp::Provider>,
}

pub type SpanLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// The layer of the log's subscriber that makes spans of traces, if that is asked for. To be
/// called on the runtime that shall send them.
pub fn start<S>(config: Option<&TracesConfig>) -> anyhow::Result<(Option<SpanLayer<S>>, Sending)>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let Some(config) = config else { return Ok((None, Sending::default())) };
    #[cfg(feature = "otlp")]
    {
        let (layer, provider) = otlp::start(config)?;
        Ok((Some(layer), Sending { _provider: Some(provider) }))
    }
    #[cfg(not(feature = "otlp"))]
    anyhow::bail!(
        "traces.otlp_url is {:?}, and this gateway was built without OTLP; build it with \
         `--features otlp`, or leave [traces] out",
        config.otlp_url
    )
}

/// The trace of a request, by its id: the one that it names, or one that begins here.
pub fn begin(span: &Span, headers: &HeaderMap, method: &str, route: &str) -> String {
    let named = headers.get(TRACEPARENT_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    #[cfg(feature = "otlp")]
    if let Some(trace_id) = otlp::begin(span, named, method, route) {
        return trace_id;
    }
    let _ = (span, method, route);
    let random = || getrandom::u64().unwrap_or_default();
    let own = || TraceContext::begin(u128::from(random()) << 64 | u128::from(random()), random());
    named.unwrap_or_else(own).trace_id()
}

/// How the request ended.
pub fn end(span: &Span, status: u16) {
    #[cfg(feature = "otlp")]
    otlp::end(span, status);
    let _ = (span, status);
}
