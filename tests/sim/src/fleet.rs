//! Devices on as many threads as there are processors.

use crate::attack::Attack;
use crate::device::{DeviceParts, LOOK_EVERY, Seen, Shared, look, run};
use crate::disk::Pool;
use anyhow::{Context, bail};
use farrier_agent::config::Config;
use farrier_agent::workers::{Launcher, RuntimeInfo, probe};
use gateway_api::NewClaimToken;
use gateway_client::Client;
use harness::{DeviceClass, Kit};
use std::path::Path;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// Each holds a thread while it waits for the gateway's disk.
const ENROLMENTS_AT_ONCE: usize = 32;

pub struct SimFleet {
    pub devices: Vec<Shared>,
    end: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Clone)]
pub struct FleetOptions {
    pub gateway_url: String,
    pub count: usize,
    pub report_interval_ms: u64,
    /// Claim tokens are put here.
    pub directory: std::path::PathBuf,
    pub name: String,
    /// What these do instead of an agent's work.
    pub attack: Option<Attack>,
}

/// What the kit's runtime says of itself: the devices are of its class.
pub async fn runtime_of(kit: &Kit) -> anyhow::Result<RuntimeInfo> {
    let text = config_text(Path::new("/"), "http://127.0.0.1:1", "probe", 5_000);
    let mut config = Config::parse(&text).map_err(anyhow::Error::msg)?;
    config.runtime.path = kit.runtime(DeviceClass::X86_64);
    let found = probe(&Launcher::new(&config.runtime)).await;
    found.map_err(|refusal| anyhow::anyhow!("ask the kit's runtime: {refusal}"))
}

fn config_text(token_file: &Path, gateway_url: &str, name: &str, interval_ms: u64) -> String {
    format!(
        "data_dir = \"/data\"\ngateway_url = \"{gateway_url}\"\nname = \"{name}\"\n\
         claim_token_file = \"{}\"\nreport_interval_ms = {interval_ms}\n\
         [runtime]\npath = \"/none\"\n",
        token_file.display()
    )
}

impl SimFleet {
    /// Starts devices that enrol by themselves; see [`SimFleet::wait_for_all`].
    pub async fn start(
        options: FleetOptions,
        client: &Client,
        runtime: RuntimeInfo,
    ) -> anyhow::Result<Self> {
        let mut configs = Vec::new();
        for number in 0..options.count {
            let name = format!("{}-{number}", options.name);
            let token = client.create_claim_token(&NewClaimToken { valid_s: Some(3_600) }).await?;
            let file = options.directory.join(&name);
            std::fs::write(&file, token.token).context("write a claim token")?;
            let text = config_text(&file, &options.gateway_url, &name, options.report_interval_ms);
            configs.push(Config::parse(&text).map_err(anyhow::Error::msg)?);
        }
        let devices: Vec<Shared> = configs.iter().map(|_| Shared::default()).collect();
        let (end, ending) = watch::channel(false);
        let thread_count = std::thread::available_parallelism().map_or(1, usize::from);
        let mut threads = Vec::new();
        for index in 0..thread_count {
            let of_thread = configs.iter().zip(&devices).skip(index).step_by(thread_count);
            let of_thread = of_thread.map(|(c, s)| (c.clone(), s.clone())).collect();
            let (runtime, ending) = (runtime.clone(), ending.clone());
            let attack = options.attack.clone();
            let run = move || run_thread(of_thread, runtime, attack, ending);
            threads.push(std::thread::spawn(run));
        }
        Ok(Self { devices, end, threads })
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.devices.iter().map(|device| look(device).clone()).collect()
    }

    pub async fn wait_for_all(
        &self,
        what: &str,
        within: Duration,
        is_so: impl Fn(&Seen) -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let left = self.devices.iter().filter(|device| !is_so(&look(device))).count();
            if left == 0 {
                return Ok(());
            }
            if began.elapsed() > within {
                bail!("{left} of {} devices are not {what} after {within:?}", self.devices.len());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub fn stop(self) {
        self.end.send_replace(true);
        for thread in self.threads {
            // A panic in it was printed there.
            let _ = thread.join();
        }
    }
}

fn run_thread(
    devices: Vec<(Config, Shared)>,
    runtime: RuntimeInfo,
    attack: Option<Attack>,
    mut ending: watch::Receiver<bool>,
) {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let local = tokio::task::LocalSet::new();
    let Ok(tokio_runtime) = built.inspect_err(|error| tracing::error!(%error, "start a thread"))
    else {
        return;
    };
    let pool = Rc::new(Pool::default());
    let enrolling = Rc::new(Semaphore::new(ENROLMENTS_AT_ONCE));
    for (config, seen) in devices {
        let (runtime, pool, enrolling) = (runtime.clone(), pool.clone(), enrolling.clone());
        let name = config.name.clone();
        let attack = attack.clone();
        let parts = DeviceParts { config, runtime, pool, seen, enrolling, attack };
        local.spawn_local(async move {
            if let Err(error) = run(parts).await {
                tracing::error!(device = name, "a simulated device ended: {error:#}");
            }
        });
    }
    local.block_on(&tokio_runtime, async move {
        let _ = ending.wait_for(|ending| *ending).await;
    });
    tokio_runtime.shutdown_background();
}
