//! `cargo xtask bench delivery`: one artifact of a megabyte to many devices, and what
//! that costs, against the same bytes published as they are.

use crate::device::Seen;
use crate::fleet::{FleetOptions, SimFleet, runtime_of};
use crate::module::megabyte_module;
use crate::raw;
use anyhow::{Context, ensure};
use gateway_api::{Delivery, DeviceSelector, ModuleLimits, NewDeployment, Provisions};
use gateway_client::{Client, Upload};
use harness::{GatewayOptions, GatewayProcess, Kit};
use module_package::BLOCK_BYTES;
use std::time::{Duration, Instant};

const ENROL_WITHIN: Duration = Duration::from_secs(600);
const DELIVER_WITHIN: Duration = Duration::from_secs(600);
const REPORT_INTERVAL_MS: u64 = 5_000;

#[derive(Debug, Clone)]
pub struct Row {
    pub devices: usize,
    pub compressed: bool,
    pub artifact_bytes: u64,
    pub published_bytes: u64,
    pub shared_blocks: u64,
    pub own_blocks: u64,
    /// By all devices.
    pub received_bytes: u64,
    pub received_median: u64,
    pub received_max: u64,
    pub repeated_blocks: u64,
    /// From the upload, which is compiled and checked, to the last device.
    pub from_upload: Duration,
    /// From the first manifest that a device got.
    pub from_manifest: Duration,
    pub raw: Duration,
    pub gateway_rss_bytes: u64,
    pub sim_rss_bytes: u64,
    /// Of the whole machine, when the delivery began and when the raw run ended.
    pub load: (f64, f64),
    /// Connections after a device's first, during the delivery.
    pub reconnections: u64,
}

/// One fleet of a size, with a gateway of its own.
pub async fn run(kit: &Kit, count: usize, compressed: bool) -> anyhow::Result<Row> {
    let directory = tempfile::tempdir()?;
    let options = GatewayOptions {
        compress_blocks: Some(compressed),
        ..GatewayOptions::new(&directory.path().join("gateway"))
    };
    let mut gateway = GatewayProcess::start(kit, options)?;
    let client = gateway.client()?;
    let fleet_options = FleetOptions {
        gateway_url: gateway.url().to_owned(),
        count,
        report_interval_ms: REPORT_INTERVAL_MS,
        directory: directory.path().to_owned(),
        name: "sim".into(),
        attack: None,
    };
    eprintln!("{count} devices: they enrol and connect");
    let fleet = SimFleet::start(fleet_options, &client, runtime_of(kit).await?).await?;
    let load_before = harness::load()?;
    let measured = deliver(&fleet, &client, count).await;
    let Measured { before, after, began, seen } =
        measured.with_context(|| format!("the gateway's log:\n{}", gateway.log_tail()))?;
    let gateway_rss_bytes = harness::resident_bytes(gateway.process().pid())?;
    let sim_rss_bytes = harness::resident_bytes(std::process::id())?;
    fleet.stop();
    drop(gateway);

    let verified = seen.iter().filter_map(|seen| seen.verified);
    let (artifact_bytes, last) = verified.max_by_key(|(_, at)| *at).context("none verified")?;
    let first_manifest = seen.iter().filter_map(|seen| seen.first_manifest_at).min();
    if let Some(first) = first_manifest {
        let since = |at: Option<Instant>| at.map_or(Duration::ZERO, |at| at - first);
        eprintln!(
            "{count} devices: after the first manifest, the last came after {:.1?}, the first \
             block after {:.1?}, the first device had all after {:.1?}, the last after {:.1?}",
            since(seen.iter().filter_map(|seen| seen.first_manifest_at).max()),
            since(seen.iter().filter_map(|seen| seen.first_block_at).min()),
            since(seen.iter().filter_map(|seen| seen.verified).map(|(_, at)| at).min()),
            since(Some(last)),
        );
    }
    let program = std::env::current_exe()?;
    eprintln!("{count} devices: the same bytes raw");
    let pieces = raw_pieces(artifact_bytes);
    let log = directory.path().join("raw.log");
    let raw = raw::measure(&program, &log, &pieces, count).await?;
    ensure!(raw.received_bytes == artifact_bytes * count as u64, "the raw run lost something");
    let mut received: Vec<u64> = seen.iter().map(|seen| seen.received_bytes).collect();
    received.sort_unstable();
    Ok(Row {
        devices: count,
        compressed,
        artifact_bytes,
        published_bytes: after.published_bytes - before.published_bytes,
        shared_blocks: after.shared_blocks - before.shared_blocks,
        own_blocks: after.own_blocks - before.own_blocks,
        received_bytes: received.iter().sum(),
        received_median: received[received.len() / 2],
        received_max: received[received.len() - 1],
        repeated_blocks: seen.iter().map(|seen| seen.repeated_blocks).sum(),
        from_upload: last - began,
        from_manifest: first_manifest.map_or(Duration::ZERO, |first| last - first),
        raw: raw.time,
        gateway_rss_bytes,
        sim_rss_bytes,
        load: (load_before, harness::load()?),
        reconnections: seen.iter().map(|seen| u64::from(seen.connections - 1)).sum(),
    })
}

struct Measured {
    before: Delivery,
    after: Delivery,
    began: Instant,
    seen: Vec<Seen>,
}

async fn deliver(fleet: &SimFleet, client: &Client, count: usize) -> anyhow::Result<Measured> {
    fleet.wait_for_all("connected", ENROL_WITHIN, |seen| seen.connected_at.is_some()).await?;
    wait_until_online(client, count).await?;
    let before = client.overview().await?.delivery;
    let wasm = megabyte_module(count as u64)?;
    eprintln!("{count} devices: upload and deploy");
    let began = Instant::now();
    let upload = Upload::from_bytes(wasm);
    client.push_module(Some("megabyte"), &upload, |_, _| {}).await?;
    client.create_deployment(&deployment()).await?;
    fleet.wait_for_all("done", DELIVER_WITHIN, |seen| seen.verified.is_some()).await?;
    // What is late and superfluous is received too.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = client.overview().await?.delivery;
    Ok(Measured { before, after, began, seen: fleet.seen() })
}

async fn wait_until_online(client: &Client, count: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let online = client.overview().await?.devices_online as usize;
        if online >= count {
            return Ok(());
        }
        ensure!(began.elapsed() < ENROL_WITHIN, "{online} of {count} devices report");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn deployment() -> NewDeployment {
    NewDeployment {
        module: "megabyte".into(),
        devices: DeviceSelector::All,
        interval_ms: None,
        call_ms_max: None,
        memory_bytes_max: None,
        sensors: vec![],
        channels: vec![],
        metering: false,
        canonical_nans: false,
        health_window_ms: None,
        provisions: Provisions::default(),
        limits: ModuleLimits::default(),
        placement: None,
        scheduling: Default::default(),
    }
}

/// As many bytes as the artifact has, in pieces of a block. What they are is of no
/// account to a broker.
fn raw_pieces(bytes: u64) -> Vec<Vec<u8>> {
    let whole = vec![7; usize::try_from(bytes).unwrap_or(0)];
    whole.chunks(BLOCK_BYTES as usize).map(<[u8]>::to_vec).collect()
}

impl Row {
    /// Published by the gateway, in sizes of the artifact.
    pub fn published_ratio(&self) -> f64 {
        self.published_bytes as f64 / self.artifact_bytes as f64
    }

    /// Written by the broker to the devices, in N sizes: what all of them received.
    pub fn written_ratio(&self) -> f64 {
        self.received_bytes as f64 / (self.artifact_bytes as f64 * self.devices as f64)
    }

    pub fn received_max_ratio(&self) -> f64 {
        self.received_max as f64 / self.artifact_bytes as f64
    }

    pub fn time_ratio(&self) -> f64 {
        self.from_upload.as_secs_f64() / self.raw.as_secs_f64()
    }
}
