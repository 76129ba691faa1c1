//! Partitions and bad links between devices and gateway.
//!
//! Each seed deploys to devices in a network namespace and makes their link bad for a
//! while: all packets lost both ways or one way, some lost, little let through, all of
//! it late, or connections reset. On a link that is only slow the devices have to agree
//! with the gateway before it heals; after a partition, when it has.

use crate::network::{Namespace, Relay, missing};
use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig, Workplace};
use anyhow::Context;
use fastrand::Rng;
use harness::GatewayOptions;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Runtime;

const DEVICES: usize = 2;

/// A long partition outlasts the keep-alive of the connection and more; few are, as TCP
/// and the fleet take as long again to come back.
const LONG_PARTITION: Duration = Duration::from_secs(25);
const LONG_EVERY: u8 = 40;

pub const KIND: Kind = Kind {
    name: "partitions",
    fault: "partition, loss, slow or late link, or reset connections between devices in a network namespace and the gateway",
    oracle: "devices agree with the gateway on a slow link, and after a partition; generations never go back; no panic",
    goal: 500,
    short_goal: 6,
    missing,
    open,
};

/// The world goes first: it ends its processes.
struct Partitions {
    world: World,
    relays: [Relay; 2],
    namespace: Namespace,
    runtime: Runtime,
}

fn open(workplace: &Workplace) -> anyhow::Result<Box<dyn Rig>> {
    let runtime = runtime()?;
    let namespace = Namespace::start()?;
    let (world, relays) = runtime.block_on(async {
        let relays =
            [Relay::start(namespace.host(), 1).await?, Relay::start(namespace.host(), 2).await?];
        let [http, mqtt] = &relays;
        let mut options = GatewayOptions::new(&workplace.folder);
        options.mqtt_advertise = Some(mqtt.address());
        let mut world = World::without_devices(options, &workplace.folder).await?;
        http.lead_to(address_of(world.fleet.gateway().url())?);
        mqtt.lead_to(world.fleet.gateway().mqtt());
        for number in 0..DEVICES {
            let mut agent = world.agent_options(&format!("fault-{number}")).await?;
            agent.gateway_url = format!("http://{}", http.address());
            agent.wrapper = namespace.wrapper();
            world.fleet.start_device_with(agent)?;
        }
        world.settle().await?;
        anyhow::Ok((world, relays))
    })?;
    Ok(Box::new(Partitions { world, relays, namespace, runtime }))
}

fn address_of(url: &str) -> anyhow::Result<SocketAddr> {
    let address = url.trim_start_matches("http://").parse();
    address.with_context(|| format!("{url} is no address"))
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Partition(&'static [&'static str]),
    Loss(u8),
    Slow { kilobits: u32 },
    Late { min_ms: u64, max_ms: u64 },
    Resets(u32),
}

const BOTH: &[&str] = &["in", "out"];

fn fault(random: &mut Rng) -> Fault {
    match random.u8(0..8) {
        0 | 1 => Fault::Partition(BOTH),
        2 => Fault::Partition(&["in"]),
        3 => Fault::Partition(&["out"]),
        4 => Fault::Loss(random.u8(5..35)),
        5 => Fault::Slow { kilobits: random.u32(64..1_000) },
        6 => {
            let min_ms = random.u64(0..200);
            Fault::Late { min_ms, max_ms: min_ms + random.u64(0..400) }
        }
        _ => Fault::Resets(random.u32(1..4)),
    }
}

impl Rig for Partitions {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Self { world, relays, namespace, runtime } = self;
        let fault = fault(&mut random);
        let ran = runtime.block_on(async {
            let begin = Duration::from_millis(random.u64(0..500));
            if random.bool() {
                world.deploy(1 + u32::try_from(seed % 2)?).await?;
                tokio::time::sleep(begin).await;
                impair(fault, namespace, relays)?;
            } else {
                impair(fault, namespace, relays)?;
                tokio::time::sleep(begin / 4).await;
                world.deploy(1 + u32::try_from(seed % 2)?).await?;
            }
            let stays = match fault {
                Fault::Partition(_) if random.u8(0..LONG_EVERY) == 0 => LONG_PARTITION,
                _ => Duration::from_millis(random.u64(50..1_500)),
            };
            tokio::time::sleep(stays).await;
            if let Fault::Resets(count) = fault {
                for _ in 0..count {
                    relays.iter().for_each(Relay::reset_connections);
                    tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
                }
            }
            if matches!(fault, Fault::Slow { .. } | Fault::Late { .. }) {
                world.wait_converged(&BTreeMap::new()).await.context("while the link is slow")?;
            }
            heal(namespace, relays)?;
            world.wait_converged(&BTreeMap::new()).await.context("after the link has healed")
        });
        ran.with_context(|| format!("{fault:?}"))?;
        Ok(Outcome { faults: 1 })
    }
}

fn impair(fault: Fault, namespace: &Namespace, relays: &[Relay]) -> anyhow::Result<()> {
    match fault {
        Fault::Partition(chains) => namespace.drop_packets(100, chains),
        Fault::Loss(percent) => namespace.drop_packets(percent, BOTH),
        Fault::Slow { kilobits } => namespace.slow_down(kilobits),
        Fault::Late { min_ms, max_ms } => {
            relays.iter().for_each(|relay| relay.set_delay(min_ms, max_ms));
            Ok(())
        }
        Fault::Resets(_) => Ok(()),
    }
}

fn heal(namespace: &Namespace, relays: &[Relay]) -> anyhow::Result<()> {
    relays.iter().for_each(|relay| relay.set_delay(0, 0));
    namespace.heal()
}
