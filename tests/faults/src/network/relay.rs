//! A relay of TCP connections that can be slow: what it read it passes on later, in
//! pieces of other sizes.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Of each piece, in each direction: from the shortest to the longest time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay {
    pub min_ms: u64,
    pub max_ms: u64,
    /// Counts up to have all connections reset.
    pub resets: u32,
}

pub struct Relay {
    address: SocketAddr,
    delay: watch::Sender<Delay>,
    to: watch::Sender<Option<SocketAddr>>,
    task: JoinHandle<()>,
}

/// A piece is passed on whole or in two.
const PIECE_BYTES_MAX: usize = 4_096;
/// Pieces that wait; beyond, the sender feels it.
const PIECES_MAX: usize = 64;

impl Relay {
    /// It leads nowhere until [`Self::lead_to`].
    pub async fn start(host: Ipv4Addr, seed: u64) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr()?;
        let (delay, delay_now) = watch::channel(Delay::default());
        let (to, to_now) = watch::channel(None);
        let task = tokio::spawn(accept(listener, to_now, delay_now, seed));
        Ok(Self { address, delay, to, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn lead_to(&self, to: SocketAddr) {
        self.to.send_replace(Some(to));
    }

    pub fn set_delay(&self, min_ms: u64, max_ms: u64) {
        self.delay.send_modify(|delay| *delay = Delay { min_ms, max_ms, ..*delay });
    }

    pub fn reset_connections(&self) {
        self.delay.send_modify(|delay| delay.resets += 1);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    to: watch::Receiver<Option<SocketAddr>>,
    delay: watch::Receiver<Delay>,
    mut seed: u64,
) {
    while let Ok((from, _)) = listener.accept().await {
        seed = seed.wrapping_add(1);
        let (to, delay) = (*to.borrow(), delay.clone());
        if let Some(to) = to {
            tokio::spawn(relay(from, to, delay, seed));
        }
    }
}

async fn relay(from: TcpStream, to: SocketAddr, mut delay: watch::Receiver<Delay>, seed: u64) {
    let Ok(to) = TcpStream::connect(to).await else { return };
    let (from_read, from_write) = from.into_split();
    let (to_read, to_write) = to.into_split();
    let resets = delay.borrow_and_update().resets;
    let up = pass_on(from_read, to_write, delay.clone(), seed);
    let down = pass_on(to_read, from_write, delay.clone(), !seed);
    let reset = delay.wait_for(|delay| delay.resets != resets);
    tokio::select! {
        () = async { tokio::join!(up, down); } => {}
        _ = reset => {}
    }
}

/// Until either end ends it. Pieces keep their order, as TCP does, but not their
/// distance.
async fn pass_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: watch::Receiver<Delay>,
    seed: u64,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let read = async {
        let mut buffer = vec![0; PIECE_BYTES_MAX];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let Delay { min_ms, max_ms, .. } = *delay.borrow();
            let due = Instant::now() + Duration::from_millis(random.u64(min_ms..=max_ms));
            let piece = buffer[..count].to_vec();
            if send.send((due, piece)).await.is_err() {
                return;
            }
        }
        drop(send);
    };
    let write = async {
        while let Some((due, piece)) = receive.recv().await {
            tokio::time::sleep_until(due.into()).await;
            let middle = piece.len() / 2;
            for part in [&piece[..middle], &piece[middle..]] {
                if to.write_all(part).await.is_err() || to.flush().await.is_err() {
                    return;
                }
            }
        }
        // The other direction may go on.
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
