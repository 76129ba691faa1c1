//! Clocks that jump ten years, both ways, while deployments go on.
//!
//! Each seed sets the clocks of the gateway and of the devices, each by itself, to right
//! or ten years ahead or behind, before or after it deploys, and perhaps kills somebody
//! meanwhile. Devices that ask the gateway for the time have to agree with it while all
//! clocks are wrong. One that believes its own clock may then refuse what it takes for
//! expired; it has to agree when the clocks are right again.

use crate::clock::{Clock, missing};
use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig, Workplace};
use anyhow::Context;
use fastrand::Rng;
use harness::GatewayOptions;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

const TEN_YEARS_DAYS: i32 = 3_652;

/// They ask for the time, all but the last, which believes its clock.
const ASKING: [&str; 2] = ["asking-0", "asking-1"];
const BELIEVING: &str = "believing";

/// In so many seeds one stays wrong, and then right, for as long as a device waits for a
/// heartbeat before it says that it is frozen.
const LONG_EVERY: u8 = 12;
const FREEZE_AFTER_MS: u32 = 4_000;
const LONG: Duration = Duration::from_millis(FREEZE_AFTER_MS as u64 * 5 + 1_000);

pub const KIND: Kind = Kind {
    name: "clock-jumps",
    fault: "clock of the gateway or of a device set ten years ahead, back or right during deployments",
    oracle: "devices that ask the gateway for the time agree with it while clocks are wrong, one that believes its own clock agrees when they are right; acknowledged deployments are there; generations never go back; no alarm; no panic",
    goal: 500,
    short_goal: 6,
    missing,
    open,
};

/// The world goes first: it ends its processes.
struct ClockJumps {
    world: World,
    gateway: Clock,
    devices: BTreeMap<&'static str, Clock>,
    runtime: Runtime,
}

fn open(workplace: &Workplace) -> anyhow::Result<Box<dyn Rig>> {
    let runtime = runtime()?;
    let clock = |name: &str| Clock::start(clock_file(&workplace.folder, name));
    let gateway = clock("gateway")?;
    let mut devices = BTreeMap::new();
    for name in ASKING.into_iter().chain([BELIEVING]) {
        devices.insert(name, clock(name)?);
    }
    let mut options = GatewayOptions::new(&workplace.folder);
    options.wrapper = gateway.wrapper();
    options.heartbeat_s = Some(1);
    let world = runtime.block_on(async {
        let mut world = World::without_devices(options, &workplace.folder).await?;
        for (name, clock) in &devices {
            let mut agent = world.agent_options(name).await?;
            agent.wrapper = clock.wrapper();
            agent.clock_trusted = *name == BELIEVING;
            agent.freeze_after_ms = Some(FREEZE_AFTER_MS);
            world.fleet.start_device_with(agent)?;
        }
        world.settle().await?;
        anyhow::Ok(world)
    })?;
    Ok(Box::new(ClockJumps { world, gateway, devices, runtime }))
}

fn clock_file(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(format!("{name}.clock"))
}

impl Rig for ClockJumps {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Self { world, gateway, devices, runtime } = self;
        let mut faults = 0;
        let ran = runtime.block_on(async {
            let begin = Duration::from_millis(random.u64(0..600));
            let version = 1 + u32::try_from(seed % 2)?;
            if random.bool() {
                world.deploy(version).await.context("deploy")?;
                tokio::time::sleep(begin).await;
                faults += jump(gateway, devices, &mut random)?;
            } else {
                faults += jump(gateway, devices, &mut random)?;
                tokio::time::sleep(begin).await;
                world.deploy(version).await.context("deploy")?;
            }
            match random.u8(0..6) {
                0 => world.fleet.restart_gateway()?,
                1 => world.restart_agent(random.choice(ASKING).unwrap_or(ASKING[0]))?,
                2 => world.restart_agent(BELIEVING)?,
                _ => {}
            }
            world.wait_converged_of(&ASKING).await.context("while clocks are wrong")?;
            let is_long = random.u8(0..LONG_EVERY) == 0;
            if is_long {
                tokio::time::sleep(LONG).await;
                world
                    .wait_converged_of(&ASKING)
                    .await
                    .context("while clocks are wrong for long")?;
            }
            for clock in devices.values_mut().chain([&mut *gateway]) {
                faults += u64::from(clock.set(0)?);
            }
            if random.bool() {
                world.deploy(1 + u32::try_from((seed + 1) % 2)?).await.context("deploy")?;
            }
            world.wait_converged(&BTreeMap::new()).await.context("when clocks are right")?;
            if is_long {
                tokio::time::sleep(LONG).await;
                world
                    .wait_converged(&BTreeMap::new())
                    .await
                    .context("when they have been for long")?;
            }
            anyhow::Ok(())
        });
        ran.with_context(|| {
            let of_devices: BTreeMap<_, _> = devices.iter().map(|(n, c)| (n, c.days())).collect();
            format!("clocks off by days: gateway {}, {of_devices:?}", gateway.days())
        })?;
        Ok(Outcome { faults })
    }
}

/// At least one of them jumps.
fn jump(
    gateway: &mut Clock,
    devices: &mut BTreeMap<&'static str, Clock>,
    random: &mut Rng,
) -> anyhow::Result<u64> {
    loop {
        let mut jumps = 0;
        for clock in devices.values_mut().chain([&mut *gateway]) {
            let days = [0, TEN_YEARS_DAYS, -TEN_YEARS_DAYS][random.usize(0..3)];
            jumps += u64::from(clock.set(days)?);
        }
        if jumps > 0 {
            return Ok(jumps);
        }
    }
}
