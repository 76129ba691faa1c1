//! Spans on their way to a collector: OTLP, protocol buffers over HTTP.

use super::SpanLayer;
use crate::config::TracesConfig;
use anyhow::Context as _;
use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{Request, Response};
use gateway_api::TraceContext;
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

/// A collector that takes longer loses these spans; nobody waits for it.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer of a collector that is read: it names what it refused.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub struct Provider(SdkTracerProvider);

impl Drop for Provider {
    fn drop(&mut self) {
        // What cannot be sent any more is lost, as a trace may be.
        let _ = self.0.shutdown();
    }
}

pub fn start<S>(config: &TracesConfig) -> anyhow::Result<(SpanLayer<S>, Provider)>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender::new()?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&config.otlp_url)
        .with_timeout(SEND_TIMEOUT)
        .build()
        .with_context(|| format!("traces.otlp_url is {:?}", config.otlp_url))?;
    let resource = Resource::builder_empty()
        .with_service_name("farrier-gateway")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("farrier-gateway"));
    Ok((layer.boxed(), Provider(provider)))
}

/// None if no layer makes spans.
pub fn begin(
    span: &Span,
    named: Option<TraceContext>,
    method: &str,
    route: &str,
) -> Option<String> {
    if let Some(named) = named {
        let flags = if named.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        let remote = SpanContext::new(
            TraceId::from(named.trace_number()),
            SpanId::from(named.parent_number()),
            flags,
            true,
            TraceState::NONE,
        );
        // It fails without a layer, which is found out below.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

pub fn end(span: &Span, status: u16) {
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error("the request failed"));
    }
}

/// The gateway's own HTTP client, on its runtime: the exporter has a thread without one.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
}

impl Sender {
    fn new() -> anyhow::Result<Self> {
        // An error only says that the process has a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(SEND_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("make a client for traces")?;
        Ok(Self { client, runtime: Handle::try_current()? })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let send = async move {
            let mut answer = client.execute(request.try_into()?).await?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                    break;
                }
                body.extend_from_slice(&chunk);
            }
            Ok::<_, HttpError>((answer.status(), body))
        };
        let (status, body) = self.runtime.spawn(send).await??;
        Ok(Response::builder().status(status).body(body.into())?)
    }
}
