//! Debian's mosquitto as the gateway's broker, as `farrier-gateway mosquitto-config`
//! sets it up. It keeps nothing on disk: killed, it has lost all sessions and state.

use crate::world::World;
use anyhow::{Context, ensure};
use harness::{OwnedProcess, wait_for};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PROGRAM: &str = "/usr/sbin/mosquitto";
const START_WITHIN: Duration = Duration::from_secs(20);

/// Why there is none here, if there is none.
pub fn missing() -> Option<String> {
    (!Path::new(PROGRAM).exists()).then(|| format!("there is no {PROGRAM}"))
}

pub struct Mosquitto {
    address: SocketAddr,
    config: PathBuf,
    log: PathBuf,
    process: Option<OwnedProcess>,
}

impl Mosquitto {
    /// One that is not started yet, on a port that is free now.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let config = folder.join("mosquitto/mosquitto.conf");
        Ok(Self { address, config, log: folder.join("mosquitto.log"), process: None })
    }

    pub fn url(&self) -> String {
        format!("mqtts://{}", self.address)
    }

    /// Lets the gateway write the configuration, which needs its authority.
    pub fn configure(&self, world: &World, gateway_config: &Path) -> anyhow::Result<()> {
        let folder = self.config.parent().context("the configuration is in a folder")?;
        let mut command = Command::new(world.fleet.kit.gateway());
        command.arg("mosquitto-config").arg("--config").arg(gateway_config);
        command.arg("--out").arg(folder).args(["--host", "127.0.0.1"]);
        command.arg("--listen").arg(self.address.to_string());
        let output = command.output().context("start the gateway")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "mosquitto-config: {said}");
        // As root it would become a user who cannot read the test's folder.
        let text = std::fs::read_to_string(&self.config)?;
        Ok(std::fs::write(&self.config, format!("user root\n{text}"))?)
    }

    pub async fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(PROGRAM);
        command.arg("-c").arg(&self.config);
        let (process, stdout) = OwnedProcess::start("mosquitto", &mut command, &self.log)?;
        drop(stdout);
        let process = self.process.insert(process);
        wait_for("mosquitto", START_WITHIN, async || {
            process.check_alive()?;
            Ok(TcpStream::connect(self.address).map(drop).map_err(|error| error.to_string()))
        })
        .await
    }

    /// As if its power were cut.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("mosquitto runs")?.kill()
    }
}
