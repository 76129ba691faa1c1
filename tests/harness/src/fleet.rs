//! A gateway and its devices.

use crate::{
    AgentOptions, AgentProcess, DeviceClass, GatewayOptions, GatewayProcess, Kit, wait_for,
};
use anyhow::{Context, bail};
use gateway_api::{
    AppStatus, Connection, Deployment, DeviceSelector, ModuleLimits, NewClaimToken, NewDeployment,
    Provisions,
};
use gateway_client::{Client, PublishedQuery, Upload};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The seed of the sensor `temperature` on each device of a fleet.
pub const SENSOR_SEED: u64 = 2_026;

/// An emulated agent probes its runtime, enrols and reports within this time
/// also where three of them start at once on two cores.
const ENROL_WITHIN: Duration = Duration::from_secs(90);

/// Compile, check under emulation, sign, fetch, install.
pub const DEPLOY_WITHIN: Duration = Duration::from_secs(90);

pub struct Fleet {
    pub kit: Kit,
    /// `None` only while it is being started again.
    gateway: Option<GatewayProcess>,
    pub agents: Vec<AgentProcess>,
    data: PathBuf,
    client: Client,
}

impl Fleet {
    /// A gateway without devices, its data below `data`.
    pub fn start(kit: Kit, data: &Path) -> anyhow::Result<Self> {
        Self::start_advertising(kit, data, None)
    }

    /// The same, with devices told that the broker is elsewhere.
    pub fn start_advertising(
        kit: Kit,
        data: &Path,
        mqtt_advertise: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        Self::start_with(kit, GatewayOptions { mqtt_advertise, ..GatewayOptions::new(data) })
    }

    /// The same, with a gateway that is configured otherwise.
    pub fn start_with(kit: Kit, options: GatewayOptions) -> anyhow::Result<Self> {
        let data = options.data.clone();
        let gateway = GatewayProcess::start(&kit, options)?;
        let client = gateway.client()?;
        Ok(Self { kit, gateway: Some(gateway), agents: vec![], data, client })
    }

    /// A gateway and one native device that runs the sensor filter.
    pub async fn start_with_filter(kit: Kit, data: &Path) -> anyhow::Result<Self> {
        let mut fleet = Self::start(kit, data)?;
        fleet.add_device(DeviceClass::X86_64).await?;
        fleet.deploy_filter().await?;
        Ok(fleet)
    }

    /// Deploys the filter to all devices and waits for the first of them.
    pub async fn deploy_filter(&mut self) -> anyhow::Result<()> {
        let module = self.push("sensor-filter", "sensor-filter.wasm").await?;
        let new = Self::filter_deployment(&module.id, DeviceSelector::All);
        self.client.create_deployment(&new).await?;
        let first = self.agents.first().context("no device was started")?.name().to_owned();
        self.wait_running(&first, "sensor-filter", 1).await?;
        Ok(())
    }

    /// The command line, logged in.
    pub fn farrier(&mut self) -> Command {
        let mut command = Command::new(self.kit.command_line());
        command
            .env("FARRIER_GATEWAY", self.gateway().url())
            .env("FARRIER_TOKEN_FILE", self.gateway().token_file());
        command
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn gateway(&mut self) -> &mut GatewayProcess {
        self.gateway.as_mut().expect("the gateway is only away inside restart_gateway")
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Starts a device of a class and waits until it has reported.
    pub async fn add_device(&mut self, class: DeviceClass) -> anyhow::Result<()> {
        self.start_device(class).await?;
        self.wait_online(&class.device_name()).await
    }

    /// Starts a device of a class and does not wait for it.
    pub async fn start_device(&mut self, class: DeviceClass) -> anyhow::Result<()> {
        let options = self.agent_options(class, &class.device_name()).await?;
        self.start_device_with(options)
    }

    /// What [`Self::start_device`] gives an agent, under another name, to be changed.
    pub async fn agent_options(
        &mut self,
        class: DeviceClass,
        name: &str,
    ) -> anyhow::Result<AgentOptions> {
        let claim = self.client.create_claim_token(&NewClaimToken { valid_s: None }).await?;
        Ok(AgentOptions {
            class,
            name: name.to_owned(),
            data: self.data.join(name),
            gateway_url: self.gateway().url().to_owned(),
            ca_file: None,
            claim_token: Some(claim.token),
            report_interval_ms: 1_000,
            reconnect_s_max: None,
            freeze_after_ms: None,
            store_bytes_max: None,
            fetch_patience_s: None,
            fetch_bytes_per_s_min: None,
            clock_trusted: false,
            wrapper: vec![],
            sensor_seed: SENSOR_SEED,
            sysfs_dir: None,
            more_config: String::new(),
        })
    }

    pub fn start_device_with(&mut self, options: AgentOptions) -> anyhow::Result<()> {
        self.agents.push(AgentProcess::start(&self.kit, options)?);
        Ok(())
    }

    pub fn agent(&mut self, name: &str) -> anyhow::Result<&mut AgentProcess> {
        let agent = self.agents.iter_mut().find(|agent| agent.name() == name);
        agent.with_context(|| format!("no agent {name} was started"))
    }

    pub async fn wait_online(&mut self, name: &str) -> anyhow::Result<()> {
        let client = self.client.clone();
        let what = format!("{name} online");
        let waited = wait_for(&what, ENROL_WITHIN, async || {
            self.check_alive()?;
            let devices = client.devices().await?;
            let device = devices.items.into_iter().find(|device| device.name == name);
            Ok(match device {
                Some(device) if device.connection == Connection::Online => Ok(()),
                other => Err(format!("{other:?}")),
            })
        });
        waited.await.with_context(|| self.logs())
    }

    /// Every process still runs; the first that does not is named with its log.
    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        self.gateway().process().check_alive()?;
        for agent in &mut self.agents {
            agent.process().check_alive()?;
        }
        Ok(())
    }

    pub fn logs(&self) -> String {
        let agents = self.agents.iter().map(AgentProcess::log_tail);
        self.gateway.iter().map(GatewayProcess::log_tail).chain(agents).collect()
    }

    /// Pushes the sensor filter of a file, such as `sensor-filter.wasm`.
    pub async fn push(&self, name: &str, file: &str) -> anyhow::Result<gateway_api::Module> {
        let bytes = self.kit.read_module(file)?;
        let upload = Upload::from_bytes(bytes);
        Ok(self.client.push_module(Some(name), &upload, |_, _| {}).await?.module)
    }

    /// Pushes a misbehaving example with a part of its text replaced: as they are,
    /// most misbehave so early that the gateway's own check refuses them.
    pub async fn push_wat(
        &self,
        name: &str,
        part: &str,
        by: &str,
    ) -> anyhow::Result<gateway_api::Module> {
        let text = String::from_utf8(self.kit.read_module(&format!("{name}.wat"))?)?;
        if !text.contains(part) {
            bail!("{name}.wat does not contain {part}");
        }
        let text = if part.is_empty() { text } else { text.replace(part, by) };
        let upload = Upload::from_bytes(wat::parse_str(text)?);
        Ok(self.client.push_module(Some(name), &upload, |_, _| {}).await?.module)
    }

    /// Pushes npm's xxhash with its known answers.
    pub async fn push_xxhash(&self) -> anyhow::Result<gateway_api::Module> {
        let module = self.push("xxhash", "xxhash.wasm").await?;
        let steps = String::from_utf8(self.kit.read_module("xxhash.toml")?)?;
        Ok(self.client.put_known_answers(&module.id, &steps).await?)
    }

    /// What the sensor filter needs to run.
    pub fn filter_deployment(module: &str, devices: DeviceSelector) -> NewDeployment {
        NewDeployment {
            sensors: vec!["temperature".into()],
            channels: vec!["average".into()],
            interval_ms: Some(100),
            ..Self::deployment(module, devices)
        }
    }

    pub fn deployment(module: &str, devices: DeviceSelector) -> NewDeployment {
        NewDeployment {
            module: module.to_owned(),
            devices,
            interval_ms: None,
            call_ms_max: None,
            memory_bytes_max: None,
            sensors: vec![],
            channels: vec![],
            metering: false,
            canonical_nans: false,
            // Tests and the demo do not wait half a minute for each upgrade.
            health_window_ms: Some(2_000),
            provisions: Provisions::default(),
            limits: ModuleLimits::default(),
            placement: None,
            scheduling: Default::default(),
        }
    }

    /// Waits until a version of an application runs on a device.
    pub async fn wait_running(
        &mut self,
        device: &str,
        app: &str,
        version: u32,
    ) -> anyhow::Result<AppStatus> {
        let client = self.client.clone();
        let what = format!("{app}@{version} running on {device}");
        let waited = wait_for(&what, DEPLOY_WITHIN, async || {
            self.check_alive()?;
            let found = find_app(&client, device, app).await?;
            Ok(match found {
                Some(status) if status.state == "running" && status.version == version => {
                    Ok(status)
                }
                other => Err(format!("{other:?}")),
            })
        });
        waited.await.with_context(|| self.logs())
    }

    /// The filter of a device runs in the worker that it ran in before, and has
    /// ticked since.
    pub async fn check_filter_went_on(&mut self, before: &AppStatus) -> anyhow::Result<()> {
        let went_on = |app: &AppStatus| app.state == "running" && app.calls > before.calls;
        let after = self.wait_app("more ticks", &before.device_name, &before.app, went_on).await?;
        if after.restarts != before.restarts || after.traps != before.traps {
            bail!("the filter was disturbed: {after:?}");
        }
        Ok(())
    }

    /// What a device reported last of an application.
    pub async fn status(&mut self, device: &str, app: &str) -> anyhow::Result<AppStatus> {
        self.wait_app("a report", device, app, |_| true).await
    }

    /// Waits until an application on a device is as asked.
    pub async fn wait_app(
        &mut self,
        what: &str,
        device: &str,
        app: &str,
        is_wanted: impl Fn(&AppStatus) -> bool,
    ) -> anyhow::Result<AppStatus> {
        let client = self.client.clone();
        let waited = wait_for(what, DEPLOY_WITHIN, async || {
            let found = find_app(&client, device, app).await?;
            Ok(match found {
                Some(status) if is_wanted(&status) => Ok(status),
                other => Err(format!("{other:?}")),
            })
        });
        waited.await.with_context(|| self.logs())
    }

    /// Waits until a device as a whole is as asked.
    pub async fn wait_device(
        &mut self,
        what: &str,
        name: &str,
        is_wanted: impl Fn(&gateway_api::Device) -> bool,
    ) -> anyhow::Result<gateway_api::Device> {
        let client = self.client.clone();
        let waited = wait_for(what, DEPLOY_WITHIN, async || {
            let devices = client.devices().await?;
            let found = devices.items.into_iter().find(|device| device.name == name);
            Ok(match found {
                Some(device) if is_wanted(&device) => Ok(device),
                other => Err(format!("{other:?}")),
            })
        });
        waited.await.with_context(|| self.logs())
    }

    /// Waits until a deployment has ended, well or not.
    pub async fn wait_deployment(
        &mut self,
        id: &str,
        mut each: impl FnMut(&Deployment),
    ) -> anyhow::Result<Deployment> {
        use gateway_api::DeploymentState::{Done, Failed};
        let client = self.client.clone();
        let waited = wait_for("the deployment's end", DEPLOY_WITHIN, async || {
            self.check_alive()?;
            let deployment = client.deployment(id).await?;
            each(&deployment);
            Ok(match deployment.state {
                Done | Failed => Ok(deployment),
                _ => Err(format!("{deployment:?}")),
            })
        });
        waited.await.with_context(|| self.logs())
    }

    /// Cuts the gateway's power and starts it again.
    pub fn restart_gateway(&mut self) -> anyhow::Result<()> {
        let mut gateway = self.gateway.take().context("the gateway is there")?;
        gateway.process().kill()?;
        self.gateway = Some(gateway.start_again(&self.kit)?);
        Ok(())
    }

    /// Cuts a device's power and starts it again.
    pub fn restart_agent(&mut self, name: &str) -> anyhow::Result<()> {
        let index = self.agents.iter().position(|agent| agent.name() == name);
        let index = index.with_context(|| format!("no agent {name} was started"))?;
        let mut agent = self.agents.remove(index);
        agent.process().kill()?;
        self.agents.push(agent.start_again(&self.kit)?);
        Ok(())
    }

    /// Compares the values that the filter published on a device since a time with
    /// this machine's own computation; gives their number.
    pub async fn check_averages(
        &self,
        device: &str,
        app: &str,
        window: u64,
        since_ms: u64,
    ) -> anyhow::Result<usize> {
        let query = PublishedQuery {
            device: Some(device.to_owned()),
            app: Some(app.to_owned()),
            channel: Some("average".to_owned()),
            since: None,
            limit: None,
        };
        let mut values = self.client.published(&query).await?.items;
        values.retain(|value| value.time_ms > since_ms);
        for value in &values {
            let payload = hex::decode(&value.payload)?;
            let (count, average) = crate::read_record(&payload)
                .with_context(|| format!("{} is no record of the filter", value.payload))?;
            let expected = crate::expected_average(SENSOR_SEED, count, window);
            if average.to_bits() != expected.to_bits() {
                bail!("{device}: the average after {count} samples is {average}, not {expected}");
            }
        }
        Ok(values.len())
    }
}

pub async fn find_app(
    client: &Client,
    device: &str,
    app: &str,
) -> anyhow::Result<Option<AppStatus>> {
    let statuses = client.ps().await?;
    Ok(statuses.items.into_iter().find(|status| status.device_name == device && status.app == app))
}
