//! From a configuration to a running agent: the data directory, the runtime, the
//! enrolment, then the loop.

use crate::agent::{Agent, Event, Parts};
use crate::app_storage::AppStorage;
use crate::config::Config;
use crate::delay::{Delays, random_seed};
use crate::enrol::{Applicant, enrol};
use crate::membership::MembershipKeeper;
use crate::mqtt::{BrokerAddress, LinkConfig, keep_connected};
use crate::refusal::Refusal;
use crate::state::{Enrolment, State};
use crate::store::Store;
use crate::workers::{Launcher, ProcessWorkers, RuntimeInfo, probe};
use anyhow::{Context, bail};
use durable_disk::{Disk, RealDisk};
use ed25519_dalek::SigningKey;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Events on their way to the loop.
const EVENTS_MAX: usize = 256;

const PROBE_RETRY_MIN: Duration = Duration::from_secs(1);
const PROBE_RETRY_MAX: Duration = Duration::from_secs(60);

/// Runs until a signal ends it.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut signals = Signals::new()?;
    let disk: Rc<dyn Disk> = Rc::new(RealDisk);
    // Before anything in it is touched.
    let _lock = lock(&*disk, &config)?;
    let state = State::open(disk.clone(), &config.data_dir)?;
    let key = state.key()?;
    let launcher = Launcher::new(&config.runtime);

    let (events, events_rx) = mpsc::channel(EVENTS_MAX);
    let enrolment = match state.enrolment()? {
        Some(enrolment) => {
            tokio::spawn(find_runtime(launcher.clone(), events.clone()));
            enrolment
        }
        None => tokio::select! {
            enrolled = first_enrolment(&config, &key, &launcher) => {
                let (enrolment, membership, runtime) = enrolled;
                state.set_enrolment(&enrolment)?;
                let keeper = membership_keeper(&config, &enrolment, &key, &state);
                keeper.accept(&membership).map_err(anyhow::Error::msg)?;
                events.try_send(Event::Probed(Ok(runtime))).ok();
                enrolment
            }
            () = signals.wait() => return Ok(()),
        },
    };
    tracing::info!(device.id = %enrolment.device, broker = enrolment.broker_url, "enrolled");

    let membership = Arc::new(membership_keeper(&config, &enrolment, &key, &state));
    let link = link_config(&config, &enrolment, &key, &membership)?;
    let app_storage = AppStorage::open(disk.clone(), &config.data_dir.join("app-storage"))?;
    let store = Store::open(disk, &config.data_dir.join("store"), config.store_bytes_max)?;
    let workers = ProcessWorkers::new(launcher, events.clone()).confined(&config);
    let workers = Box::new(workers);
    let seed = random_seed();
    let mut boot_id = [0; 16];
    getrandom::fill(&mut boot_id).context("make a boot id")?;
    let wall_clock_ms = crate::wall_clock_ms;
    let parts = Parts {
        config,
        key,
        enrolment,
        state,
        store,
        app_storage,
        workers,
        seed,
        boot_id,
        wall_clock_ms,
    };
    let agent = Agent::new(parts)?;
    tokio::spawn(membership.keep());
    tokio::spawn(keep_connected(link, events.clone()));
    tokio::spawn(async move {
        signals.wait().await;
        // An error means that the loop has ended already.
        let _ = events.send(Event::Stop).await;
    });
    crate::agent::run(agent, events_rx, began).await;
    // Lets the good-bye to the broker out.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        let terminate = listen(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Two agents on one directory would spoil each other's files.
fn lock(disk: &dyn Disk, config: &Config) -> anyhow::Result<File> {
    let dir = &config.data_dir;
    disk.create_dir(dir).with_context(|| format!("make the data directory {}", dir.display()))?;
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
    if durable_disk::lock(&file).is_err() {
        bail!("another agent uses {}", dir.display());
    }
    Ok(file)
}

async fn first_enrolment(
    config: &Config,
    key: &SigningKey,
    launcher: &Launcher,
) -> (Enrolment, Vec<u8>, RuntimeInfo) {
    let mut delays = Delays::random(PROBE_RETRY_MIN, PROBE_RETRY_MAX);
    let runtime = loop {
        match probe_and_log(launcher).await {
            Ok(runtime) => break runtime,
            Err(_) => tokio::time::sleep(delays.next_delay()).await,
        }
    };
    let (enrolment, membership) = enrol(Applicant { config, key, runtime: &runtime }).await;
    (enrolment, membership, runtime)
}

/// Tells the loop of each attempt, until one succeeds.
async fn find_runtime(launcher: Launcher, events: mpsc::Sender<Event>) {
    let mut delays = Delays::random(PROBE_RETRY_MIN, PROBE_RETRY_MAX);
    loop {
        let probed = probe_and_log(&launcher).await;
        let found = probed.is_ok();
        if events.send(Event::Probed(probed)).await.is_err() || found {
            return;
        }
        tokio::time::sleep(delays.next_delay()).await;
    }
}

async fn probe_and_log(launcher: &Launcher) -> Result<RuntimeInfo, Refusal> {
    let probed = probe(launcher).await;
    match &probed {
        Ok(info) => tracing::info!(
            target.id = info.profile.target,
            bounds = info.profile.bounds_checks,
            runtime = info.runtime,
            confinement = info.confinement.join(" "),
            "found the runtime"
        ),
        Err(refusal) => tracing::error!("{refusal}. To do: {}", refusal.code.advice()),
    }
    probed
}

/// Where the enrolled device connects to, and as whom.
pub fn link_config(
    config: &Config,
    enrolment: &Enrolment,
    key: &SigningKey,
    membership: &Arc<MembershipKeeper>,
) -> anyhow::Result<LinkConfig> {
    let address = BrokerAddress::parse(&enrolment.broker_url).map_err(anyhow::Error::msg)?;
    let tls = if address.is_tls { Some(tls_config(config)?) } else { None };
    let reconnect_max = Duration::from_secs(config.reconnect_s_max);
    let device = enrolment.device.clone();
    let (key, clock_trusted) = (key.clone(), config.clock_trusted);
    let membership = Some(membership.clone());
    Ok(LinkConfig { address, device, key, tls, membership, clock_trusted, reconnect_max })
}

pub fn membership_keeper(
    config: &Config,
    enrolment: &Enrolment,
    key: &SigningKey,
    state: &State,
) -> MembershipKeeper {
    MembershipKeeper::new(
        config.data_dir.clone(),
        config.gateway_url.clone(),
        config.ca_file.clone(),
        enrolment.device.clone(),
        key.clone(),
        state.shared_root(),
    )
}

/// Trusts the configured certificates, else those of the system.
fn tls_config(config: &Config) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    match &config.ca_file {
        Some(file) => {
            let certificates = CertificateDer::pem_file_iter(file)
                .with_context(|| format!("read ca_file {}", file.display()))?;
            for certificate in certificates {
                roots.add(certificate.context("read ca_file")?).context("read ca_file")?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("set TLS up")?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
