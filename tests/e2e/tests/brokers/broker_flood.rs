//! Floods of connections, logins and messages at the gateway's own broker: a
//! neighbour's deliveries go on, measured before and during each.

use crate::identity::Identity;
use crate::session::Session;
use crate::{FILTER, SOON, VICTIM, losses, tls_fleet};
use anyhow::{Context, ensure};
use device_protocol::Topic;
use gateway_api::{DeviceSelector, NewDeployment};
use harness::Fleet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

const THIEF: &str = "thief";
/// Deliveries of which the middle one counts.
const DELIVERIES: usize = 5;
/// A flood may take processor time from others, but no more: a delivery during it takes
/// at most so many times as long as before it, or this if that is more.
const SLOWER_MAX: u32 = 4;
const ALWAYS_GOOD: Duration = Duration::from_secs(3);
/// Another address of this machine, so that the flood does not share its limit with the
/// devices.
const FLOODER: [u8; 4] = [127, 0, 0, 66];
const FLOOD_TASKS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_flood() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = tls_fleet(data.path()).await?;
    let thief = Arc::new(Identity::steal(&mut fleet, THIEF).await?);
    let broker = fleet.gateway().mqtt();
    let lost_before = losses(&mut fleet, VICTIM)?;
    let calm = deliver(&mut fleet, "before").await?;

    for kind in [Kind::Connections, Kind::Logins, Kind::Messages] {
        let count = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let mut flood = JoinSet::new();
        for _ in 0..kind.tasks() {
            flood.spawn(kind.run(broker, thief.clone(), count.clone()));
        }
        // It has begun, and goes on.
        while count.load(Ordering::Relaxed) < 100 {
            ensure!(began.elapsed() < SOON, "no flood of {kind:?}: {}", fleet.logs());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let during = deliver(&mut fleet, &format!("during a flood of {kind:?}")).await?;
        let rate = count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
        flood.shutdown().await;
        println!("{kind:?}: {rate:.0} a second");
        let good = ALWAYS_GOOD.max(calm * SLOWER_MAX);
        ensure!(during < good, "a delivery took {during:?} during {kind:?}, {calm:?} before");
    }

    ensure!(losses(&mut fleet, VICTIM)? == lost_before, "the neighbour lost its connection");
    let log = std::fs::read_to_string(fleet.gateway().log_file())?;
    ensure!(!log.contains("connection to the broker is lost"), "{}", fleet.logs());
    let refused = fleet.client().device(THIEF).await?.refused_messages;
    ensure!(refused > 100, "{refused} refusals were counted");
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a stranger, who says nothing on any.
    Connections,
    /// With a good certificate and a bad token.
    Logins,
    /// Of one device, as fast as the broker takes them.
    Messages,
}

impl Kind {
    /// One device has one session: two would do nothing but end each other.
    fn tasks(self) -> usize {
        if self == Self::Messages { 1 } else { FLOOD_TASKS }
    }

    async fn run(self, broker: SocketAddr, thief: Arc<Identity>, count: Arc<AtomicU64>) {
        let flood = match self {
            Self::Connections => connections(broker, &count).await,
            Self::Logins => logins(&thief, &count).await,
            Self::Messages => messages(&thief, &count).await,
        };
        if let Err(error) = flood {
            eprintln!("the flood of {self:?} ended: {error:#}");
        }
    }
}

async fn connections(broker: SocketAddr, count: &AtomicU64) -> anyhow::Result<()> {
    let mut open = std::collections::VecDeque::new();
    loop {
        let socket = TcpSocket::new_v4()?;
        socket.bind((FLOODER, 0).into())?;
        match socket.connect(broker).await {
            Ok(stream) => open.push_back(stream),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        count.fetch_add(1, Ordering::Relaxed);
        if open.len() > 600 {
            open.pop_front();
        }
        tokio::task::yield_now().await;
    }
}

async fn logins(thief: &Identity, count: &AtomicU64) -> anyhow::Result<()> {
    loop {
        let options = thief.options(thief.device.as_str(), "Zm9yZ2Vk")?;
        ensure!(Session::login(options).await.is_err(), "a forged token was good");
        count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn messages(thief: &Identity, count: &AtomicU64) -> anyhow::Result<()> {
    let topic = Topic::Report(thief.device.clone()).to_string();
    loop {
        let options = thief.options(thief.device.as_str(), &thief.login_token()?)?;
        let Ok(session) = Session::login(options).await else { continue };
        for number in 0_u32.. {
            let long = if number.is_multiple_of(50) { 60 * 1024 } else { 16 };
            if session.throw(&topic, vec![7; long]).await.is_err() {
                break;
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// From the request to the gateway to the device's word that it has the new manifest,
/// in the middle of some.
async fn deliver(fleet: &mut Fleet, when: &str) -> anyhow::Result<Duration> {
    let client = fleet.client().clone();
    let mut times = Vec::new();
    for number in 0..DELIVERIES {
        let new = NewDeployment {
            interval_ms: Some(100 + (number as u32 % 2)),
            ..Fleet::filter_deployment(FILTER, DeviceSelector::These(vec![VICTIM.to_owned()]))
        };
        let began = Instant::now();
        client.create_deployment(&new).await?;
        loop {
            let device = client.device(VICTIM).await?;
            if device.generation == device.generation_wanted {
                break;
            }
            ensure!(began.elapsed() < SOON, "no delivery {when}: {device:?}\n{}", fleet.logs());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        times.push(began.elapsed());
    }
    times.sort();
    println!("deliveries {when}: {times:.0?}");
    times.get(DELIVERIES / 2).copied().context("there were some")
}
