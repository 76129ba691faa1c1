//! Power cuts of a device's disk, block by block.
//!
//! A seed records the disk of a real agent through some deployments. Then the disk is
//! made again as some cuts would have left it and mounted; the agent's own code says
//! what is on it, and a real agent is started there and must come to agree with the
//! gateway.

use crate::power::{Entry, Mounted, Recorder, cut_image, make_image, missing};
use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig};
use anyhow::{Context, ensure};
use durable_disk::{Disk, RealDisk};
use farrier_agent::state::State;
use fastrand::Rng;
use harness::GatewayOptions;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const DISK_BYTES: u64 = 32 << 20;
const DEPLOYMENTS: u32 = 8;
const CUTS: u64 = 20;
const NAME: &str = "fault-0";

pub const KIND: Kind = Kind {
    name: "device-cuts",
    fault: "power cut of a device's disk: ext4 on recorded blocks, unflushed ones lost, kept or torn",
    oracle: "the device is who it was, its generation is no lower than it had reported, it comes to agree with the gateway; no panic",
    goal: 200,
    short_goal: 20,
    missing,
    open: |workplace| Ok(Box::new(DeviceCuts { folder: workplace.folder.clone() })),
};

struct DeviceCuts {
    folder: PathBuf,
}

/// What the device had reported when its disk had so many entries.
#[derive(Debug, Clone)]
struct Promise {
    at: usize,
    id: String,
    generation: u64,
}

impl Rig for DeviceCuts {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let folder = self.folder.join(seed.to_string());
        std::fs::create_dir_all(&folder)?;
        let runtime = runtime()?;
        let image = make_image(&folder.join("new"), DISK_BYTES)?;
        let (mut world, promises, entries) =
            runtime.block_on(record(&folder, image.clone(), &mut random))?;
        let first = promises.first().context("a first promise")?.at;
        for number in 0..CUTS {
            let at = random.usize(first..=entries.len());
            let promise = promises.iter().rev().find(|promise| promise.at <= at);
            let promise = promise.context("a promise before the cut")?;
            let disk = folder.join(format!("cut-{number}"));
            let left = cut_image(image.clone(), &entries[..at], &mut random);
            std::fs::write(&disk, &left)?;
            let mounted = Mounted::start(&disk, &devices_folder(&folder))?;
            let checked = check_disk(&devices_folder(&folder), promise).and_then(|()| {
                runtime.block_on(async {
                    let before = world.boot_ids().await?;
                    world.restart_agent(NAME)?;
                    world.wait_converged(&before).await
                })
            });
            let killed = world.fleet.agent(NAME)?.process().kill();
            drop(mounted);
            if checked.is_err() {
                std::fs::write(folder.join("as-cut"), &left)?;
            }
            checked
                .with_context(|| format!("cut {number} after {at} of {} entries", entries.len()))?;
            killed?;
            std::fs::remove_file(&disk)?;
        }
        drop(world);
        std::fs::remove_dir_all(&folder)?;
        Ok(Outcome { faults: CUTS })
    }
}

fn devices_folder(folder: &Path) -> PathBuf {
    folder.join("devices")
}

async fn record(
    folder: &Path,
    image: Vec<u8>,
    random: &mut Rng,
) -> anyhow::Result<(World, Vec<Promise>, Vec<Entry>)> {
    let recorder = Recorder::start(&folder.join("blocks"), image)?;
    let mounted = Mounted::start(recorder.file(), &devices_folder(folder))?;
    let options = GatewayOptions::new(&folder.join("g"));
    std::fs::create_dir_all(&options.data)?;
    let mut world = World::start_apart(options, &devices_folder(folder), 1).await?;
    let mut promises = vec![promise(&world, &recorder).await?];
    for _ in 0..DEPLOYMENTS {
        if random.u8(0..3) == 0 {
            world.push().await?;
        }
        world.deploy(random.u32(1..=world.newest_version())).await?;
        if random.u8(0..3) > 0 {
            world.wait_converged(&BTreeMap::new()).await?;
        }
        promises.push(promise(&world, &recorder).await?);
    }
    let entries = recorder.entries();
    world.fleet.agent(NAME)?.process().kill()?;
    drop(mounted);
    Ok((world, promises, entries))
}

/// What the gateway was told is asked first and the disk after that.
async fn promise(world: &World, recorder: &Recorder) -> anyhow::Result<Promise> {
    let device = world.fleet.client().device(NAME).await?;
    Ok(Promise { id: device.id, generation: device.generation, at: recorder.count() })
}

fn check_disk(folder: &Path, promise: &Promise) -> anyhow::Result<()> {
    let disk: Rc<dyn Disk> = Rc::new(RealDisk);
    let state = State::open(disk, &folder.join(NAME).join("agent"))?;
    let enrolment = state.enrolment()?.context("the enrolment is gone")?;
    ensure!(enrolment.device.to_string() == promise.id, "it is the device {}", enrolment.device);
    let key = module_package::Signer::public_key(&state.key()?);
    let id = module_package::DeviceId::of_key(&key.0);
    ensure!(id.to_string() == promise.id, "its key is that of {id}");
    let accepted = state.progress()?.accepted;
    let generation = accepted.map_or(0, |(accepted, _)| accepted.seq);
    ensure!(
        generation >= promise.generation,
        "generation {generation} is on the disk and {} was reported",
        promise.generation
    );
    Ok(())
}
