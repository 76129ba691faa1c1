//! Reports in a device's name, by a device that has another and a broker that lets
//! everything through: what the gateway shows is what the device itself said.

use crate::identity::Identity;
use crate::middle::Middle;
use crate::{FILTER, SOON, VICTIM};
use anyhow::{Context, ensure};
use coset::CborSerializable;
use device_protocol::{Report, Topic};
use ed25519_dalek::SigningKey;
use gateway_api::Device;
use harness::{DeviceClass, Fleet, wait_for};
use module_package::{DeviceId, Domain, seal};

const THIEF: &str = "thief";
/// In no report of a device.
const FORGED_SEQ: u64 = 4_444;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoofed_report() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let (mut fleet, middle) = Middle::start(data.path()).await?;
    fleet.add_device(DeviceClass::X86_64).await?;
    fleet.deploy_filter().await?;
    let thief = Identity::steal(&mut fleet, THIEF).await?;
    let victim: DeviceId = fleet.client().device(VICTIM).await?.id.parse()?;
    let topic = Topic::Report(victim.clone());
    let of_earlier_start = last_report(&middle, &topic)?;
    fleet.restart_agent(VICTIM)?;
    let earlier = read(&of_earlier_start)?;
    wait_for("reports of the new start", SOON, async || {
        let last = read(&last_report(&middle, &topic)?)?;
        Ok(if last.boot_id != earlier.boot_id { Ok(()) } else { Err(format!("{last:?}")) })
    })
    .await?;
    let late = last_report(&middle, &topic)?;
    let before = fleet.wait_running(VICTIM, FILTER, 1).await?;
    fleet.check_filter_went_on(&before).await?;
    let before = fleet.client().device(VICTIM).await?;

    let genuine = last_report(&middle, &topic)?;
    let lie = forged(read(&genuine)?);
    let mut flipped = genuine.clone();
    let middle_byte = flipped.len() / 2;
    flipped[middle_byte] ^= 1;
    let stranger = SigningKey::from_bytes(&[7; 32]);
    let payload = minicbor::to_vec(&lie)?;
    let attempts = [
        ("sealed by another device", thief.seal_report(&lie)?),
        ("sealed by a stranger", seal(Domain::Report, payload.clone(), &stranger)),
        ("sealed for another purpose", seal(Domain::Login, payload.clone(), &thief.key)),
        ("changed by one bit", flipped),
        ("cut off", genuine[..genuine.len() - 1].to_vec()),
        ("without a seal", payload),
        ("of an earlier start", of_earlier_start),
        ("heard before", late),
    ];
    for (what, report) in attempts {
        tell_until_refused(&fleet, VICTIM, what, &middle, &topic, &report).await?;
        check_unchanged(&before, &fleet.client().device(VICTIM).await?, what)?;
    }
    // In its own name but about the other, and about itself in the other's place.
    let about_another = thief.seal_report(&lie)?;
    let of_thief = Topic::Report(thief.device.clone());
    tell_until_refused(&fleet, THIEF, "about another", &middle, &of_thief, &about_another).await?;
    let about_itself = thief.seal_report(&Report { device: thief.device.clone(), ..lie })?;
    tell_until_refused(&fleet, VICTIM, "about the thief", &middle, &topic, &about_itself).await?;

    let after = fleet.client().device(VICTIM).await?;
    check_unchanged(&before, &after, "all of it")?;
    ensure!(after.reports_refused >= 2, "repeated and late ones are counted: {after:?}");
    let shown = |device: &Device| device.alarms.iter().any(|alarm| alarm.kind == "forged-reports");
    ensure!(shown(&after), "no alarm: {after:?}");
    // What it says itself goes on to count.
    let running = fleet.status(VICTIM, FILTER).await?;
    fleet.check_filter_went_on(&running).await
}

fn last_report(middle: &Middle, topic: &Topic) -> anyhow::Result<Vec<u8>> {
    let up = middle.up();
    let last = up.into_iter().rev().find(|(of, _)| of == topic);
    Ok(last.context("it has reported")?.1)
}

fn read(sealed: &[u8]) -> anyhow::Result<Report> {
    let document = coset::CoseSign1::from_slice(sealed).map_err(anyhow::Error::msg)?;
    Ok(minicbor::decode(&document.payload.context("it has a payload")?)?)
}

/// Newer than any, with figures that would show.
fn forged(genuine: Report) -> Report {
    let counter = genuine.counter + 1_000;
    let mut lie = Report { counter, seq: FORGED_SEQ, epoch: 9, apps: vec![], ..genuine };
    lie.usage.store_bytes = FORGED_SEQ;
    lie
}

/// Says it again and again: of reports that wait, the gateway keeps the newest, which
/// may be the device's own.
async fn tell_until_refused(
    fleet: &Fleet,
    counted: &str,
    what: &str,
    middle: &Middle,
    topic: &Topic,
    report: &[u8],
) -> anyhow::Result<()> {
    let client = fleet.client();
    let count = client.device(counted).await?.refused_messages;
    let what = format!("the count of a report {what}");
    let refused = wait_for(&what, SOON, async || {
        middle.tell_gateway(topic, report.to_vec()).await?;
        let now = client.device(counted).await?.refused_messages;
        Ok(if now > count { Ok(()) } else { Err(format!("{now} refused")) })
    });
    refused.await.with_context(|| fleet.logs())
}

fn check_unchanged(before: &Device, now: &Device, what: &str) -> anyhow::Result<()> {
    ensure!(
        now.generation == before.generation
            && now.generation_wanted == before.generation_wanted
            && now.store_bytes != FORGED_SEQ
            && now.apps.len() == before.apps.len()
            && now.apps[0].report_boot_id == before.apps[0].report_boot_id
            && now.apps[0].calls >= before.apps[0].calls
            && now.refusal.is_none(),
        "a report {what} changed what is shown: {before:?} became {now:?}"
    );
    Ok(())
}
