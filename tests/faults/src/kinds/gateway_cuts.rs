//! Power cuts of the gateway's disk, block by block.
//!
//! A seed starts a gateway whose data lie on a recorded disk, and one device; it uploads
//! and deploys for a while. Then the disk is made again as some cuts would have left it,
//! mounted, and a gateway is started on each.

use crate::power::{Entry, Mounted, Recorder, cut_image, make_image, missing};
use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig};
use anyhow::{Context, anyhow, ensure};
use fastrand::Rng;
use harness::GatewayOptions;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

const DISK_BYTES: u64 = 96 << 20;

/// Uploads and deployments of one seed.
const CHANGES: u32 = 12;
const CUTS: u64 = 20;

pub const KIND: Kind = Kind {
    name: "gateway-cuts",
    fault: "power cut of the gateway's disk: ext4 on recorded blocks, unflushed ones lost, kept or torn",
    oracle: "the gateway starts; acknowledged modules, deployments and the device are there; no generation goes back; no panic",
    goal: 200,
    short_goal: 20,
    missing,
    open: |workplace| Ok(Box::new(GatewayCuts { folder: workplace.folder.clone() })),
};

struct GatewayCuts {
    folder: PathBuf,
}

/// What the gateway had acknowledged when the disk had so many entries.
#[derive(Debug, Clone, Default)]
struct Promise {
    at: usize,
    deployments: BTreeSet<String>,
    modules: BTreeSet<String>,
    /// The generation that the device had.
    generation: u64,
}

impl Rig for GatewayCuts {
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
            let checked = check(&runtime, &mut world, &disk, &folder.join("mounted"), promise);
            if checked.is_err() {
                std::fs::write(folder.join("as-cut"), &left)?;
            }
            checked
                .with_context(|| format!("cut {number} after {at} of {} entries", entries.len()))?;
            std::fs::remove_file(&disk)?;
        }
        drop(world);
        std::fs::remove_dir_all(&folder)?;
        Ok(Outcome { faults: CUTS })
    }
}

async fn record(
    folder: &Path,
    image: Vec<u8>,
    random: &mut Rng,
) -> anyhow::Result<(World, Vec<Promise>, Vec<Entry>)> {
    let recorder = Recorder::start(&folder.join("blocks"), image)?;
    let mounted = Mounted::start(recorder.file(), &folder.join("mounted"))?;
    let mut options = GatewayOptions::new(&folder.join("mounted/g"));
    std::fs::create_dir_all(&options.data)?;
    options.compile_workers = Some(1);
    let mut world = World::start_apart(options, &folder.join("devices"), 1).await?;
    let mut promises = vec![promise(&world, &recorder).await?];
    for _ in 0..CHANGES {
        if random.u8(0..4) == 0 {
            world.push().await?;
        }
        world.deploy(random.u32(1..=world.newest_version())).await?;
        promises.push(promise(&world, &recorder).await?);
        if random.bool() {
            world.wait_converged(&BTreeMap::new()).await?;
            promises.push(promise(&world, &recorder).await?);
        }
    }
    let entries = recorder.entries();
    world.stop_devices()?;
    world.fleet.gateway().process().kill()?;
    drop(mounted);
    Ok((world, promises, entries))
}

/// What holds now is asked first and the disk after that, so that a cut from there on
/// must leave it.
async fn promise(world: &World, recorder: &Recorder) -> anyhow::Result<Promise> {
    let devices = world.fleet.client().devices().await?.items;
    let generation = devices.iter().map(|device| device.generation).max().unwrap_or_default();
    let (deployments, modules) = world.acknowledged();
    Ok(Promise { deployments, modules, generation, at: recorder.count() })
}

fn check(
    runtime: &Runtime,
    world: &mut World,
    disk: &Path,
    folder: &Path,
    promise: &Promise,
) -> anyhow::Result<()> {
    let mounted = Mounted::start(disk, folder).context("mount what the cut left")?;
    let checked = runtime.block_on(async {
        world.fleet.restart_gateway().context("start on what the cut left")?;
        let client = world.fleet.client().clone();
        let deployments = client.deployments().await?.items;
        let listed: BTreeSet<String> = deployments.into_iter().map(|d| d.id).collect();
        let lost: Vec<_> = promise.deployments.difference(&listed).collect();
        ensure!(lost.is_empty(), "acknowledged deployments are gone: {lost:?}");
        for id in &promise.modules {
            let module = client.module(id).await;
            ensure!(module.is_ok(), "the acknowledged module {id} is gone: {module:?}");
        }
        let devices = client.devices().await?.items;
        let device = devices.first().context("the enrolled device is gone")?;
        ensure!(
            device.generation_wanted >= promise.generation,
            "the device has generation {} and the gateway is at {}",
            promise.generation,
            device.generation_wanted
        );
        world.check_logs()
    });
    let killed = world.fleet.gateway().process().kill();
    let checked = match checked {
        Ok(()) => Ok(()),
        Err(error) => Err(anyhow!("{error:#}\n{}", world.fleet.logs())),
    };
    drop(mounted);
    checked.and(killed)
}
