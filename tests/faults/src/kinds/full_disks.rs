//! The gateway's disk runs full.
//!
//! The data directory is on a small tmpfs. Each seed fills it but for a little, asks for
//! deployments until one is refused, sometimes kills the gateway then, and makes room.

use crate::power::Tmpfs;
use crate::world::{World, runtime};
use crate::{Kind, Outcome, Rig, Workplace};
use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use gateway_client::ClientError;
use harness::wait_for;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Runtime;

const DEVICES: usize = 2;
const DISK_BYTES: u64 = 64 << 20;
const PAGE_BYTES: u64 = 4 << 10;
const PAGES_LEFT_MAX: u64 = 24;

/// Each takes a record in the journal, so a few pages are soon used up.
const DEPLOYMENTS_MAX: u32 = 400;

/// The gateway tries for space twice a second.
const HEALS_WITHIN: Duration = Duration::from_secs(20);
const INSUFFICIENT_STORAGE: u16 = 507;

pub const KIND: Kind = Kind {
    name: "full-disks",
    fault: "gateway's disk (tmpfs) full during uploads and deployments",
    oracle: "what it has no room for is answered by 507 and is not done; what it acknowledged is there; the banner comes and goes; the fleet converges when there is space again; no panic",
    goal: 200,
    short_goal: 3,
    missing: crate::power::tmpfs_missing,
    open,
};

/// The world goes first: it ends its processes.
struct FullDisks {
    world: World,
    disk: Tmpfs,
    runtime: Runtime,
}

fn open(workplace: &Workplace) -> anyhow::Result<Box<dyn Rig>> {
    let runtime = runtime()?;
    // Its log and its configuration are beside it.
    let disk = Tmpfs::mount(&workplace.folder.join("gateway"), DISK_BYTES)?;
    let world = runtime.block_on(World::start(&workplace.folder, DEVICES))?;
    Ok(Box::new(FullDisks { world, disk, runtime }))
}

impl Rig for FullDisks {
    fn run(&mut self, seed: u64) -> anyhow::Result<Outcome> {
        let mut random = Rng::with_seed(seed);
        let Self { world, disk, runtime } = self;
        let ballast = disk.folder().join("ballast");
        runtime.block_on(async {
            let pages_left = random.u64(0..PAGES_LEFT_MAX);
            fill(disk.folder(), &ballast, pages_left * PAGE_BYTES)?;
            ask_until_refused(world, &mut random)
                .await
                .with_context(|| format!("with {pages_left} pages left"))?;
            let overview = world.fleet.client().overview().await?;
            ensure!(overview.storage_full, "the banner is not shown: {overview:?}");
            if random.u8(0..3) == 0 {
                world.fleet.gateway().process().kill()?;
                std::fs::remove_file(&ballast)?;
                world.fleet.restart_gateway()?;
            } else {
                std::fs::remove_file(&ballast)?;
            }
            let client = world.fleet.client().clone();
            wait_for("the end of the banner", HEALS_WITHIN, async || {
                let is_full = client.overview().await?.storage_full;
                Ok(if is_full { Err("it is shown".into()) } else { Ok(()) })
            })
            .await?;
            check_deployments(world).await?;
            world.check_modules().await?;
            if random.bool() {
                world.deploy(random.u32(1..=world.newest_version())).await?;
            }
            world.wait_converged(&BTreeMap::new()).await?;
            Ok(Outcome { faults: 1 })
        })
    }
}

/// Leaves so many bytes, or as many as there are if there are fewer.
fn fill(folder: &Path, ballast: &PathBuf, bytes_left: u64) -> anyhow::Result<()> {
    let space = rustix::fs::statvfs(folder)?;
    let bytes = (space.f_bavail * space.f_frsize).saturating_sub(bytes_left);
    let file = std::fs::File::create(ballast)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
    Ok(())
}

async fn ask_until_refused(world: &mut World, random: &mut Rng) -> anyhow::Result<()> {
    for _ in 0..DEPLOYMENTS_MAX {
        let asked = match random.u8(0..12) {
            0 => world.push().await.map(drop),
            _ => world.deploy(random.u32(1..=world.newest_version())).await,
        };
        let Err(error) = asked else { continue };
        let status = error.downcast_ref::<ClientError>().and_then(ClientError::status);
        ensure!(status == Some(INSUFFICIENT_STORAGE), "refused otherwise: {error:#}");
        return Ok(());
    }
    bail!("{DEPLOYMENTS_MAX} deployments found room on a full disk")
}

/// What was acknowledged is listed, and what was refused is not.
async fn check_deployments(world: &World) -> anyhow::Result<()> {
    let listed = world.fleet.client().deployments().await?.items;
    let listed: BTreeSet<String> = listed.into_iter().map(|deployment| deployment.id).collect();
    let (acknowledged, _) = world.acknowledged();
    let lost: Vec<&String> = acknowledged.difference(&listed).collect();
    ensure!(lost.is_empty(), "acknowledged deployments are gone: {lost:?}");
    let done: Vec<&String> = listed.difference(&acknowledged).collect();
    ensure!(done.is_empty(), "deployments were refused and done: {done:?}");
    Ok(())
}
