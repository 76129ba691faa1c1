//! `kill -9` of agents at random points of deployments.
//!
//! Each seed deploys the other version of a module to a fleet, kills some of its agents
//! after a random time, perhaps again while they start, and waits until all agree.

use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig, Workplace, nothing_is_missing};
use anyhow::Context;
use fastrand::Rng;
use std::time::Duration;
use tokio::runtime::Runtime;

const DEVICES: usize = 4;

/// A deployment of a small module takes about that long; later kills meet a fleet at
/// rest, which is a point of a deployment too.
const KILL_WITHIN_MS: u64 = 900;

/// Kills of one agent in one seed at most.
const KILLS_MAX: u32 = 3;

pub const KIND: Kind = Kind {
    name: "agent-kills",
    fault: "kill -9 of an agent during deployments",
    oracle: "the fleet converges; generations never go back; only artifacts of the gateway run; no panic",
    goal: 2_000,
    short_goal: 16,
    missing: nothing_is_missing,
    open,
};

fn open(workplace: &Workplace) -> anyhow::Result<Box<dyn Rig>> {
    let runtime = runtime()?;
    let world = runtime.block_on(World::start(&workplace.folder, DEVICES))?;
    Ok(Box::new(AgentKills { world, runtime }))
}

/// The world goes first: it ends its processes.
struct AgentKills {
    world: World,
    runtime: Runtime,
}

impl Rig for AgentKills {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Self { world, runtime } = self;
        runtime.block_on(async {
            let before = world.boot_ids().await?;
            world.deploy(1 + u32::try_from(seed % 2)?).await.context("deploy")?;
            let mut victims = world.device_names();
            random.shuffle(&mut victims);
            victims.truncate(random.usize(1..=DEVICES));
            let mut faults = 0;
            let rounds = if random.u8(0..4) == 0 { random.u32(2..=KILLS_MAX) } else { 1 };
            for _ in 0..rounds {
                tokio::time::sleep(Duration::from_millis(random.u64(0..KILL_WITHIN_MS))).await;
                for victim in &victims {
                    world.restart_agent(victim)?;
                    faults += 1;
                }
            }
            let mut before = before;
            before.retain(|name, _| victims.contains(name));
            world.wait_converged(&before).await?;
            Ok(Outcome { faults })
        })
    }
}
