//! The bar: the same bytes published as they are, through the same broker program
//! with the same limits in a process of its own, to as many subscribers that do
//! nothing but receive them.

use anyhow::{Context, ensure};
use embedded_broker::{AccessControl, Broker, BrokerConfig, Limits, Login, LoginFuture, Who};
use harness::OwnedProcess;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const TOPIC: &str = "farrier/1/blob/raw";
const SOURCE: &str = "source";
const PACKET_BYTES_MAX: usize = 128 * 1024;
const WITHIN: Duration = Duration::from_secs(300);

struct Anyone;

impl AccessControl for Anyone {
    fn authenticate<'a>(&'a self, _: &'a str, _: &'a [u8]) -> LoginFuture<'a> {
        Box::pin(async { Login::Allowed })
    }

    fn may_publish(&self, who: &Who, topic: &str) -> bool {
        who.client_id() == SOURCE && topic == TOPIC
    }

    fn may_retain(&self, _: &Who, _: &str) -> bool {
        false
    }

    /// As the gateway's own client.
    fn is_rate_limited(&self, who: &Who) -> bool {
        who.client_id() != SOURCE
    }

    fn may_subscribe(&self, _: &Who, filter: &str) -> bool {
        filter == TOPIC
    }
}

/// What the child process of [`measure`] does: prints its address and serves.
pub async fn serve() -> anyhow::Result<()> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = BrokerConfig { listen, limits: Limits::default() };
    let broker = Broker::start(config, Arc::new(Anyone)).await?;
    println!("{}", broker.local_addr());
    std::future::pending::<()>().await;
    Ok(())
}

#[derive(Debug, Clone, Copy)]
pub struct RawRun {
    pub received_bytes: u64,
    pub time: Duration,
}

#[derive(Default)]
struct Counts {
    subscribed: AtomicUsize,
    whole: AtomicUsize,
    bytes: AtomicU64,
}

/// Publishes the pieces once to `count` subscribers and waits until all have all.
pub async fn measure(
    program: &Path,
    log: &Path,
    pieces: &[Vec<u8>],
    count: usize,
) -> anyhow::Result<RawRun> {
    let mut command = Command::new(program);
    command.arg("raw-broker");
    let (_process, stdout) = OwnedProcess::start("raw broker", &mut command, log)?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let broker: SocketAddr = line.trim().parse().context("the raw broker's address")?;

    let total: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    let counts = Arc::new(Counts::default());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        let (client, event_loop) = client(broker, &format!("reader-{number}"));
        tasks.spawn(read(client, event_loop, total, counts.clone()));
    }
    wait_for(&counts.subscribed, count, "subscribed").await?;
    let (source, mut source_loop) = client(broker, SOURCE);
    let source_task = tokio::spawn(async move { while source_loop.poll().await.is_ok() {} });
    let began = Instant::now();
    for piece in pieces {
        source.publish(TOPIC, QoS::AtMostOnce, false, piece.clone()).await?;
    }
    wait_for(&counts.whole, count, "whole").await?;
    let time = began.elapsed();
    source_task.abort();
    Ok(RawRun { received_bytes: counts.bytes.load(Ordering::Relaxed), time })
}

fn client(broker: SocketAddr, id: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, broker.ip().to_string(), broker.port());
    options.set_credentials(id, "any");
    options.set_keep_alive(Duration::from_secs(60));
    options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
    AsyncClient::new(options, 64)
}

/// Subscribes at each connection, as the broker lets a crowd in by and by, and ends
/// with the last byte or when a connection that had subscribed is lost.
async fn read(client: AsyncClient, mut event_loop: EventLoop, total: u64, counts: Arc<Counts>) {
    let mut left = total;
    let mut is_subscribed = false;
    loop {
        match event_loop.poll().await {
            Err(_) if is_subscribed => break,
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if client.try_subscribe(TOPIC, QoS::AtMostOnce).is_err() {
                    break;
                }
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                is_subscribed = true;
                counts.subscribed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                counts.bytes.fetch_add(message.payload.len() as u64, Ordering::Relaxed);
                left = left.saturating_sub(message.payload.len() as u64);
                if left == 0 {
                    counts.whole.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
            Ok(_) => {}
        }
    }
}

async fn wait_for(counter: &AtomicUsize, count: usize, what: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let have = counter.load(Ordering::Relaxed);
        if have >= count {
            return Ok(());
        }
        ensure!(began.elapsed() < WITHIN, "{have} of {count} raw readers are {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
