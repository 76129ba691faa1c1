//! `kill -9` of the gateway at random points of deployments.
//!
//! Each seed asks for something (another deployment, sometimes a new module first) and
//! kills the gateway at a random time, perhaps before it has answered and perhaps again
//! while it starts. What it had acknowledged must be there, and the fleet must agree.

use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig, Workplace, nothing_is_missing};
use anyhow::Context;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Runtime;

const DEVICES: usize = 2;
const KILL_WITHIN_MS: u64 = 700;
const KILLS_MAX: u32 = 4;

pub const KIND: Kind = Kind {
    name: "gateway-kills",
    fault: "kill -9 of the gateway during uploads and deployments",
    oracle: "acknowledged modules and deployments are there; the fleet converges; generations never go back; no generation with two contents; no panic",
    goal: 1_000,
    short_goal: 8,
    missing: nothing_is_missing,
    open,
};

fn open(workplace: &Workplace) -> anyhow::Result<Box<dyn Rig>> {
    let runtime = runtime()?;
    let world = runtime.block_on(World::start(&workplace.folder, DEVICES))?;
    Ok(Box::new(GatewayKills { world, runtime }))
}

/// The world goes first: it ends its processes.
struct GatewayKills {
    world: World,
    runtime: Runtime,
}

impl Rig for GatewayKills {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Self { world, runtime } = self;
        runtime.block_on(async {
            let kills = random.u32(1..=KILLS_MAX);
            for _ in 0..kills {
                let kill_after = Duration::from_millis(random.u64(0..KILL_WITHIN_MS));
                // The request goes on until it is answered or the time has come; an
                // answer that was lost with the gateway was no acknowledgement.
                let asked = ask(world, &mut random);
                let answer = tokio::time::timeout(kill_after, asked).await;
                if let Ok(answer) = answer {
                    answer.context("an answer before the kill")?;
                    tokio::time::sleep(kill_after / 2).await;
                }
                world.fleet.restart_gateway()?;
            }
            world.check_modules().await?;
            world.wait_converged(&BTreeMap::new()).await?;
            Ok(Outcome { faults: u64::from(kills) })
        })
    }
}

async fn ask(world: &mut World, random: &mut Rng) -> anyhow::Result<()> {
    if random.u8(0..8) == 0 {
        world.push().await?;
    }
    let version = random.u32(1..=world.newest_version());
    world.deploy(version).await
}
