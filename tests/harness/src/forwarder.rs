//! A TCP forwarder between devices and broker, whose route a test can change.
//!
//! With it a test pulls the plug, leads the devices to a broker of its own, or
//! changes bytes on the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    To(SocketAddr),
    /// As `To`, but each occurrence of the first bytes on the way to the device
    /// is overwritten by the second, which are as long.
    Changing(SocketAddr, Arc<[u8]>, Arc<[u8]>),
    /// Connections are closed at once.
    Cut,
}

#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    route: watch::Sender<Route>,
    changed: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Forwarder {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (route, watched) = watch::channel(Route::Cut);
        let changed: Arc<AtomicU64> = Arc::default();
        let task = tokio::spawn(accept(listener, watched, changed.clone()));
        Ok(Self { address, route, changed, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the route; connections of the old one are closed.
    pub fn set_route(&self, route: Route) {
        self.route.send_replace(route);
    }

    /// How often [`Route::Changing`] has found its bytes and overwritten them.
    pub fn changed(&self) -> u64 {
        self.changed.load(Ordering::Relaxed)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, route: watch::Receiver<Route>, changed: Arc<AtomicU64>) {
    while let Ok((device, _)) = listener.accept().await {
        tokio::spawn(forward(device, route.clone(), changed.clone()));
    }
}

/// Moves bytes both ways until either end or the route ends it.
async fn forward(device: TcpStream, mut route: watch::Receiver<Route>, changed: Arc<AtomicU64>) {
    let current = route.borrow_and_update().clone();
    let (to, change) = match current {
        Route::Cut => return,
        Route::To(to) => (to, None),
        Route::Changing(to, from, into) => (to, Some((from, into))),
    };
    let Ok(broker) = TcpStream::connect(to).await else { return };
    let (mut from_device, mut to_device) = device.into_split();
    let (mut from_broker, mut to_broker) = broker.into_split();
    let up = tokio::io::copy(&mut from_device, &mut to_broker);
    let down = async {
        let mut buffer = Vec::new();
        loop {
            let mut chunk = [0; 16 * 1024];
            let count = match from_broker.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            buffer.extend_from_slice(&chunk[..count]);
            let keep = change.as_ref().map_or(0, |(from, into)| {
                let (count, keep) = replace(&mut buffer, from, into);
                changed.fetch_add(count, Ordering::Relaxed);
                keep
            });
            let send = buffer.len() - keep.min(buffer.len());
            if to_device.write_all(&buffer[..send]).await.is_err() {
                return;
            }
            buffer.drain(..send);
        }
    };
    tokio::select! {
        _ = up => {}
        () = down => {}
        _ = route.changed() => {}
    }
}

/// Overwrites `from` by `into` wherever it is whole, and says how often, and how many
/// bytes at the end may be its beginning and must wait for more.
fn replace(buffer: &mut [u8], from: &[u8], into: &[u8]) -> (u64, usize) {
    let mut count = 0;
    let mut index = 0;
    while index + from.len() <= buffer.len() {
        if buffer[index..].starts_with(from) {
            buffer[index..index + from.len()].copy_from_slice(into);
            count += 1;
        }
        index += 1;
    }
    let keep = (1..from.len()).rev().find(|len| buffer.ends_with(&from[..*len])).unwrap_or(0);
    (count, keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_replaced_also_across_two_reads() {
        let mut whole = b"..abc..".to_vec();
        assert_eq!(replace(&mut whole, b"abc", b"xyz"), (1, 0));
        assert_eq!(whole, b"..xyz..");
        let mut cut = b"..ab".to_vec();
        assert_eq!(replace(&mut cut, b"abc", b"xyz"), (0, 2));
    }
}
