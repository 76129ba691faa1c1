//! `kill -9` of the broker, which loses all sessions and state with it, at random points
//! of deployments.
//!
//! The broker is Debian's mosquitto, so that gateway and devices live on. Each seed
//! deploys and kills it, perhaps several times and perhaps before the deployment; it
//! comes back empty after a while. The gateway has to publish everything again.

use crate::mosquitto::{Mosquitto, missing};
use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig, Workplace};
use anyhow::Context;
use fastrand::Rng;
use harness::GatewayOptions;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Runtime;

const DEVICES: usize = 2;
const KILL_WITHIN_MS: u64 = 900;
const AWAY_MS_MAX: u64 = 1_500;
const KILLS_MAX: u32 = 3;

pub const KIND: Kind = Kind {
    name: "broker-kills",
    fault: "kill -9 of the broker (mosquitto, TLS with client certificates), all its sessions and state lost, during deployments",
    oracle: "the fleet converges from the gateway's store; acknowledged deployments are there; generations never go back; no alarm; no panic",
    goal: 500,
    short_goal: 4,
    missing,
    open,
};

/// The world goes first: it ends its processes.
struct BrokerKills {
    world: World,
    broker: Mosquitto,
    runtime: Runtime,
}

fn open(workplace: &Workplace) -> anyhow::Result<Box<dyn Rig>> {
    let runtime = runtime()?;
    let mut broker = Mosquitto::new(&workplace.folder)?;
    let mut options = GatewayOptions::new(&workplace.folder);
    options.broker_url = Some(broker.url());
    let world = runtime.block_on(async {
        let mut world = World::without_devices(options, &workplace.folder).await?;
        broker.configure(&world, &workplace.folder.join("gateway.toml"))?;
        broker.start().await?;
        for number in 0..DEVICES {
            world.add_device(&format!("fault-{number}")).await?;
        }
        world.settle().await?;
        anyhow::Ok(world)
    })?;
    Ok(Box::new(BrokerKills { world, broker, runtime }))
}

impl Rig for BrokerKills {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Self { world, broker, runtime } = self;
        runtime.block_on(async {
            let version = 1 + u32::try_from(seed % 2)?;
            let kills = random.u32(1..=KILLS_MAX);
            // The deployment is asked for before the first kill, or while the broker is
            // away for the first or a later time.
            let deploy_at = random.u32(0..=kills);
            for kill in 0..kills {
                if kill == deploy_at {
                    world.deploy(version).await.context("deploy")?;
                }
                tokio::time::sleep(Duration::from_millis(random.u64(0..KILL_WITHIN_MS))).await;
                broker.kill()?;
                if kill + 1 == kills && deploy_at == kills {
                    world.deploy(version).await.context("deploy without a broker")?;
                }
                tokio::time::sleep(Duration::from_millis(random.u64(0..AWAY_MS_MAX))).await;
                broker.start().await?;
            }
            world.wait_converged(&BTreeMap::new()).await?;
            Ok(Outcome { faults: u64::from(kills) })
        })
    }
}
