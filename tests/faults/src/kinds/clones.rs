//! Devices that exist twice: an agent's data directory, copied and started again.
//!
//! Each seed makes a device, copies it at a random time and lets both run with one key.
//! The gateway must see it and say so, by an alarm of the device, while it raises none
//! for its neighbour; and when the copy is gone, the device must come to agree with the
//! gateway after its next start.

use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig, Workplace, nothing_is_missing};
use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use harness::{AgentProcess, wait_for};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

const NEIGHBOUR: &str = "fault-0";
const SEEN_WITHIN: Duration = Duration::from_secs(60);

pub const KIND: Kind = Kind {
    name: "clones",
    fault: "device cloned: its data copied and started twice",
    oracle: "the gateway raises the alarm `cloned` for it and none for its neighbour; without the copy it converges after its next start; no panic",
    goal: 50,
    short_goal: 1,
    missing: nothing_is_missing,
    open,
};

/// The world goes first: it ends its processes.
struct Clones {
    world: World,
    runtime: Runtime,
}

fn open(workplace: &Workplace) -> anyhow::Result<Box<dyn Rig>> {
    let runtime = runtime()?;
    let world = runtime.block_on(World::start(&workplace.folder, 1))?;
    Ok(Box::new(Clones { world, runtime }))
}

impl Rig for Clones {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Self { world, runtime } = self;
        let name = format!("genuine-{seed}");
        runtime.block_on(async {
            let mut options = world.agent_options(&name).await?;
            world.fleet.start_device_with(options.clone())?;
            world.fleet.wait_online(&name).await?;
            tokio::time::sleep(Duration::from_millis(random.u64(0..1_000))).await;
            let genuine = options.data.clone();
            options.data = genuine.with_extension("copy");
            copy(&genuine.join("agent"), &options.data.join("agent"))?;
            let copied = AgentProcess::start(&world.fleet.kit, options)?;
            let seen = wait_for_alarm(world, &name).await;
            drop(copied);
            if let Err(error) = seen {
                bail!("{error:#}\n{}", world.fleet.logs());
            }
            let neighbour = world.fleet.client().device(NEIGHBOUR).await?;
            ensure!(neighbour.alarms.is_empty(), "the neighbour has {:?}", neighbour.alarms);
            world.expect_alarms(&name);
            // To the gateway the copy was the newer start, and what an older one says may
            // be a replay: the genuine device is heard again from its next start on.
            world.restart_agent(&name)?;
            world.deploy(1 + u32::try_from(seed % 2)?).await?;
            world.wait_converged(&BTreeMap::new()).await.context("without the copy")?;
            let index = world.fleet.agents.iter().position(|agent| agent.name() == name);
            world.fleet.agents.remove(index.context("the device is in the fleet")?);
            Ok(Outcome { faults: 1 })
        })
    }
}

async fn wait_for_alarm(world: &World, name: &str) -> anyhow::Result<()> {
    let client = world.fleet.client().clone();
    wait_for("the alarm `cloned`", SEEN_WITHIN, async || {
        let device = client.device(name).await?;
        Ok(match device.alarms.iter().any(|alarm| alarm.kind == "cloned") {
            true => Ok(()),
            false => Err(format!("{:?}", device.alarms)),
        })
    })
    .await
}

/// The files as they are at the time, as a thief would take them; not the lock, which is
/// the process's.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else if let Err(error) = std::fs::copy(&from, &to)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("copy {}", from.display()));
        }
    }
    Ok(())
}
