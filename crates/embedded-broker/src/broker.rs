//! Starting, stopping and disconnecting.
//!
//! The library starts tasks of its own that it offers no way to end. So the broker
//! has an async runtime to itself: ending that ends every task, closes every
//! socket and frees the port, and a panic in the library stays in there.

use crate::access::AccessControl;
use crate::door::{Door, Peers};
use crate::gate::Gate;
use crate::limits::Limits;
use crate::retained::RetainedMessages;
use crate::sessions::{InFlightFirst, Sessions};
use rmqtt::context::ServerContext;
use rmqtt::net::{Builder, Listener};
use rmqtt::server::MqttServer;
use rmqtt::types::{Id, QoS};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Enough for thousands of mostly quiet devices; both may wait in `AccessControl`.
const WORKER_THREADS: usize = 2;
const ACCEPT_BACKLOG: u32 = 512;
const LISTENER_ID: u16 = 1;
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Port 0 takes a free one; see [`Broker::local_addr`].
    pub listen: SocketAddr,
    pub limits: Limits,
}

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("listen for MQTT on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("limit {name} must not be zero")]
    ZeroLimit { name: &'static str },
    #[error("start the broker's threads")]
    Threads { source: io::Error },
    #[error("the broker ended while it started")]
    Ended,
}

/// A running broker. Dropping it stops it too, without waiting for the end.
///
/// Several can run in one process. The library's context refers to itself, so a
/// stopped one leaves its tables behind in memory: of no account for one that ends
/// with the process, but not for starting and stopping in a loop.
pub struct Broker {
    local_addr: SocketAddr,
    library_addr: SocketAddr,
    context: ServerContext,
    threads: Threads,
}

impl Broker {
    /// Without TLS: for loopback.
    pub async fn start(
        config: BrokerConfig,
        access: Arc<dyn AccessControl>,
    ) -> Result<Self, BrokerError> {
        Self::start_with(config, None, access).await
    }

    /// With TLS. The configuration must demand client certificates: a login in which
    /// the certificate's common name is not the client id is refused, and so is one
    /// without a certificate.
    pub async fn start_tls(
        config: BrokerConfig,
        tls: Arc<rustls::ServerConfig>,
        access: Arc<dyn AccessControl>,
    ) -> Result<Self, BrokerError> {
        Self::start_with(config, Some(tls.into()), access).await
    }

    async fn start_with(
        config: BrokerConfig,
        tls: Option<TlsAcceptor>,
        access: Arc<dyn AccessControl>,
    ) -> Result<Self, BrokerError> {
        let threads = Threads::start()?;
        let (local_addr, library_addr, context) = threads.run(serve(config, tls, access)).await??;
        Ok(Self { local_addr, library_addr, context, threads })
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where the library listens, for the test that nobody gets in there.
    #[doc(hidden)]
    pub fn library_addr(&self) -> SocketAddr {
        self.library_addr
    }

    /// Ends the client's connection and its session, with subscriptions and waiting
    /// messages. It can log in again unless `AccessControl` refuses it now.
    ///
    /// A client that reads nothing may hold its socket for another `send_timeout`.
    pub async fn disconnect(&self, client_id: &str) {
        let context = self.context.clone();
        let id = Id::new(context.node.id(), LISTENER_ID, None, None, client_id.into(), None);
        let kick = async move {
            let mut session = context.extends.shared().await.entry(id);
            session.kick(true, true, true).await.map(drop)
        };
        match self.threads.run(kick).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(client.id = client_id, %error, "MQTT kick failed"),
            Err(error) => tracing::warn!(client.id = client_id, %error, "MQTT kick failed"),
        }
    }

    /// Closes every connection and returns when the port is free.
    pub async fn stop(self) {
        self.threads.stop().await;
    }
}

async fn serve(
    config: BrokerConfig,
    tls: Option<TlsAcceptor>,
    access: Arc<dyn AccessControl>,
) -> Result<(SocketAddr, SocketAddr, ServerContext), BrokerError> {
    let limits = Arc::new(config.limits);
    // Bound here, before anything runs, so that a taken port is an error of
    // `start` and not a message in a log.
    let outer = listen_outside(config.listen)
        .map_err(|source| BrokerError::Listen { address: config.listen, source })?;
    let local_addr = outer
        .local_addr()
        .map_err(|source| BrokerError::Listen { address: config.listen, source })?;
    let inside = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = listen(inside, &limits)?;
    let library = listener.local_addr().map_err(|error| listen_error(inside, error))?;

    let context = ServerContext::new()
        // Else a high load average of the whole machine refuses logins.
        .busy_check_enable(false)
        .mqtt_max_sessions(limits.sessions_max.try_into().unwrap_or(isize::MAX))
        .build()
        .await;
    *context.extends.shared_mut().await = Box::new(Sessions::new(context.clone()));
    let retained = RetainedMessages::new(limits.retained_max, limits.retained_bytes_max);
    *context.extends.retain_mut().await = Box::new(retained);
    let peers = Peers::default();
    let gate = Gate::new(access, peers.clone(), &limits);
    gate.close_over(context.extends.hook_mgr()).await;
    InFlightFirst::watch(context.extends.hook_mgr()).await;

    let server = MqttServer::new(context.clone()).listener_by_id(listener, LISTENER_ID).build();
    // Not the library's `start`, which ends the process when it fails.
    tokio::spawn(server.run());
    tokio::spawn(Door { library, tls, peers, limits }.run(outer));
    Ok((local_addr, library, context))
}

fn listen_outside(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart would else wait for the last connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

fn listen(address: SocketAddr, limits: &Limits) -> Result<Listener, BrokerError> {
    let inflight_max = NonZeroU16::new(limits.inflight_max)
        .ok_or(BrokerError::ZeroLimit { name: "inflight_max" })?;
    // The library takes zero in the first as "no limit".
    for (name, zero) in [
        ("packet_bytes_max", limits.packet_bytes_max == 0),
        ("queue_len_max", limits.queue_len_max == 0),
        ("sessions_max", limits.sessions_max == 0),
        ("logins_at_once_max", limits.logins_at_once_max == 0),
        ("subscriptions_per_client_max", limits.subscriptions_per_client_max == 0),
        ("client_id_bytes_max", limits.client_id_bytes_max == 0),
        ("topic_levels_max", limits.topic_levels_max == 0),
        ("keep_alive_max_s", limits.keep_alive_max_s == 0),
        ("connections_before_login_max", limits.connections_before_login_max == 0),
        ("messages_per_s_max", limits.messages_per_s_max == 0),
        ("messages_burst_max", limits.messages_burst_max == 0),
        ("bytes_per_s_max", limits.bytes_per_s_max == 0),
    ] {
        if zero {
            return Err(BrokerError::ZeroLimit { name });
        }
    }
    Builder::new()
        .name("farrier")
        .laddr(address)
        .reuseaddr(Some(true))
        .reuseport(Some(false))
        .backlog(ACCEPT_BACKLOG as i32)
        .nodelay(true)
        .tcp_keepalive(true)
        .proxy_protocol(false)
        .allow_anonymous(false)
        .max_packet_size(limits.packet_bytes_max)
        .max_mqueue_len(limits.queue_len_max)
        .mqueue_rate_limit(NonZeroU32::MAX, Duration::from_secs(1))
        .max_inflight(inflight_max)
        // Only the length of the queue before the logins at once; what bounds the
        // clients is `mqtt_max_sessions`.
        .max_connections(limits.sessions_max)
        .max_handshaking_limit(limits.logins_at_once_max)
        .max_subscriptions(limits.subscriptions_per_client_max)
        .limit_subscription(false)
        .max_clientid_len(limits.client_id_bytes_max)
        .max_topic_levels(limits.topic_levels_max)
        .max_topic_aliases(0)
        .max_qos_allowed(QoS::ExactlyOnce)
        .handshake_timeout(limits.login_timeout)
        .send_timeout(limits.send_timeout)
        .allow_zero_keepalive(false)
        .min_keepalive(1)
        .max_keepalive(limits.keep_alive_max_s)
        .keepalive_backoff(0.75)
        .session_expiry_interval(limits.session_expiry)
        .max_session_expiry_interval(limits.session_expiry)
        .message_expiry_interval(limits.message_expiry)
        // Sends again only to a client that reconnects, as MQTT 5 demands.
        .message_retry_interval(Duration::ZERO)
        .bind()
        .and_then(Listener::tcp)
        .map_err(|error| listen_error(address, error))
}

fn listen_error(address: SocketAddr, error: rmqtt::Error) -> BrokerError {
    let source = error.downcast::<io::Error>().unwrap_or_else(io::Error::other);
    BrokerError::Listen { address, source }
}

/// The broker's own runtime.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> Result<Self, BrokerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .thread_name("mqtt-broker")
            .enable_all()
            .build()
            .map_err(|source| BrokerError::Threads { source })?;
        Ok(Self(Some(runtime)))
    }

    async fn run<T>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, BrokerError>
    where
        T: Send + 'static,
    {
        let runtime = self.0.as_ref().ok_or(BrokerError::Ended)?;
        runtime.spawn(work).await.map_err(|_| BrokerError::Ended)
    }

    async fn stop(mut self) {
        if let Some(runtime) = self.0.take() {
            let end = move || runtime.shutdown_timeout(STOP_TIMEOUT);
            if let Err(error) = tokio::task::spawn_blocking(end).await {
                tracing::warn!(%error, "the MQTT broker did not stop cleanly");
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime must not wait for its end inside another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
