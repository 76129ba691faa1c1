//! A gateway and devices that stay alive over many seeds, and the questions that every
//! oracle asks of them.
//!
//! The desired state changes by deploying one of two versions of a small module in
//! turn. What the gateway acknowledged is written down here, and so is the highest
//! generation that each device was ever seen with.

use anyhow::{Context, bail, ensure};
use gateway_api::{AppStatus, Connection, Device, DeviceSelector};
use gateway_client::Upload;
use harness::{AgentOptions, DeviceClass, Fleet, GatewayOptions, Kit, wait_for};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const APP: &str = "pulse";

/// How long a fleet may take to agree with its gateway, with a machine that does other
/// work too. Usually it is one or two seconds; where a full report was lost, a minute.
pub const CONVERGE_WITHIN: Duration = Duration::from_secs(120);

/// The shortest that the agent takes.
const REPORT_INTERVAL_MS: u32 = 100;

/// Short, so that versions are committed between two faults and within one too.
const HEALTH_WINDOW_MS: u32 = 300;

/// As the agent counts: so often may a device go down while a version is on trial.
const DOWNS_ON_TRIAL_MAX: u32 = 3;

/// Words in a log that mean a bug.
const ALARMS: [&str; 3] = ["panicked at", "internal error: entered unreachable", "RUST_BACKTRACE"];

pub struct World {
    pub fleet: Fleet,
    device_folder: PathBuf,
    /// Ids of the module's versions, from 1 on.
    modules: Vec<String>,
    /// Deployments that the gateway acknowledged, with the version of each.
    acknowledged: BTreeMap<String, u32>,
    /// The highest generation of each device.
    highest: BTreeMap<String, u64>,
    /// Devices whose alarms are what a test is after.
    alarmed: BTreeSet<String>,
    /// How often each device was made to go down since the last deployment.
    downs: BTreeMap<String, u32>,
    /// How far each log was read.
    read: BTreeMap<PathBuf, u64>,
}

enum Settled {
    Agreed(Vec<Device>),
    /// This device has given the version up for having gone down too often.
    GivenUp(String),
}

/// A small module whose code differs from version to version.
fn module_text(version: u32) -> String {
    format!(
        "(module
           (memory (export \"memory\") 1)
           (global $ticks (mut i32) (i32.const 0))
           (func (export \"tick\") (result i32)
             (global.set $ticks (i32.add (global.get $ticks) (i32.const {version})))
             (i32.store (i32.const 64) (global.get $ticks))
             (i32.const 0)))"
    )
}

impl World {
    /// A gateway with so many native devices, which run version 1.
    pub async fn start(folder: &Path, devices: usize) -> anyhow::Result<Self> {
        Self::start_with(GatewayOptions::new(folder), devices).await
    }

    pub async fn start_with(options: GatewayOptions, devices: usize) -> anyhow::Result<Self> {
        let folder = options.data.clone();
        Self::start_apart(options, &folder, devices).await
    }

    /// The same with the devices' data in a folder of their own.
    pub async fn start_apart(
        options: GatewayOptions,
        device_folder: &Path,
        devices: usize,
    ) -> anyhow::Result<Self> {
        let mut world = Self::without_devices(options, device_folder).await?;
        for number in 0..devices {
            world.add_device(&format!("fault-{number}")).await?;
        }
        world.settle().await?;
        Ok(world)
    }

    /// A gateway that knows two versions of the module.
    pub async fn without_devices(
        options: GatewayOptions,
        device_folder: &Path,
    ) -> anyhow::Result<Self> {
        let fleet = Fleet::start_with(Kit::for_tests()?, options)?;
        let mut world = Self {
            fleet,
            device_folder: device_folder.to_owned(),
            modules: vec![],
            acknowledged: BTreeMap::new(),
            highest: BTreeMap::new(),
            alarmed: BTreeSet::new(),
            downs: BTreeMap::new(),
            read: BTreeMap::new(),
        };
        world.push().await?;
        world.push().await?;
        Ok(world)
    }

    /// Waits for the devices that were started, and until they run version 1.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        for name in self.device_names() {
            self.fleet.wait_online(&name).await?;
        }
        self.deploy(1).await?;
        self.wait_converged(&BTreeMap::new()).await
    }

    /// What [`Self::add_device`] gives an agent, to be changed.
    pub async fn agent_options(&mut self, name: &str) -> anyhow::Result<AgentOptions> {
        let mut options = self.fleet.agent_options(DeviceClass::X86_64, name).await?;
        options.data = self.device_folder.join(name);
        options.report_interval_ms = REPORT_INTERVAL_MS;
        options.reconnect_s_max = Some(1);
        Ok(options)
    }

    pub async fn add_device(&mut self, name: &str) -> anyhow::Result<()> {
        let options = self.agent_options(name).await?;
        self.fleet.start_device_with(options)
    }

    /// Ids of the deployments and of the modules that were acknowledged.
    pub fn acknowledged(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        (self.acknowledged.keys().cloned().collect(), self.modules.iter().cloned().collect())
    }

    /// As if all devices lost their power for good.
    pub fn stop_devices(&mut self) -> anyhow::Result<()> {
        for agent in &mut self.fleet.agents {
            agent.process().kill()?;
        }
        Ok(())
    }

    /// The alarms of this device are no violation.
    pub fn expect_alarms(&mut self, name: &str) {
        self.alarmed.insert(name.to_owned());
    }

    pub fn device_names(&self) -> Vec<String> {
        self.fleet.agents.iter().map(|agent| agent.name().to_owned()).collect()
    }

    /// Uploads the module's next version, and gives its number.
    pub async fn push(&mut self) -> anyhow::Result<u32> {
        let version = u32::try_from(self.modules.len())? + 1;
        let upload = Upload::from_bytes(wat::parse_str(module_text(version))?);
        let pushed = self.fleet.client().push_module(Some(APP), &upload, |_, _| {}).await?;
        ensure!(pushed.module.version == version, "version {version} is {:?}", pushed.module);
        self.modules.push(pushed.module.id);
        Ok(version)
    }

    pub fn newest_version(&self) -> u32 {
        self.modules.len() as u32
    }

    /// Deploys a version to all devices, and remembers that it was acknowledged.
    pub async fn deploy(&mut self, version: u32) -> anyhow::Result<()> {
        let module = self.module(version)?.to_owned();
        let mut new = Fleet::deployment(&module, DeviceSelector::All);
        new.interval_ms = Some(100);
        new.health_window_ms = Some(HEALTH_WINDOW_MS);
        let deployment = self.fleet.client().create_deployment(&new).await?;
        self.acknowledged.insert(deployment.id, version);
        self.downs.clear();
        Ok(())
    }

    /// Cuts a device's power and starts it again.
    pub fn restart_agent(&mut self, name: &str) -> anyhow::Result<()> {
        *self.downs.entry(name.to_owned()).or_default() += 1;
        self.fleet.restart_agent(name)
    }

    /// What a version was compiled to.
    pub async fn artifacts(&self, version: u32) -> anyhow::Result<Vec<String>> {
        let module = self.fleet.client().module(self.module(version)?).await?;
        Ok(module.artifacts.into_iter().filter_map(|artifact| artifact.artifact).collect())
    }

    fn module(&self, version: u32) -> anyhow::Result<&str> {
        let index = usize::try_from(version)?.checked_sub(1).context("versions begin at 1")?;
        Ok(self.modules.get(index).with_context(|| format!("no version {version}"))?)
    }

    /// The agents' starts as the gateway last heard of them.
    pub async fn boot_ids(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let statuses = self.fleet.client().ps().await?.items;
        let pairs = statuses.into_iter().map(|app| (app.device_name, app.report_boot_id));
        Ok(pairs.collect())
    }

    /// Waits until every device runs what the newest deployment says, from reports of
    /// starts other than `before`, and asks the rest of the oracle.
    ///
    /// A device that went down three times while a version was on trial is right to
    /// give that version up: then the same is deployed once more, as an operator would.
    pub async fn wait_converged(
        &mut self,
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        self.wait_until_agreed(&self.device_names(), before).await
    }

    /// The same of some devices, while others cannot.
    pub async fn wait_converged_of(&mut self, names: &[&str]) -> anyhow::Result<()> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.wait_until_agreed(&names, &BTreeMap::new()).await
    }

    async fn wait_until_agreed(
        &mut self,
        names: &[String],
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        loop {
            let wanted = self.check_deployments().await?;
            let devices = match self.wait_settled(wanted, names, before).await {
                Ok(Settled::Agreed(devices)) => devices,
                Ok(Settled::GivenUp(name)) => {
                    println!("{name} gave version {wanted} up: it is deployed again");
                    self.deploy(wanted).await?;
                    continue;
                }
                Err(error) => bail!("{error:#}\n{}", self.fleet.logs()),
            };
            self.check_devices(&devices).await?;
            return self.check_logs();
        }
    }

    async fn wait_settled(
        &mut self,
        wanted: u32,
        names: &[String],
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<Settled> {
        let client = self.fleet.client().clone();
        wait_for("agreement of all devices", CONVERGE_WITHIN, async || {
            self.fleet.check_alive()?;
            let devices = match client.devices().await {
                Ok(devices) => devices.items,
                Err(error) => return Ok(Err(error.to_string())),
            };
            for name in names {
                let device = devices.iter().find(|device| device.name == *name);
                let device = device.with_context(|| format!("the device {name} is gone"))?;
                let downs = self.downs.get(name).copied().unwrap_or_default();
                if downs >= DOWNS_ON_TRIAL_MAX && has_given_up(device, wanted) {
                    return Ok(Ok(Settled::GivenUp(name.clone())));
                }
                if let Some(why) = is_behind(device, wanted, before.get(name)) {
                    return Ok(Err(format!("{name}: {why}")));
                }
            }
            let ours = devices.into_iter().filter(|device| names.contains(&device.name));
            Ok(Ok(Settled::Agreed(ours.collect())))
        })
        .await
    }

    /// Everything acknowledged is listed. Gives the version that is wanted: a
    /// deployment whose answer was lost in a crash counts if the gateway has it.
    pub async fn check_deployments(&mut self) -> anyhow::Result<u32> {
        let listed = self.fleet.client().deployments().await?.items;
        let ids: BTreeSet<&str> = listed.iter().map(|deployment| deployment.id.as_str()).collect();
        for id in self.acknowledged.keys() {
            ensure!(ids.contains(id.as_str()), "the acknowledged deployment {id} is gone");
        }
        let number = |id: &str| id.rsplit('-').next().and_then(|text| text.parse::<u64>().ok());
        let newest = listed.iter().filter(|deployment| deployment.app == APP);
        let newest = newest.max_by_key(|deployment| number(&deployment.id));
        let newest = newest.context("no deployment is listed")?;
        if let Some(version) = self.acknowledged.get(&newest.id) {
            ensure!(*version == newest.module_version, "{} is {newest:?}", version);
        }
        Ok(newest.module_version)
    }

    /// Acknowledged modules are there with their bytes' hash as their id.
    pub async fn check_modules(&self) -> anyhow::Result<()> {
        for id in &self.modules {
            let module = self.fleet.client().module(id).await;
            ensure!(module.is_ok(), "the acknowledged module {id} is gone: {module:?}");
        }
        Ok(())
    }

    async fn check_devices(&mut self, devices: &[Device]) -> anyhow::Result<()> {
        let mut known = BTreeSet::new();
        for id in &self.modules {
            let artifacts = self.fleet.client().module(id).await?.artifacts;
            known.extend(artifacts.into_iter().filter_map(|artifact| artifact.artifact));
        }
        for device in devices {
            let highest = self.highest.entry(device.id.clone()).or_default();
            ensure!(
                device.generation >= *highest,
                "{} went back from generation {highest} to {}",
                device.name,
                device.generation
            );
            *highest = device.generation;
            ensure!(
                device.alarms.is_empty() || self.alarmed.contains(&device.name),
                "{} raised {:?}",
                device.name,
                device.alarms
            );
            for app in &device.apps {
                let artifact = app.artifact.clone().unwrap_or_default();
                ensure!(
                    known.contains(&artifact),
                    "{} runs the artifact {artifact:?}, which the gateway did not compile",
                    device.name
                );
            }
        }
        Ok(())
    }

    /// Reads what was written to the logs since the last time.
    pub fn check_logs(&mut self) -> anyhow::Result<()> {
        let mut logs = vec![self.fleet.gateway().log_file()];
        logs.extend(self.fleet.agents.iter().map(|agent| agent.log_file()));
        for log in logs {
            let from = self.read.entry(log.clone()).or_default();
            let text = read_from(&log, from).unwrap_or_default();
            let is_alarm = |line: &&str| ALARMS.iter().any(|alarm| line.contains(alarm));
            if let Some(line) = text.lines().find(is_alarm) {
                bail!("{}: {line}", log.display());
            }
        }
        Ok(())
    }
}

/// Why a device is not where it should be, if it is not.
fn is_behind(device: &Device, version: u32, boot_id_before: Option<&String>) -> Option<String> {
    if let Some(refusal) = device.refusal.as_ref().filter(|refusal| is_alarming(refusal.code)) {
        return Some(format!("refused with {refusal:?}"));
    }
    if device.connection != Connection::Online {
        return Some(format!("is {:?}", device.connection));
    }
    if device.generation != device.generation_wanted {
        return Some(format!("has {} of {}", device.generation, device.generation_wanted));
    }
    let Some(app) = device.apps.iter().find(|app| app.app == APP) else {
        return Some("does not have the application".into());
    };
    let is_new = |app: &AppStatus| boot_id_before != Some(&app.report_boot_id);
    if app.state != "running" || app.version != version || app.fallback || !is_new(app) {
        let AppStatus { state, version: found, report_boot_id, detail, .. } = app;
        return Some(format!(
            "version {version} is wanted: {state} {found}, start {report_boot_id}, {detail}"
        ));
    }
    // Said in full once a minute and after a change; where that report was lost, the brief
    // ones behind it do not say it again.
    app.artifact.is_none().then(|| "has not told which artifact runs".to_owned())
}

/// It has the deployment, has given the version up for the reason that the tests gave
/// it, and the version before runs.
fn has_given_up(device: &Device, version: u32) -> bool {
    let given_up = |app: &&AppStatus| {
        let words = format!("went down {DOWNS_ON_TRIAL_MAX} times while it was on trial");
        app.app == APP
            && app.state == "refused"
            && app.version == version
            && app.fallback
            && app.detail.contains(&words)
            && !app.detail.contains(&format!("version {version} goes on running"))
    };
    device.connection == Connection::Online
        && device.generation == device.generation_wanted
        && device.apps.iter().any(|app| given_up(&app))
}

/// Two contents for one generation.
fn is_alarming(code: u16) -> bool {
    code == EQUIVOCATION
}

/// As `device_protocol::RefusalCode` numbers it; the tests look from outside.
const EQUIVOCATION: u16 = 10;

fn read_from(file: &Path, from: &mut u64) -> std::io::Result<String> {
    let mut file = std::fs::File::open(file)?;
    file.seek(SeekFrom::Start(*from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    *from += bytes.len() as u64;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A runtime for one rig.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(1).enable_all().build()?)
}
