//! The door in front of the library: takes connections, speaks TLS, and moves bytes
//! between a client and the library's own listener on loopback.
//!
//! The library starts no clock before the first bytes of a CONNECT, brings
//! `aws-lc-rs` with its TLS, and lets nobody else accept for it. So its listener is
//! one that only the door may use: the door binds an address of 127.0.0.0/8 by chance,
//! notes it as a [`Peer`] and connects from there. The gate refuses every login from
//! an address that is not noted, and learns here which certificate came with it.
//!
//! What it costs: two more sockets and 12 KiB for each client, and one more copy of
//! each byte.

use crate::limits::Limits;
use rustls::pki_types::CertificateDer;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

const UP_BUFFER_BYTES: usize = 4 * 1024;
const DOWN_BUFFER_BYTES: usize = 8 * 1024;
/// After the client's end of the connection the library may still have something to
/// do for it, such as publishing its last will.
const LINGER: Duration = Duration::from_secs(1);
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection from the door to the library.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The common name of its certificate, which a TLS listener demands.
    pub(crate) certificate_name: Option<String>,
    logged_in: Notify,
    is_rate_limited: AtomicBool,
}

impl Peer {
    pub(crate) fn log_in(&self, is_rate_limited: bool) {
        self.is_rate_limited.store(is_rate_limited, Ordering::Relaxed);
        self.logged_in.notify_one();
    }
}

/// The connections of the door, by the address from which the library sees them.
#[derive(Clone, Default)]
pub(crate) struct Peers(Arc<Mutex<HashMap<SocketAddr, Arc<Peer>>>>);

impl Peers {
    pub(crate) fn find(&self, inner: SocketAddr) -> Option<Arc<Peer>> {
        self.lock().get(&inner).cloned()
    }

    fn note(&self, inner: SocketAddr, peer: Arc<Peer>) -> Noted {
        self.lock().insert(inner, peer);
        Noted { peers: self.clone(), inner }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Arc<Peer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the peer when the connection ends.
struct Noted {
    peers: Peers,
    inner: SocketAddr,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.peers.lock().remove(&self.inner);
    }
}

#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) library: SocketAddr,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) peers: Peers,
    pub(crate) limits: Arc<Limits>,
}

impl Door {
    pub(crate) async fn run(self, listener: TcpListener) {
        let waiting = WaitingRoom::new(self.limits.connections_before_login_max);
        loop {
            let place = waiting.enter().await;
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: others must end first.
                    tracing::warn!(%error, "accept an MQTT connection");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    continue;
                }
            };
            let Some(place) = place.of(address.ip()) else {
                tracing::info!(peer = %address, "an MQTT connection is closed: too many of its address have not logged in");
                continue;
            };
            let door = self.clone();
            tokio::spawn(async move {
                if let Err(error) = door.serve(stream, address, place).await {
                    tracing::debug!(peer = %address, %error, "an MQTT connection ended");
                }
            });
        }
    }

    async fn serve(self, stream: TcpStream, address: SocketAddr, place: Place) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let deadline = tokio::time::Instant::now() + self.limits.login_timeout;
        match self.tls.clone() {
            None => self.connect_through(stream, address, None, place, deadline).await,
            Some(tls) => {
                let greeted = tokio::time::timeout_at(deadline, tls.accept(stream)).await;
                let stream = greeted.map_err(|_| io::ErrorKind::TimedOut)??;
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                // A certificate without a name is nobody's: an empty one fits no login.
                let name = certificate.and_then(common_name).unwrap_or_default();
                self.connect_through(stream, address, Some(name), place, deadline).await
            }
        }
    }

    async fn connect_through<S: AsyncRead + AsyncWrite>(
        self,
        client: S,
        address: SocketAddr,
        certificate_name: Option<String>,
        place: Place,
        deadline: tokio::time::Instant,
    ) -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(chance_loopback()?)?;
        let peer = Arc::new(Peer {
            address,
            certificate_name,
            logged_in: Notify::new(),
            is_rate_limited: AtomicBool::new(true),
        });
        let _noted = self.peers.note(socket.local_addr()?, peer.clone());
        let library = socket.connect(self.library).await?;
        library.set_nodelay(true)?;
        let (from_library, mut to_library) = library.into_split();
        let (from_client, mut to_client) = tokio::io::split(client);
        let write_within = self.limits.send_timeout;
        let up = async {
            let rate = ByteRate::new(self.limits.bytes_per_s_max, &peer.is_rate_limited);
            let done =
                pump(from_client, &mut to_library, UP_BUFFER_BYTES, write_within, Some(rate)).await;
            to_library.shutdown().await?;
            tokio::time::sleep(LINGER).await;
            done
        };
        let down = async {
            pump(from_library, &mut to_client, DOWN_BUFFER_BYTES, write_within, None).await?;
            to_client.shutdown().await
        };
        let login_in_time = async {
            let in_time =
                tokio::time::timeout_at(deadline, peer.logged_in.notified()).await.is_ok();
            drop(place);
            if in_time {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = up => ended,
            ended = down => ended,
            () = login_in_time => Err(io::Error::new(io::ErrorKind::TimedOut, "no login in time")),
        }
    }
}

/// An address of this machine, and a free port there.
fn chance_loopback() -> io::Result<SocketAddr> {
    let mut part = [0; 3];
    getrandom::fill(&mut part).map_err(io::Error::other)?;
    // Neither 127.0.0.0 nor 127.255.255.255, which are no addresses of a host.
    let [a, b, c] = part;
    Ok(SocketAddr::from((Ipv4Addr::new(127, a, b, c.clamp(1, 254)), 0)))
}

/// Moves bytes until the source ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    buffer_bytes: usize,
    write_within: Duration,
    rate: Option<ByteRate<'_>>,
) -> io::Result<()> {
    let mut buffer = vec![0; buffer_bytes];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if let Some(rate) = &rate {
            rate.wait(count).await;
        }
        // One that reads nothing would else hold the connection after the library
        // has given it up.
        let write = async {
            to.write_all(&buffer[..count]).await?;
            to.flush().await
        };
        tokio::time::timeout(write_within, write).await.map_err(|_| io::ErrorKind::TimedOut)??;
    }
}

/// Lets one client's bytes through at a bounded rate: TCP makes it wait.
struct ByteRate<'a> {
    limiter: Option<governor::DefaultDirectRateLimiter>,
    holds: &'a AtomicBool,
}

impl<'a> ByteRate<'a> {
    fn new(bytes_per_s_max: u32, holds: &'a AtomicBool) -> Self {
        let quota = NonZeroU32::new(bytes_per_s_max).map(governor::Quota::per_second);
        Self { limiter: quota.map(governor::RateLimiter::direct), holds }
    }

    async fn wait(&self, bytes: usize) {
        if !self.holds.load(Ordering::Relaxed) {
            return;
        }
        let Some(limiter) = &self.limiter else { return };
        let Some(bytes) = u32::try_from(bytes).ok().and_then(NonZeroU32::new) else { return };
        // An error means that a second's bytes are fewer than one buffer.
        let _ = limiter.until_n_ready(bytes).await;
    }
}

/// The places of connections that have not logged in.
struct WaitingRoom {
    places: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    of_one_address_max: usize,
}

struct FreePlace {
    permit: OwnedSemaphorePermit,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    of_one_address_max: usize,
}

struct Place {
    _permit: OwnedSemaphorePermit,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl WaitingRoom {
    fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            by_address: Arc::default(),
            of_one_address_max: places.div_ceil(2),
        }
    }

    async fn enter(&self) -> FreePlace {
        let permit = self.places.clone().acquire_owned().await;
        FreePlace {
            permit: permit.expect("nobody closes the semaphore"),
            by_address: self.by_address.clone(),
            of_one_address_max: self.of_one_address_max,
        }
    }
}

impl FreePlace {
    /// `None` when the address has its share.
    fn of(self, address: IpAddr) -> Option<Place> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_default();
        if *count >= self.of_one_address_max {
            return None;
        }
        *count += 1;
        drop(by_address);
        Some(Place { _permit: self.permit, by_address: self.by_address, address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// The one common name of a certificate that TLS has verified.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.to_owned();
    names.next().is_none().then_some(name)
}
