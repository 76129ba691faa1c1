//! What a device feels of neighbours that misbehave, on one gateway.

use farrier_sim::attack::{Attack, KnownBlobs};
use farrier_sim::device::Seen;
use farrier_sim::fleet::{FleetOptions, SimFleet, runtime_of};
use farrier_sim::module::megabyte_module;
use gateway_api::{DeviceSelector, ModuleLimits, NewDeployment, Provisions};
use gateway_client::{Client, Upload};
use harness::{GatewayOptions, GatewayProcess, Kit};
use std::path::Path;
use std::time::{Duration, Instant};

const GOOD: usize = 4;
const ROUNDS: u64 = 3;
const WITHIN: Duration = Duration::from_secs(120);
/// Development builds share two cores with four attackers. Without the limits a
/// delivery does not end at all.
const TIMES_SLOWER_MAX: u32 = 3;
/// Shorter times say more about the machine than about the neighbours.
const SHORTEST: Duration = Duration::from_secs(1);

struct Scene<'a> {
    client: &'a Client,
    good: &'a SimFleet,
    blobs: &'a KnownBlobs,
}

async fn fleet(
    gateway: &GatewayProcess,
    client: &Client,
    kit: &Kit,
    directory: &Path,
    (name, count, attack): (&str, usize, Option<Attack>),
) -> SimFleet {
    let options = FleetOptions {
        gateway_url: gateway.url().to_owned(),
        count,
        report_interval_ms: 1_000,
        directory: directory.to_owned(),
        name: name.to_owned(),
        attack,
    };
    let fleet = SimFleet::start(options, client, runtime_of(kit).await.unwrap()).await.unwrap();
    let is_connected = |seen: &Seen| seen.connected_at.is_some();
    fleet.wait_for_all("connected", WITHIN, is_connected).await.unwrap();
    fleet
}

impl Scene<'_> {
    /// From the manifest to the verified artifact, of the slowest good device, in the
    /// median of some deliveries of a megabyte.
    async fn delivery_time(&self, first_seed: u64, bad: &[&str]) -> Duration {
        let mut times = Vec::new();
        for seed in first_seed..first_seed + ROUNDS {
            times.push(self.deliver(seed, bad).await);
        }
        times.sort_unstable();
        eprintln!("{times:?}");
        times[times.len() / 2]
    }

    async fn deliver(&self, seed: u64, bad: &[&str]) -> Duration {
        let before: Vec<u64> = self.good.seen().iter().map(|seen| seen.verifications).collect();
        let upload = Upload::from_bytes(megabyte_module(seed).unwrap());
        self.client.push_module(Some("megabyte"), &upload, |_, _| {}).await.unwrap();
        let good = (0..GOOD).map(|number| format!("good-{number}"));
        let names = good.chain(bad.iter().map(|name| (*name).to_owned())).collect();
        let deployment = NewDeployment {
            module: "megabyte".into(),
            devices: DeviceSelector::These(names),
            interval_ms: None,
            call_ms_max: None,
            memory_bytes_max: None,
            sensors: vec![],
            channels: vec![],
            metering: false,
            canonical_nans: false,
            health_window_ms: None,
            provisions: Provisions::default(),
            limits: ModuleLimits::default(),
            placement: None,
            scheduling: Default::default(),
        };
        self.client.create_deployment(&deployment).await.unwrap();
        let began = Instant::now();
        loop {
            let seen = self.good.seen();
            let blobs = seen.iter().flat_map(|seen| &seen.blobs);
            self.blobs.lock().unwrap().extend(blobs);
            if seen.iter().zip(&before).all(|(seen, before)| seen.verifications > *before) {
                return seen.iter().map(time_of).max().unwrap();
            }
            assert!(began.elapsed() < WITHIN, "not delivered: {seen:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn time_of(seen: &Seen) -> Duration {
    let (_, verified_at) = seen.verified.unwrap();
    verified_at.saturating_duration_since(seen.last_manifest_at.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_of_devices_that_flood_lie_and_dawdle_are_served_hardly_later() {
    let kit = Kit::for_tests().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let gateway = GatewayProcess::start(&kit, GatewayOptions::new(&directory.join("gateway")));
    let gateway = gateway.unwrap();
    let client = gateway.client().unwrap();
    let good = fleet(&gateway, &client, &kit, directory, ("good", GOOD, None)).await;
    let blobs = KnownBlobs::default();
    let scene = Scene { client: &client, good: &good, blobs: &blobs };
    let before = scene.delivery_time(1, &[]).await;

    let mut bad = Vec::new();
    for (name, attack) in [
        ("flood", Attack::Flood),
        ("lie", Attack::Lie(blobs.clone())),
        ("right", Attack::AskWithoutRight(blobs.clone())),
        ("slow", Attack::AnswerSlowly(blobs.clone())),
    ] {
        bad.push(fleet(&gateway, &client, &kit, directory, (name, 1, Some(attack))).await);
    }
    let during = scene.delivery_time(100, &["lie-0", "slow-0"]).await;
    eprintln!("a delivery took {before:?} before, and {during:?} beside the attackers");
    assert!(
        during <= before.max(SHORTEST) * TIMES_SLOWER_MAX,
        "{during:?} after {before:?}\n{}",
        gateway.log_tail()
    );
    assert_all_is_counted_and_shown(&client).await;
    let again: u64 = good.seen().iter().map(|seen| seen.repeated_blocks).sum();
    assert_eq!(again, 0, "blocks went to all again");
    bad.into_iter().for_each(SimFleet::stop);
    good.stop();
}

/// As `farrier device show` has it.
async fn assert_all_is_counted_and_shown(client: &Client) {
    let device = async |name: &str| client.device(name).await.unwrap();
    let flood = device("flood-0").await;
    assert!(flood.refused_messages > 1_000, "{flood:?}");
    let lie = device("lie-0").await;
    assert!(lie.alarms.iter().any(|alarm| alarm.kind == "forged-reports"), "{lie:?}");
    assert!(lie.refused_messages > 0, "it asks too often: {lie:?}");
    let right = device("right-0").await;
    assert!(right.refused_messages > 100, "{right:?}");
    for number in 0..GOOD {
        let good = device(&format!("good-{number}")).await;
        assert!(good.refused_messages == 0 && good.alarms.is_empty(), "{good:?}");
    }
}
