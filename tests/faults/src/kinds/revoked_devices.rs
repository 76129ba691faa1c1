//! Devices that lose their rights at a random point of a deployment.
//!
//! Each seed lets a device in, deploys a module that nobody has yet, and revokes the
//! device at a random time. Its session must end within a second; of what is deployed
//! after that it must get nothing; and the rest of the fleet must not notice.

use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig, Workplace, nothing_is_missing};
use anyhow::{Context, ensure};
use fastrand::Rng;
use harness::{AgentProcess, GatewayOptions};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const DEVICES: usize = 2;
const REVOKE_WITHIN_MS: u64 = 700;

/// From the request to the gateway to the agent's word that its connection is gone.
const SESSION_ENDS_WITHIN: Duration = Duration::from_secs(1);
/// How long a session is waited for that should have ended.
const SESSION_END_MAX: Duration = Duration::from_secs(20);

pub const KIND: Kind = Kind {
    name: "revoked-devices",
    fault: "device revoked during a deployment",
    oracle: "its session ends within a second; it gets nothing of a later deployment; the rest of the fleet converges; no alarm; no panic",
    goal: 200,
    short_goal: 2,
    missing: nothing_is_missing,
    open,
};

/// The world goes first: it ends its processes.
struct RevokedDevices {
    world: World,
    runtime: Runtime,
}

fn open(workplace: &Workplace) -> anyhow::Result<Box<dyn Rig>> {
    let runtime = runtime()?;
    let mut options = GatewayOptions::new(&workplace.folder);
    options.mqtt_tls = true;
    let world = runtime.block_on(World::start_with(options, DEVICES))?;
    Ok(Box::new(RevokedDevices { world, runtime }))
}

impl Rig for RevokedDevices {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Self { world, runtime } = self;
        let name = format!("stolen-{seed}");
        runtime.block_on(async {
            world.add_device(&name).await?;
            world.fleet.wait_online(&name).await?;
            let version = world.push().await?;
            world.deploy(version).await?;
            tokio::time::sleep(Duration::from_millis(random.u64(0..REVOKE_WITHIN_MS))).await;
            let index = world.fleet.agents.iter().position(|agent| agent.name() == name);
            // It goes on running, outside the fleet.
            let stolen = world.fleet.agents.remove(index.context("the device was started")?);
            revoke(world, &stolen).await?;
            let generation = world.fleet.client().device(&name).await?.generation;
            world.wait_converged(&BTreeMap::new()).await.context("the rest, after it")?;

            let later = world.push().await?;
            world.deploy(later).await?;
            world.wait_converged(&BTreeMap::new()).await.context("the rest, without it")?;
            let device = world.fleet.client().device(&name).await?;
            ensure!(device.revoked_at_ms.is_some(), "{device:?}");
            ensure!(device.generation == generation, "it was heard of later: {device:?}");
            for artifact in world.artifacts(later).await? {
                let blob = stolen.store().join("store/blobs").join(&artifact);
                ensure!(!blob.exists(), "it has the artifact of a later deployment");
            }
            drop(stolen);
            world.fleet.client().remove_device(&name).await?;
            Ok(Outcome { faults: 1 })
        })
    }
}

/// Revokes a device and waits for its agent's word that the session has ended.
async fn revoke(world: &World, stolen: &AgentProcess) -> anyhow::Result<()> {
    let losses = || -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(stolen.log_file())?;
        Ok(log.matches("no connection to the broker").count())
    };
    let before = losses()?;
    let began = Instant::now();
    world.fleet.client().revoke_device(stolen.name()).await?;
    while losses()? == before {
        ensure!(began.elapsed() < SESSION_END_MAX, "the session goes on\n{}", stolen.log_tail());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    ensure!(took <= SESSION_ENDS_WITHIN, "the session ended only after {took:?}");
    Ok(())
}
