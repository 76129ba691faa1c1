//! A device without a claim token, from its fingerprint to a certificate that ends.

use crate::identity::Identity;
use crate::session::{NoSession, Session};
use crate::{FILTER, SOON, VICTIM, losses};
use anyhow::{Context, ensure};
use farrier_agent::wall_clock_ms;
use harness::{DeviceClass, Fleet, GatewayOptions, Kit, wait_for};
use module_package::PublicKey;
use std::time::Duration;

const CERTIFICATE_VALID_S: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_let_in_by_its_fingerprint_and_outlives_its_certificates() -> anyhow::Result<()>
{
    let data = tempfile::tempdir()?;
    let options = GatewayOptions {
        mqtt_tls: true,
        certificate_valid_s: Some(CERTIFICATE_VALID_S),
        ..GatewayOptions::new(data.path())
    };
    let mut fleet = Fleet::start_with(Kit::for_tests()?, options)?;
    let mut options = fleet.agent_options(DeviceClass::X86_64, VICTIM).await?;
    options.claim_token = None;
    fleet.start_device_with(options)?;
    accept_by_fingerprint(&mut fleet).await?;
    fleet.wait_online(VICTIM).await?;
    fleet.deploy_filter().await?;
    let before = fleet.status(VICTIM, FILTER).await?;
    let lost_before = losses(&mut fleet, VICTIM)?;

    // It renews before the end, and nobody notices.
    let store = fleet.agent(VICTIM)?.store();
    let first = not_after_ms(&Identity::read(&store)?)?;
    wait_for("another certificate", SOON, async || {
        let now = not_after_ms(&Identity::read(&store)?)?;
        Ok(if now > first { Ok(()) } else { Err(format!("one that ends at {now}")) })
    })
    .await
    .with_context(|| fleet.logs())?;
    ensure!(wall_clock_ms() < first, "it was renewed only after its end");
    fleet.check_filter_went_on(&before).await?;
    ensure!(losses(&mut fleet, VICTIM)? == lost_before, "it lost its connection");

    // It is away until its certificate has ended: that opens nothing any more, and the
    // device comes back all the same.
    fleet.agent(VICTIM)?.process().kill()?;
    let ended = Identity::read(&store)?;
    let left_ms = not_after_ms(&ended)?.saturating_sub(wall_clock_ms());
    tokio::time::sleep(Duration::from_millis(left_ms + 1_000)).await;
    let login = ended.options(ended.device.as_str(), &ended.login_token()?)?;
    let answer = Session::login(login).await.err();
    ensure!(matches!(answer, Some(NoSession::Lost(_))), "an ended certificate: {answer:?}");
    fleet.restart_agent(VICTIM)?;
    let runs = |app: &gateway_api::AppStatus| {
        app.state == "running" && app.report_boot_id != before.report_boot_id
    };
    fleet.wait_app("the device's return", VICTIM, FILTER, runs).await?;
    Ok(())
}

fn not_after_ms(identity: &Identity) -> anyhow::Result<u64> {
    identity.membership.certificate_not_after_ms.context("its certificate has an end")
}

/// By the command line, with what the device's agent has logged.
async fn accept_by_fingerprint(fleet: &mut Fleet) -> anyhow::Result<()> {
    let shown = wait_for("a device in the list", SOON, async || {
        let pending = fleet.client().pending_enrolments().await?;
        Ok(pending.items.first().cloned().ok_or_else(|| format!("{pending:?}")))
    })
    .await?;
    let log = std::fs::read_to_string(fleet.agent(VICTIM)?.log_file())?;
    let logged = log.split("Fingerprint: ").nth(1).context("the agent logs its fingerprint")?;
    let logged = logged.split('.').next().context("up to the next sentence")?;
    ensure!(shown.fingerprint == logged, "the gateway shows {shown:?}, the agent {logged}");
    let listed = farrier(fleet, &["device", "pending"])?;
    ensure!(listed.contains(logged) && listed.contains(VICTIM), "{listed}");

    // Another's acceptance lets nobody in but that one.
    let other = device_protocol::fingerprint(&PublicKey([9; 32]));
    let said = farrier(fleet, &["device", "accept", &other])?;
    ensure!(said.contains("has asked yet"), "{said}");
    ensure!(fleet.client().devices().await?.items.is_empty(), "it was let in");

    let typed = logged.to_lowercase().replace('-', " ");
    let said = farrier(fleet, &["device", "accept", &typed])?;
    ensure!(said.contains("is enrolled"), "{said}");
    Ok(())
}

/// What the command says, to whichever of both.
fn farrier(fleet: &mut Fleet, arguments: &[&str]) -> anyhow::Result<String> {
    let output = fleet.farrier().args(arguments).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "farrier {arguments:?}: {said}");
    Ok(said)
}
