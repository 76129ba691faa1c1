//! The client's settings, checked once so that no request can fail on them.

use crate::error::ClientError;
use crate::exchange::Exchange;
use gateway_api::{TRACEPARENT_HEADER, TraceContext};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const RETRIES_MAX: usize = 3;

/// Notices a peer that vanished, on the event stream too, which has no timeout.
const TCP_KEEPALIVE: Duration = Duration::from_secs(20);

pub(crate) type Observer = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// A connection pool to one gateway. Cloning it is cheap and shares the pool.
#[derive(Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    /// Ends in a slash.
    pub(crate) base: Url,
    pub(crate) request_timeout: Duration,
    pub(crate) retries_max: usize,
    pub(crate) observer: Option<Observer>,
}

pub struct ClientBuilder {
    gateway: String,
    token: Option<String>,
    user_agent: String,
    connect_timeout: Duration,
    request_timeout: Duration,
    retries_max: usize,
    observer: Option<Observer>,
    trace: Option<TraceContext>,
}

impl Client {
    /// A client with the usual timeouts and no token.
    pub fn new(gateway: &str) -> Result<Self, ClientError> {
        Self::builder(gateway).build()
    }

    /// `gateway` is its address, such as `http://127.0.0.1:8080`.
    pub fn builder(gateway: &str) -> ClientBuilder {
        ClientBuilder {
            gateway: gateway.to_owned(),
            token: None,
            user_agent: concat!("gateway-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            retries_max: RETRIES_MAX,
            observer: None,
            trace: None,
        }
    }

    /// The gateway's address without a slash at the end.
    pub fn gateway(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whoever listens on the way can read the token.
    pub fn sends_in_clear(&self) -> bool {
        self.base.scheme() == "http" && !is_loopback(&self.base)
    }
}

impl ClientBuilder {
    /// The bearer token of every request.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// For one attempt, from the connection to the answer's last byte. An upload
    /// gets more by its size, and the event stream has it for its first line only.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How often a request is repeated, if it can be; 0 for never.
    pub fn retries_max(mut self, retries_max: usize) -> Self {
        self.retries_max = retries_max;
        self
    }

    /// The trace and the span that all its requests are made in.
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Called after each attempt, for example to log it.
    pub fn observer(mut self, observer: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    pub fn build(self) -> Result<Client, ClientError> {
        // An error only says that the process has a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let base = parse_gateway_url(&self.gateway)?;
        let mut headers = authorization(self.token.as_deref())?;
        if let Some(trace) = &self.trace
            && let Ok(value) = HeaderValue::try_from(trace.to_string())
        {
            headers.insert(TRACEPARENT_HEADER, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(self.user_agent)
            .connect_timeout(self.connect_timeout)
            .tcp_keepalive(TCP_KEEPALIVE)
            .default_headers(headers)
            // An API that redirects is another API; following would hide that.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&base) {
            // A proxy's loopback is another machine.
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // Reading the system's certificates takes time, and fails where there are none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|source| ClientError::Setup { source })?;
        Ok(Client {
            http,
            base,
            request_timeout: self.request_timeout,
            retries_max: self.retries_max,
            observer: self.observer,
        })
    }
}

fn authorization(token: Option<&str>) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        let mut value = value.map_err(|_| ClientError::InvalidToken)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn parse_gateway_url(text: &str) -> Result<Url, ClientError> {
    let invalid = |why: &str| ClientError::InvalidUrl { url: text.to_owned(), why: why.to_owned() };
    let mut url = Url::parse(text.trim()).map_err(|e| invalid(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("it has to start with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::InvalidUrl {
            url: format!("{}://…@{}", url.scheme(), url.host_str().unwrap_or_default()),
            why: "it holds a user name or password; the gateway takes a token".to_owned(),
        });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it holds a query or a fragment"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_url_keeps_its_path_and_loses_its_last_slash() {
        let client = Client::new("https://example.org/farrier/").unwrap();
        assert_eq!(client.gateway(), "https://example.org/farrier");
        assert_eq!(client.base.join("api/v1/ps").unwrap().path(), "/farrier/api/v1/ps");
    }

    #[test]
    fn unusable_gateway_urls_are_refused_with_a_reason() {
        for (url, reason) in [
            ("127.0.0.1:8080", "relative URL without a base"),
            ("localhost:8080", "http://"),
            ("ftp://example.org", "http://"),
            ("http://", "empty host"),
            ("http://example.org/?a=b", "query"),
        ] {
            let error = Client::new(url).err().expect(url).to_string();
            assert!(error.contains(url) && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = Client::new("http://me:secret@example.org").err().unwrap();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn only_plain_http_to_another_machine_sends_in_clear() {
        let is_clear = |url| Client::new(url).unwrap().sends_in_clear();
        assert!(is_clear("http://example.org"));
        assert!(!is_clear("https://example.org"));
        assert!(!is_clear("http://localhost:1"));
        assert!(!is_clear("http://[::1]:1"));
        assert!(!is_clear("http://127.0.0.1:1"));
    }

    #[test]
    fn a_token_with_a_line_break_is_refused() {
        let result = Client::builder("http://localhost").token("a\nb").build();
        assert!(matches!(result, Err(ClientError::InvalidToken)));
        assert!(Client::builder("http://localhost").token("abc\n").build().is_ok());
    }
}
