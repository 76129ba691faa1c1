//! Debian's mosquitto in place of the embedded broker: devices are known by their
//! certificates, reach their own topics alone, and find everything again after it was
//! killed and emptied.

use crate::identity::Identity;
use crate::middle::write_broker_files;
use crate::session::Session;
use crate::{FILTER, SOON, VICTIM, losses};
use anyhow::{Context, bail, ensure};
use device_protocol::{LogLine, LogMessage, MESSAGE_VERSION, Topic, Want};
use gateway_api::{DeviceSelector, NewDeployment};
use gateway_client::LogQuery;
use harness::{DeviceClass, Fleet, GatewayOptions, Kit, OwnedProcess, wait_for};
use module_package::{BlobId, DeviceId};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpStream;

const PROGRAM: &str = "/usr/sbin/mosquitto";
const THIEF: &str = "thief";
const FORGED: &str = "forged by the thief";
const START_TRIES: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mosquitto() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let kit = Kit::for_tests()?;
    let mosquitto = Mosquitto::start(&kit, data.path()).await?;
    let options = GatewayOptions {
        broker_url: Some(format!("mqtts://{}", mosquitto.address)),
        ..GatewayOptions::new(data.path())
    };
    let mut fleet = Fleet::start_with(kit, options)?;
    fleet.add_device(DeviceClass::X86_64).await?;
    fleet.deploy_filter().await?;
    let thief = Identity::steal(&mut fleet, THIEF).await?;
    let lost_before = losses(&mut fleet, VICTIM)?;

    strangers_stay_outside(&thief).await?;
    // The certificate's name is the client id, whatever the client says: this ends no
    // session of the victim.
    let victim = fleet.client().device(VICTIM).await?.id;
    drop(login(&thief, &victim).await?);
    let mut session = login(&thief, thief.device.as_str()).await?;
    rights_end_at_the_own_topics(&mut fleet, &thief, &mut session).await?;
    revocation_ends_the_service(&mut fleet, &thief, &mut session).await?;
    ensure!(losses(&mut fleet, VICTIM)? == lost_before, "the victim lost its connection");

    // Killed, with all that it retained; meanwhile something new is deployed.
    let killed = mosquitto.kill()?;
    fleet.push(FILTER, "sensor-filter-wide.wasm").await?;
    let new = Fleet::filter_deployment(FILTER, DeviceSelector::All);
    fleet.client().create_deployment(&new).await?;
    let _mosquitto = killed.start_again().await?;
    fleet.wait_running(VICTIM, FILTER, 2).await?;
    // Also for a device that was never there before.
    let options = fleet.agent_options(DeviceClass::X86_64, "newcomer").await?;
    fleet.start_device_with(options)?;
    fleet.wait_running("newcomer", FILTER, 2).await?;
    Ok(())
}

async fn login(identity: &Identity, client_id: &str) -> anyhow::Result<Session> {
    // It looks at the certificate and at nothing else.
    let session = Session::login(identity.options(client_id, "anything")?).await;
    session.map_err(|error| anyhow::anyhow!("log in to mosquitto: {error:?}"))
}

async fn strangers_stay_outside(thief: &Identity) -> anyhow::Result<()> {
    let mut membership = thief.membership.clone();
    membership.certificate = None;
    let nobody = Identity { device: thief.device.clone(), key: thief.key.clone(), membership };
    let session = login(&nobody, thief.device.as_str()).await;
    ensure!(session.is_err(), "a client without a certificate got in");
    Ok(())
}

fn forged_log() -> anyhow::Result<Vec<u8>> {
    let line =
        LogLine { app: FILTER.into(), level: "error".into(), text: FORGED.into(), time_ms: 1 };
    let message = LogMessage { version: MESSAGE_VERSION, lines: vec![line], dropped: 0 };
    Ok(minicbor::to_vec(message)?)
}

async fn rights_end_at_the_own_topics(
    fleet: &mut Fleet,
    thief: &Identity,
    session: &mut Session,
) -> anyhow::Result<()> {
    let victim: DeviceId = fleet.client().device(VICTIM).await?.id.parse()?;
    // Mosquitto grants every subscription and keeps back what has no right to pass.
    for filter in ["#".to_owned(), "farrier/1/d/+/down/+".into(), "farrier/1/d/+/up/+".into()] {
        session.subscribe(&filter).await?;
    }
    for topic in [Topic::Log(victim.clone()), Topic::Manifest(victim.clone()), Topic::Root(2)] {
        for retain in [false, true] {
            session.publish(&topic.to_string(), retain, forged_log()?).await?;
        }
    }
    mark(fleet, thief, session).await?;

    let new = NewDeployment {
        interval_ms: Some(90),
        ..Fleet::filter_deployment(FILTER, DeviceSelector::All)
    };
    fleet.client().create_deployment(&new).await?;
    let device = fleet
        .wait_device("the new generation", VICTIM, |device| {
            device.generation == device.generation_wanted
        })
        .await?;
    ensure!(device.refusal.is_none() && device.refused_messages == 0, "{device:?}");
    let lines = fleet.client().logs(&LogQuery::default()).await?.items;
    ensure!(lines.iter().all(|line| !line.text.contains(FORGED)), "{lines:?}");
    let heard = session.received();
    let foreign = heard.iter().find(|message| {
        Topic::parse(&message.topic).and_then(|topic| topic.device().cloned())
            == Some(victim.clone())
    });
    ensure!(foreign.is_none(), "the thief has heard {foreign:?}");
    Ok(())
}

/// Something that the gateway refuses and counts: what the session sent before has
/// been dealt with.
async fn mark(fleet: &Fleet, thief: &Identity, session: &mut Session) -> anyhow::Result<()> {
    let client = fleet.client();
    let count = client.device(THIEF).await?.refused_messages;
    session.publish(&Topic::Report(thief.device.clone()).to_string(), false, "rubbish").await?;
    wait_for("the count of a refused report", SOON, async || {
        let now = client.device(THIEF).await?.refused_messages;
        Ok(if now > count { Ok(()) } else { Err(format!("{now} refused")) })
    })
    .await
}

async fn revocation_ends_the_service(
    fleet: &mut Fleet,
    thief: &Identity,
    session: &mut Session,
) -> anyhow::Result<()> {
    let artifact = fleet.status(VICTIM, FILTER).await?.artifact.context("its artifact")?;
    let blob: BlobId = artifact.parse()?;
    let want = Want {
        version: MESSAGE_VERSION,
        blob,
        missing: None,
        abilities: None,
        restarted: Some(true),
        site: None,
    };
    let topic = Topic::Want(thief.device.clone()).to_string();
    let blocks = |session: &Session| {
        let of_blob = |topic: &str| match Topic::parse(topic) {
            Some(Topic::Blob(of) | Topic::OwnBlob(_, of)) => of == blob,
            _ => false,
        };
        session.received().iter().filter(|message| of_blob(&message.topic)).count()
    };
    session.publish(&topic, false, minicbor::to_vec(&want)?).await?;
    wait_for("a block for the thief", SOON, async || {
        Ok(if blocks(session) > 0 { Ok(()) } else { Err("none".to_owned()) })
    })
    .await?;

    fleet.client().revoke_device(THIEF).await?;
    // Of what was asked for before, something may still be on its way.
    mark(fleet, thief, session).await?;
    let before = blocks(session);
    session.publish(&topic, false, minicbor::to_vec(&want)?).await?;
    mark(fleet, thief, session).await?;
    ensure!(blocks(session) == before, "a revoked device got blocks");
    // Nor does a new session find a manifest.
    let manifest = Topic::Manifest(thief.device.clone()).to_string();
    wait_for("the end of its retained manifest", SOON, async || {
        let mut again = login(thief, thief.device.as_str()).await?;
        ensure!(again.subscribe(&manifest).await?);
        // Retained messages come with the answer or never.
        mark(fleet, thief, &mut again).await?;
        let found = again.received().iter().any(|message| message.topic == manifest);
        Ok(if found { Err("it is there".to_owned()) } else { Ok(()) })
    })
    .await
}

struct Mosquitto {
    process: OwnedProcess,
    folder: PathBuf,
    address: SocketAddr,
}

/// What is left of one that was killed.
struct Killed {
    folder: PathBuf,
    address: SocketAddr,
}

impl Mosquitto {
    /// It takes no port 0: another program may have the port that was free a moment ago.
    async fn start(kit: &Kit, data: &Path) -> anyhow::Result<Self> {
        ensure!(
            Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing: `cargo xtask setup` installs Debian's mosquitto"
        );
        let folder = data.join("mosquitto");
        for _ in 0..START_TRIES {
            let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            write_broker_files(kit, data, &folder, &free.to_string())?;
            if rustix::process::geteuid().is_root() {
                // It would become a user who may not read this folder.
                let file = folder.join("mosquitto.conf");
                let text = std::fs::read_to_string(&file)? + "user root\n";
                std::fs::write(&file, text)?;
            }
            let killed = Killed { folder: folder.clone(), address: free };
            match killed.start_again().await {
                Ok(started) => return Ok(started),
                Err(error) => eprintln!("mosquitto on {free}: {error:#}"),
            }
        }
        bail!("mosquitto did not start, {START_TRIES} times");
    }

    fn kill(mut self) -> anyhow::Result<Killed> {
        self.process.kill()?;
        Ok(Killed { folder: self.folder.clone(), address: self.address })
    }
}

impl Killed {
    /// With the same configuration and nothing else.
    async fn start_again(self) -> anyhow::Result<Mosquitto> {
        let mut command = Command::new(PROGRAM);
        command.arg("-c").arg(self.folder.join("mosquitto.conf"));
        let log = self.folder.join("log");
        let (process, stdout) = OwnedProcess::start("mosquitto", &mut command, &log)?;
        drop(stdout);
        let mut started = Mosquitto { process, folder: self.folder, address: self.address };
        wait_for("mosquitto's listener", Duration::from_secs(10), async || {
            started.process.check_alive()?;
            let connected = TcpStream::connect(started.address).await;
            Ok(connected.map(drop).map_err(|error| error.to_string()))
        })
        .await?;
        Ok(started)
    }
}
