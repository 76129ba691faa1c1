//! A device with an identity of its own tries all that is not its own to do. Each
//! attempt is refused, counted and shown, and its neighbour notices nothing.

use crate::identity::Identity;
use crate::session::{NoSession, Session};
use crate::{FILTER, SOON, VICTIM, losses, tls_fleet};
use anyhow::{Context, ensure};
use device_protocol::{LogLine, LogMessage, MESSAGE_VERSION, Topic, Want};
use gateway_api::DeviceSelector;
use gateway_client::LogQuery;
use harness::{Fleet, wait_for};
use module_package::{BlobId, DeviceId};
use rumqttc::{ConnectReturnCode, LastWill, QoS};

const THIEF: &str = "thief";
const FORGED: &str = "forged by the thief";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malicious_device() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let mut fleet = tls_fleet(data.path()).await?;
    let thief = Identity::steal(&mut fleet, THIEF).await?;
    let victim: DeviceId = fleet.client().device(VICTIM).await?.id.parse()?;
    // Something that the victim alone shall run.
    let module = fleet.push_xxhash().await?;
    let only = DeviceSelector::These(vec![victim.to_string()]);
    fleet.client().create_deployment(&Fleet::deployment(&module.id, only)).await?;
    let secret = fleet.wait_running(VICTIM, "xxhash", 1).await?;
    let secret: BlobId = secret.artifact.context("its artifact is known")?.parse()?;
    let before = fleet.status(VICTIM, FILTER).await?;
    let lost_before = losses(&mut fleet, VICTIM)?;

    let mut counted = Counted { fleet: &mut fleet, count: 0 };
    counted.start().await?;
    foreign_logins(&mut counted, &thief, &victim).await?;
    let id = thief.device.as_str();
    let mut session = Session::login(thief.options(id, &thief.login_token()?)?).await;
    let session = session.as_mut().map_err(|e| anyhow::anyhow!("its own login: {e:?}"))?;
    foreign_subscriptions(&mut counted, session, &victim, &secret).await?;
    foreign_messages(&mut counted, session, &thief, &victim, &secret).await?;
    blobs_without_right(&mut counted, session, &thief, &secret).await?;
    long_messages(&mut counted, session, &thief).await?;

    // The neighbour lost neither its session nor a tick, and nothing was put into its
    // mouth or ears; nor was anybody else's connection ended, the gateway's among them.
    fleet.check_filter_went_on(&before).await?;
    ensure!(losses(&mut fleet, VICTIM)? == lost_before, "the victim lost its connection");
    let log = std::fs::read_to_string(fleet.gateway().log_file())?;
    ensure!(!log.contains("connection to the broker is lost"), "{log}");
    let lines = fleet.client().logs(&LogQuery::default()).await?.items;
    ensure!(lines.iter().all(|line| !line.text.contains(FORGED)), "{lines:?}");
    let device = fleet.client().device(VICTIM).await?;
    ensure!(device.refusal.is_none() && device.alarms.is_empty(), "{device:?}");
    ensure!(device.refused_messages == 0, "counted against the victim: {device:?}");
    Ok(())
}

/// The thief's count of refusals, as everyone sees it.
struct Counted<'a> {
    fleet: &'a mut Fleet,
    count: u64,
}

impl Counted<'_> {
    async fn start(&mut self) -> anyhow::Result<()> {
        self.count = self.fleet.client().device(THIEF).await?.refused_messages;
        Ok(())
    }

    /// The attempt has been counted since the last one.
    async fn one_more(&mut self, what: &str) -> anyhow::Result<()> {
        let client = self.fleet.client().clone();
        let count = self.count;
        let what = format!("the count of {what}");
        let counted = wait_for(&what, SOON, async || {
            let now = client.device(THIEF).await?.refused_messages;
            Ok(if now > count { Ok(now) } else { Err(format!("{now}")) })
        });
        self.count = counted.await.with_context(|| self.fleet.logs())?;
        Ok(())
    }
}

/// A certificate opens the door for its own name alone, and not without the token.
async fn foreign_logins(
    counted: &mut Counted<'_>,
    thief: &Identity,
    victim: &DeviceId,
) -> anyhow::Result<()> {
    let refused = NoSession::Refused(ConnectReturnCode::NotAuthorized);
    let (own, token) = (thief.device.as_str(), || thief.login_token());
    let mut foreign_user = thief.options(own, "")?;
    foreign_user.set_credentials(victim.as_str(), token()?);
    let mut will = thief.options(own, &token()?)?;
    let topic = Topic::Log(victim.clone()).to_string();
    will.set_last_will(LastWill::new(topic, forged_log(), QoS::AtLeastOnce, false));
    let mut retained_will = thief.options(own, &token()?)?;
    let topic = Topic::Report(thief.device.clone()).to_string();
    retained_will.set_last_will(LastWill::new(topic, "x", QoS::AtLeastOnce, true));
    let attempts = [
        ("another's client id", thief.options(victim.as_str(), &token()?)?),
        ("the gateway's client id", thief.options("farrier-gateway", &token()?)?),
        ("another's user name", foreign_user),
        ("a last will in another's name", will),
        ("a retained last will", retained_will),
        ("no token", thief.options(own, "")?),
        ("a token of nobody", thief.options(own, "Zm9yZ2Vk")?),
    ];
    for (what, options) in attempts {
        let answer = Session::login(options).await.err();
        ensure!(answer.as_ref() == Some(&refused), "{what}: {answer:?}");
        counted.one_more(what).await?;
    }
    // A token is good once, also the thief's own.
    let token = token()?;
    let first = Session::login(thief.options(own, &token)?).await;
    ensure!(first.is_ok(), "{:?}", first.err());
    let again = Session::login(thief.options(own, &token)?).await.err();
    ensure!(again == Some(refused), "a token again: {again:?}");
    counted.one_more("a token again").await
}

async fn foreign_subscriptions(
    counted: &mut Counted<'_>,
    session: &mut Session,
    victim: &DeviceId,
    secret: &BlobId,
) -> anyhow::Result<()> {
    let filters = [
        "#".to_owned(),
        "+/#".into(),
        "$SYS/#".into(),
        "farrier/1/#".into(),
        "farrier/1/d/+/down/manifest".into(),
        "farrier/1/d/+/up/+".into(),
        "farrier/1/blob/+".into(),
        "farrier/1/root/+".into(),
        format!("farrier/1/d/{victim}/down/+"),
        format!("$share/all/farrier/1/d/{victim}/down/manifest"),
        Topic::Manifest(victim.clone()).to_string(),
        Topic::Heartbeat(victim.clone()).to_string(),
        Topic::Message(victim.clone()).to_string(),
        Topic::Report(victim.clone()).to_string(),
        Topic::Log(victim.clone()).to_string(),
        Topic::OwnBlob(victim.clone(), *secret).to_string(),
    ];
    for filter in filters {
        ensure!(!session.subscribe(&filter).await?, "{filter} was granted");
        counted.one_more(&filter).await?;
    }
    ensure!(session.received().is_empty(), "{:?}", session.received());
    Ok(())
}

fn forged_log() -> Vec<u8> {
    let line =
        LogLine { app: FILTER.into(), level: "error".into(), text: FORGED.into(), time_ms: 1 };
    let message = LogMessage { version: MESSAGE_VERSION, lines: vec![line], dropped: 0 };
    minicbor::to_vec(message).expect("a log can be encoded")
}

async fn foreign_messages(
    counted: &mut Counted<'_>,
    session: &mut Session,
    thief: &Identity,
    victim: &DeviceId,
    secret: &BlobId,
) -> anyhow::Result<()> {
    let own = thief.device.clone();
    let attempts = [
        (Topic::Log(victim.clone()).to_string(), false),
        (Topic::Report(victim.clone()).to_string(), false),
        (Topic::Published(victim.clone()).to_string(), false),
        (Topic::Want(victim.clone()).to_string(), false),
        (Topic::Manifest(victim.clone()).to_string(), true),
        (Topic::Manifest(victim.clone()).to_string(), false),
        (Topic::Heartbeat(victim.clone()).to_string(), false),
        (Topic::Message(victim.clone()).to_string(), false),
        (Topic::OwnBlob(victim.clone(), *secret).to_string(), false),
        (Topic::Blob(*secret).to_string(), false),
        (Topic::Root(2).to_string(), true),
        // Not even what it only reads, nor a retained message where it may write.
        (Topic::Manifest(own.clone()).to_string(), true),
        (Topic::Log(own.clone()).to_string(), true),
        (format!("farrier/1/d/{own}/up/anything"), false),
        ("elsewhere".into(), false),
        (format!("$delayed/1/{}", Topic::Log(victim.clone())), false),
    ];
    for (topic, retain) in attempts {
        session.publish(&topic, retain, forged_log()).await?;
        counted.one_more(&topic).await?;
    }
    // What nobody can read, where it may write.
    for topic in [Topic::Report(own.clone()), Topic::Log(own.clone()), Topic::Want(own.clone())] {
        let topic = topic.to_string();
        session.publish(&topic, false, "rubbish").await?;
        counted.one_more(&topic).await?;
    }
    Ok(())
}

/// It listens where blocks would come, asks for them, and gets none.
async fn blobs_without_right(
    counted: &mut Counted<'_>,
    session: &mut Session,
    thief: &Identity,
    secret: &BlobId,
) -> anyhow::Result<()> {
    for topic in [Topic::Blob(*secret), Topic::OwnBlob(thief.device.clone(), *secret)] {
        ensure!(session.subscribe(&topic.to_string()).await?, "{topic} is its own to read");
    }
    for blob in [*secret, BlobId([9; 32])] {
        let want = Want {
            version: MESSAGE_VERSION,
            blob,
            missing: None,
            abilities: None,
            restarted: Some(true),
            site: None,
        };
        let topic = Topic::Want(thief.device.clone()).to_string();
        session.publish(&topic, false, minicbor::to_vec(want)?).await?;
        counted.one_more("a blob without right").await?;
    }
    ensure!(session.received().is_empty(), "{:?}", session.received());
    Ok(())
}

/// Longer than any message of a device, and then longer than any packet.
async fn long_messages(
    counted: &mut Counted<'_>,
    session: &mut Session,
    thief: &Identity,
) -> anyhow::Result<()> {
    let topic = Topic::Report(thief.device.clone()).to_string();
    session.publish(&topic, false, vec![7; 100 * 1024]).await?;
    counted.one_more("a message of 100 KiB").await?;
    session.throw(&topic, vec![7; 200 * 1024]).await?;
    session.ended().await
}
