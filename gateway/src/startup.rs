//! Puts the rooms together, runs until it is told to end, and takes them apart.

use crate::app::{Addresses, App, BrokerTrust, CompileRoom, PulseRules, Rooms, TrustRules};
use crate::authority::{Authority, BROKER_NAME};
use crate::check::CheckBench;
use crate::compile::{CompileLimits, CompileProcess, Queues, start_workers};
use crate::config::{Config, ExternalBroker, MqttTls, cpu_count};
use crate::history::History;
use crate::http::{HttpState, router};
use crate::mqtt::tls::{client_config, client_config_of_files, read_certificates, server_config};
use crate::mqtt::{BrokerAccess, GATEWAY_CLIENT_ID, MqttLogin, OutTray, start_client};
use crate::signing::Signing;
use crate::store::data_dir::{DataDir, write_private};
use crate::store::{FileBlobs, LocalStore, Store};
use crate::surroundings::Surroundings;
use crate::webhooks::Pace;
use anyhow::Context;
use embedded_broker::{Broker, BrokerConfig, Limits};
use module_package::BlobId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Time of the gateway's own check of an artifact.
const HELLO_MAX: Duration = Duration::from_secs(10);
const CHECK_MAX: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(500);
const HISTORY_TICK: Duration = Duration::from_secs(1);
/// Requests that are still being answered at the end get this long.
const END_MAX: Duration = Duration::from_secs(5);

/// For all the sessions that the embedded broker takes, and the rest.
const OPEN_FILES_WANTED: u64 = 65_536;

/// A login that was decided is in the broker's tables after this time.
const LOGIN_SETTLES: Duration = Duration::from_millis(300);

/// Runs the gateway until SIGTERM or SIGINT.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let data_dir = DataDir::open(&config.data_dir)?;
    raise_open_files_limit();
    let surroundings = Surroundings::of_the_system();
    let queues = Arc::new(Queues::default());
    let tray = Arc::new(OutTray::default());
    let valid = Duration::from_secs(config.certificate_valid_s);
    let authority = Arc::new(Authority::open(&data_dir.keys(), &surroundings, valid)?);
    let app = open_app(&config, &data_dir, &surroundings, &queues, &tray, &authority)?;

    let listener = TcpListener::bind(config.http_listen)
        .await
        .with_context(|| format!("listen for HTTP on {}", config.http_listen))?;
    let http_addr = listener.local_addr()?;
    let BrokerSide { broker, login, url: broker_url, trust } = match &config.broker {
        Some(external) => external_broker(external, &authority, &surroundings)?,
        None => embedded_broker(&config, &app, &authority, &surroundings).await?,
    };
    app.set_addresses(Addresses {
        http_url: advertised(&config.http_advertise_url, "http", http_addr),
        mqtt_url: match &config.mqtt_advertise_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => broker_url.clone(),
        },
        broker_trust: trust,
    });

    let program = std::env::current_exe().context("find the gateway's own program")?;
    let workers = start_compiling(&config, &app, &queues, program);
    let client = start_client(&app, &tray, login);
    let broker = broker.map(Arc::new);
    let ending_sessions = tokio::spawn(end_sessions(tray.clone(), broker.clone()));
    let ticking = tokio::spawn(tick(app.clone()));
    let keeping_history = tokio::spawn(keep_history(app.clone()));
    let signing = tokio::spawn(crate::signing_desk::run(app.clone()));
    let (end, ending) = watch::channel(false);
    let webhooks = crate::webhooks::start(&app, config.read_webhooks()?, Pace::default())?;
    let http_state = HttpState::new(app.clone(), ending.clone())
        .with_metrics_token(config.metrics_token()?.as_deref());
    let serving = tokio::spawn(serve(listener, http_state, ending));

    let for_people = greet(&app, &data_dir)?;
    print_ready(http_addr, &broker_url)?;
    print_to_people(&for_people);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("ending: SIGTERM"),
        _ = interrupt.recv() => tracing::info!("ending: SIGINT"),
    }

    end.send_replace(true);
    if tokio::time::timeout(END_MAX, serving).await.is_err() {
        tracing::warn!("some requests were cut off");
    }
    ticking.abort();
    keeping_history.abort();
    let ended = app.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || ended.end_history()).await {
        tracing::error!(%error, "keep the last minute of the history");
    }
    signing.abort();
    drop(webhooks);
    drop(workers);
    drop(client);
    ending_sessions.abort();
    let _ = ending_sessions.await;
    if let Some(broker) = broker.and_then(Arc::into_inner) {
        broker.stop().await;
    }
    tracing::info!("ended");
    Ok(())
}

/// The usual limit of a login shell, 1,024, is that of some 300 devices: each connection
/// to the embedded broker is three descriptors. Services may have far more if they ask.
fn raise_open_files_limit() {
    let present = getrlimit(Resource::Nofile);
    let wanted = present.maximum.unwrap_or(OPEN_FILES_WANTED).min(OPEN_FILES_WANTED);
    // None is no limit at all.
    if present.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit { current: Some(wanted), maximum: present.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, open_files_max = present.current, "raise the limit of open files");
    }
}

/// The broker as the gateway's client and the devices see it.
struct BrokerSide {
    /// The embedded one.
    broker: Option<Broker>,
    login: MqttLogin,
    url: String,
    trust: BrokerTrust,
}

async fn embedded_broker(
    config: &Config,
    app: &Arc<App>,
    authority: &Arc<Authority>,
    surroundings: &Surroundings,
) -> anyhow::Result<BrokerSide> {
    let password = hex::encode(surroundings.random::<32>());
    let gateway_password_hash = BlobId::of(password.as_bytes());
    let access = Arc::new(BrokerAccess { app: app.clone(), gateway_password_hash });
    let listen = config.mqtt_listen();
    let broker_config = BrokerConfig { listen, limits: Limits::default() };
    tokio::time::sleep(app.time_to_first_login()).await;
    let started = match config.mqtt_tls {
        MqttTls::Off => Broker::start(broker_config, access).await,
        MqttTls::Required => {
            let hosts = vec![reachable(listen).ip().to_string()];
            let tls = server_config(authority, surroundings.clock.clone(), hosts)?;
            Broker::start_tls(broker_config, tls, access).await
        }
    };
    let broker = started.with_context(|| format!("listen for MQTT on {listen}"))?;
    let address = reachable(broker.local_addr());
    let (host, port) = (address.ip().to_string(), address.port());
    let (scheme, tls, trust) = match config.mqtt_tls {
        MqttTls::Off => ("mqtt", None, BrokerTrust::default()),
        MqttTls::Required => {
            let own = authority.certificate().clone();
            let trust = BrokerTrust {
                certificates: vec![own.to_vec()],
                name: Some(BROKER_NAME.to_owned()),
            };
            let clock = surroundings.clock.clone();
            ("mqtts", Some(client_config(authority, clock, [own], GATEWAY_CLIENT_ID)?), trust)
        }
    };
    let login = MqttLogin { host, port, tls, password };
    Ok(BrokerSide { broker: Some(broker), login, url: format!("{scheme}://{address}"), trust })
}

fn external_broker(
    external: &ExternalBroker,
    authority: &Arc<Authority>,
    surroundings: &Surroundings,
) -> anyhow::Result<BrokerSide> {
    let (host, port) = external.address().map_err(anyhow::Error::msg)?;
    let trusted = match &external.ca_file {
        Some(file) => read_certificates(file)?,
        None => vec![authority.certificate().clone()],
    };
    let trust = BrokerTrust {
        certificates: trusted.iter().map(|certificate| certificate.to_vec()).collect(),
        name: None,
    };
    let tls = match (&external.cert_file, &external.key_file) {
        (Some(certificate), Some(key)) => client_config_of_files(trusted, certificate, key)?,
        _ => client_config(authority, surroundings.clock.clone(), trusted, GATEWAY_CLIENT_ID)?,
    };
    let url = external.url.trim_end_matches('/').to_owned();
    tracing::info!(url, "uses another broker than the embedded one");
    // Not empty: some brokers take that for none, and refuse it.
    let password = "by certificate".to_owned();
    let login = MqttLogin { host, port, tls: Some(tls), password };
    Ok(BrokerSide { broker: None, login, url, trust })
}

/// Ends the sessions of devices that have lost their rights. Another broker than the
/// embedded one cannot be told; there they are served nothing any more.
async fn end_sessions(tray: Arc<OutTray>, broker: Option<Arc<Broker>>) {
    loop {
        let device = tray.next_gone().await;
        let Some(broker) = &broker else { continue };
        broker.disconnect(device.as_str()).await;
        tracing::info!(device.id = %device, "ended the device's session");
        // One that was logging in at that moment has passed the question by now.
        let (broker, device) = (broker.clone(), device.clone());
        tokio::spawn(async move {
            tokio::time::sleep(LOGIN_SETTLES).await;
            broker.disconnect(device.as_str()).await;
        });
    }
}

fn open_app(
    config: &Config,
    data_dir: &DataDir,
    surroundings: &Surroundings,
    queues: &Arc<Queues>,
    tray: &Arc<OutTray>,
    authority: &Arc<Authority>,
) -> anyhow::Result<Arc<App>> {
    // The store comes first and the root document, by which a used directory is
    // known, last: a first start that was cut off is simply done again.
    let is_first_start = !Signing::has_keys(&data_dir.keys());
    let store = LocalStore::open(data_dir.path(), is_first_start)?;
    if is_first_start && !store.load()?.devices.is_empty() {
        anyhow::bail!(
            "there are devices in the store and no keys in {}: put the old gateway's keys there, \
             because no device would accept new ones",
            data_dir.keys().display()
        );
    }
    let blobs = FileBlobs::open(&data_dir.blobs()).context("open the blobs")?;
    let signing = Signing::open(&data_dir.keys(), &config.trust, surroundings)?;
    let developers = config.trust.developers().map_err(anyhow::Error::msg)?;
    let require_developer_signature = config.trust.require_developer_signature;
    let rooms = Rooms {
        store: Arc::new(store),
        blobs: Arc::new(blobs),
        history: History::below(data_dir.path(), config.history_bytes_max),
        signing,
        trust: TrustRules { developers, require_developer_signature },
        authority: authority.clone(),
        workshop: queues.clone(),
        outbox: tray.clone(),
        surroundings: surroundings.clone(),
        upload_bytes_max: config.upload_bytes_max,
        compiling: CompileRoom {
            queue_max: config.compile_queue_max,
            workers: config.worker_count(),
            cpus: cpu_count(),
        },
        pulse: PulseRules {
            heartbeat_ms: u64::from(config.heartbeat_s) * 1_000,
            manifest_valid_ms: u64::from(config.manifest_valid_days) * 24 * 60 * 60 * 1_000,
        },
        sites: config.sites.iter().map(|s| (s.name.clone(), s.bytes_per_s_max)).collect(),
        compress_blocks: config.compress_blocks,
    };
    Ok(App::open(rooms)?)
}

fn start_compiling(
    config: &Config,
    app: &Arc<App>,
    queues: &Queues,
    program: PathBuf,
) -> tokio::task::JoinSet<()> {
    let limits = CompileLimits {
        wall_s: config.compile_s_max,
        memory_bytes: config.compile_memory_bytes_max,
    };
    let sandbox = config.compile_sandbox;
    let process = CompileProcess { program: program.clone(), limits, sandbox };
    let bench = || CheckBench {
        program: program.clone(),
        runtimes: config.check_runtimes.clone(),
        sandbox: config.check_sandbox,
        hello_max: HELLO_MAX,
        check_max: CHECK_MAX,
    };
    let (asking, app_) = (bench(), app.clone());
    tokio::task::spawn_blocking(move || ask_runtimes(&app_, &asking));
    start_workers(app, queues, process, bench(), config.worker_count())
}

/// What the configured runtimes offer is what uploads are checked against; one
/// that does not answer is better known now than at the first deployment.
fn ask_runtimes(app: &App, bench: &CheckBench) {
    for runtime in &bench.runtimes {
        let (target, path) = (&runtime.target, runtime.path.display());
        match bench.ask(runtime) {
            Ok(hello) => {
                tracing::info!(%target, runtime = hello.runtime, confinement = ?hello.confinement, "check runtime answers");
                app.add_offered_imports(&hello.imports);
            }
            Err(refusal) => {
                tracing::error!(%target, %path, %refusal, "check runtime does not answer")
            }
        }
    }
}

async fn tick(app: Arc<App>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let app = app.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || app.tick()).await {
            tracing::error!(%error, "a tick failed");
        }
    }
}

async fn keep_history(app: Arc<App>) {
    let opened = app.clone();
    let mut work = tokio::task::spawn_blocking(move || opened.open_history());
    let mut interval = tokio::time::interval(HISTORY_TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if let Err(error) = work.await {
            tracing::error!(%error, "a step of the history failed");
        }
        interval.tick().await;
        let app = app.clone();
        work = tokio::task::spawn_blocking(move || app.keep_history());
    }
}

async fn serve(listener: TcpListener, state: HttpState, mut ending: watch::Receiver<bool>) {
    let ended = async move {
        let _ = ending.wait_for(|ending| *ending).await;
    };
    let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(ended).await;
    if let Err(error) = served {
        tracing::error!(%error, "HTTP ended");
    }
}

/// What is said at the start, some of it to people alone.
fn greet(app: &App, data_dir: &DataDir) -> anyhow::Result<Vec<String>> {
    let mut for_people = Vec::new();
    if let Some(token) = app.make_first_admin_token()? {
        let path = data_dir.admin_token();
        write_private(&path, format!("{}\n", token.0).as_bytes())
            .with_context(|| format!("write {}", path.display()))?;
        tracing::info!(path = %path.display(), "made the administrator's token");
        if let Some(set_up) = app.make_set_up_token()? {
            for_people.push(format!(
                "set-up token for the first user, good once and for a day: {}",
                set_up.0
            ));
        }
    }
    let trust = app.session().trust;
    if trust.waits_for_root() {
        tracing::warn!(
            "no device can be let in before `farrier root publish` has handed in version 1 of the \
             root document"
        );
    }
    if trust.is_one_root_key() {
        tracing::warn!(root.id = trust.root_id, "the root of trust is one key: for demonstrations");
    }
    for_people
        .push(format!("login link, good once and for ten minutes: {}", app.new_login_link()?.url));
    Ok(for_people)
}

/// To stdout and not to the log, which is kept, sent on and read by many. Nobody has to
/// listen: whoever started the gateway may have read the first line alone.
fn print_to_people(lines: &[String]) {
    let mut stdout = std::io::stdout().lock();
    for line in lines {
        let _ = writeln!(stdout, "{line}");
    }
    let _ = stdout.flush();
}

fn print_ready(http: SocketAddr, mqtt: &str) -> anyhow::Result<()> {
    let (http, pid) = (reachable(http), std::process::id());
    let ready = serde_json::json!({
        "ready": true, "http": format!("http://{http}"), "mqtt": mqtt, "pid": pid,
    });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{ready}")?;
    Ok(stdout.flush()?)
}

fn advertised(configured: &Option<String>, scheme: &str, addr: SocketAddr) -> String {
    match configured {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("{scheme}://{}", reachable(addr)),
    }
}

/// An address that listens on all interfaces is reached here by loopback.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
