//! HTTP behind a reverse proxy that does TLS, as the gateway's documentation has it.

use crate::middle::{accept, broker_tls};
use crate::tls_fleet;
use anyhow::ensure;
use harness::DeviceClass;
use tokio::net::TcpListener;

const NAME: &str = "far-away";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_through_a_proxy() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = tls_fleet(data.path()).await?;
    let (folder, acceptor) = broker_tls(&fleet.kit, data.path())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://{}", listener.local_addr()?);
    let gateway = fleet.gateway().url().trim_start_matches("http://").parse()?;
    tokio::spawn(accept(listener, acceptor, gateway));

    // Without the proxy's authority the device tells nobody its claim token.
    let mut options = fleet.agent_options(DeviceClass::X86_64, NAME).await?;
    options.gateway_url = url;
    fleet.start_device_with(options.clone())?;
    harness::wait_for("its refusal of the certificate", crate::SOON, async || {
        let log = std::fs::read_to_string(fleet.agent(NAME)?.log_file())?;
        Ok(if log.contains("UnknownIssuer") { Ok(()) } else { Err(log) })
    })
    .await?;
    ensure!(fleet.client().device(NAME).await.is_err(), "it enrolled");
    let mut agent = fleet.agents.pop().expect("the one that was started");
    agent.process().stop()?;

    options.ca_file = Some(folder.join("ca.crt"));
    fleet.start_device_with(options)?;
    fleet.wait_online(NAME).await
}
