//! A gateway, a device that it leads, and an attacker between the two who may have
//! every key.
//!
//! The modules say on channel `beat` which of them they are, again and again: what a
//! device runs is known from what it does, not from what it says of itself.

use crate::tap::{Fate, Tap, encode};
use anyhow::{Context, ensure};
use device_protocol::{AppReport, AppState, RefusalCode, Report, Topic};
use ed25519_dalek::SigningKey;
use gateway_api::{DeviceSelector, NewDeployment, Trust, TrustKey};
use gateway_client::Upload;
use harness::{AgentOptions, DeviceClass, Fleet, GatewayOptions, Kit, wait_for, wait_until};
use module_package::{
    AppEntry, ArtifactId, BLOCK_BYTES, BlobId, DOCUMENT_VERSION, DeviceId, Domain, Manifest,
    PublicKey, Release, ReleaseId, Root, payload_of, seal,
};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The device under attack.
pub const DEVICE: &str = "victim";
pub const APP: &str = "beacon";

/// For what does happen, on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);
/// Values in a row that show what runs.
const VALUES: usize = 3;

/// How gateway and device are configured, where that matters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setting {
    pub heartbeat_s: Option<u32>,
    pub freeze_after_ms: Option<u32>,
    pub store_bytes_max: Option<u32>,
    pub fetch_patience_s: Option<u32>,
    pub fetch_bytes_per_s_min: Option<u32>,
}

/// All keys of the gateway, and one that nobody knows.
pub struct Keys {
    pub root: SigningKey,
    pub release: SigningKey,
    pub assign: SigningKey,
    pub stranger: SigningKey,
}

pub struct Scene {
    pub fleet: Fleet,
    pub tap: Tap,
    pub keys: Keys,
    pub device: DeviceId,
    pub data: TempDir,
    /// Of each honest deployment from now on.
    pub health_window_ms: u32,
}

/// Where in what the tap heard something begins.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    pub reports: usize,
    pub values: usize,
}

impl Since {
    pub const START: Self = Self { reports: 0, values: 0 };
}

impl Scene {
    /// With [`APP`] running and saying `one`.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Setting::default()).await
    }

    pub async fn start_with(setting: Setting) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let tap = Tap::start().await?;
        let options = GatewayOptions {
            mqtt_advertise: Some(tap.address()),
            heartbeat_s: setting.heartbeat_s,
            ..GatewayOptions::new(data.path())
        };
        let mut fleet = Fleet::start_with(Kit::for_tests()?, options)?;
        tap.lead_to(fleet.gateway().mqtt());
        add_agent(&mut fleet, DEVICE, setting).await?;
        let device = fleet.client().device(DEVICE).await?.id.parse()?;
        let keys = data.path().join("gateway/keys");
        let key = |name: &str| read_key(&keys.join(name));
        let keys = Keys {
            root: key("root.key")?,
            release: key("release.key")?,
            assign: key("assign.key")?,
            stranger: SigningKey::from_bytes(&[7; 32]),
        };
        let mut scene = Self { fleet, tap, keys, device, data, health_window_ms: 200 };
        scene.update(APP, "one").await?;
        Ok(scene)
    }

    pub async fn add_neighbour(&mut self, name: &str) -> anyhow::Result<DeviceId> {
        add_agent(&mut self.fleet, name, Setting::default()).await?;
        Ok(self.fleet.client().device(name).await?.id.parse()?)
    }

    /// A key that the gateway has made since its start, as `assign-2.key`.
    pub fn key(&self, name: &str) -> anyhow::Result<SigningKey> {
        read_key(&self.data.path().join("gateway/keys").join(name))
    }

    // What the honest side does.

    /// Pushes a module and deploys it, and waits for nothing.
    pub async fn deploy(
        &self,
        app: &str,
        wasm: Vec<u8>,
        devices: DeviceSelector,
    ) -> anyhow::Result<String> {
        let upload = Upload::from_bytes(wasm);
        let pushed = self.fleet.client().push_module(Some(app), &upload, |_, _| {}).await?;
        let new = NewDeployment {
            channels: vec!["beat".into()],
            interval_ms: Some(40),
            health_window_ms: Some(self.health_window_ms),
            ..Fleet::deployment(&pushed.module.id, devices)
        };
        Ok(self.fleet.client().create_deployment(&new).await?.id)
    }

    /// An honest update, to its end.
    pub async fn update(&mut self, app: &str, mark: &str) -> anyhow::Result<()> {
        self.deploy(app, module(mark, 0), DeviceSelector::All).await?;
        self.wait_settled(app, mark).await
    }

    /// Deploys several applications, and keeps the manifests from the device until
    /// there is one that has them all. Other messages go through.
    pub async fn deploy_set(&self, set: &[(&str, Vec<u8>)]) -> anyhow::Result<(Vec<u8>, Manifest)> {
        self.tap.set_rule(|_, topic, _| match topic {
            Topic::Manifest(_) => Fate::lost(),
            _ => Fate::Pass,
        });
        let before = self.true_manifest()?.1.apps;
        for (app, wasm) in set {
            self.deploy(app, wasm.clone(), DeviceSelector::All).await?;
        }
        let is_new = |app: &str, apps: &[AppEntry]| {
            let release = |apps: &[AppEntry]| {
                apps.iter().find(|entry| entry.app == app).map(|entry| entry.release)
            };
            release(apps) != release(&before)
        };
        wait_until("a manifest with all of the set", SOON, async || {
            let apps = self.true_manifest()?.1.apps;
            Ok(set.iter().all(|(app, _)| is_new(app, &apps)))
        })
        .await?;
        self.true_manifest()
    }

    /// Waits until the device runs what is wanted and that is `mark`.
    pub async fn wait_settled(&self, app: &str, mark: &str) -> anyhow::Result<()> {
        let since = self.since();
        let what = format!("{app} running as {mark}");
        let waited = wait_for(&what, SOON, async || {
            let report = self.newest_report();
            let mut apps = report.iter().flat_map(|report| &report.apps);
            let is_settled = apps.any(|entry| entry.app == app && is_settled(entry));
            let values = self.values(app, since);
            let last = &values[values.len().saturating_sub(VALUES)..];
            let is_heard = last.len() == VALUES && last.iter().all(|value| value == mark);
            Ok(if is_settled && is_heard { Ok(()) } else { Err(format!("{last:?}, {report:?}")) })
        });
        waited.await.with_context(|| self.fleet.logs())
    }

    // What the device does.

    pub fn since(&self) -> Since {
        let heard = self.tap.heard();
        Since { reports: heard.reports.len(), values: heard.values.len() }
    }

    /// What an application on the device has published since.
    pub fn values(&self, app: &str, since: Since) -> Vec<String> {
        let heard = self.tap.heard();
        let of_app = heard.values[since.values..]
            .iter()
            .filter(|(device, name, _)| *device == self.device && name == app);
        of_app.map(|(_, _, value)| value.clone()).collect()
    }

    pub fn newest_report(&self) -> Option<Report> {
        let heard = self.tap.heard();
        heard.reports.iter().rev().find(|report| report.device == self.device).cloned()
    }

    pub fn report(&self) -> anyhow::Result<Report> {
        self.newest_report().context("the device has reported")
    }

    /// The first report of the device since then that is as asked.
    pub async fn wait_report(
        &self,
        what: &str,
        since: Since,
        is_wanted: impl Fn(&Report) -> bool,
    ) -> anyhow::Result<Report> {
        let waited = wait_for(what, SOON, async || {
            let heard = self.tap.heard();
            let mut reports = heard.reports[since.reports..].iter();
            let wanted = reports.find(|report| report.device == self.device && is_wanted(report));
            Ok(match wanted {
                Some(report) => Ok(report.clone()),
                None => Err(format!("{:?}", heard.reports.last())),
            })
        });
        waited.await.with_context(|| self.fleet.logs())
    }

    /// From here on the application says `mark` and nothing else, and says something.
    pub async fn check_runs(&self, app: &str, mark: &str) -> anyhow::Result<()> {
        let since = self.since();
        let what = format!("{app} saying {mark}");
        let waited = wait_for(&what, SOON, async || {
            let values = self.values(app, since);
            Ok(if values.len() >= VALUES { Ok(values) } else { Err(format!("{values:?}")) })
        });
        let values = waited.await.with_context(|| self.fleet.logs())?;
        ensure!(values.iter().all(|value| value == mark), "{app} says {values:?}, not {mark}");
        Ok(())
    }

    /// No module of any device has ever said this.
    pub fn check_never_ran(&self, mark: &str) -> anyhow::Result<()> {
        let heard = self.tap.heard();
        ensure!(heard.values.iter().all(|(_, _, value)| value != mark), "{mark} has run");
        Ok(())
    }

    /// Cuts the connections; the device makes a new one, and asks anew at once.
    pub fn reconnect(&self) {
        self.tap.cut();
    }

    /// Cuts the device's power, starts it again, and waits until it reports.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let (since, boot_id) = (self.since(), self.report()?.boot_id);
        self.fleet.restart_agent(DEVICE)?;
        let is_new = |report: &Report| report.boot_id != boot_id;
        self.wait_report("the new start", since, is_new).await?;
        Ok(())
    }

    // What the attacker does.

    pub async fn say(&self, topic: &Topic, payload: &[u8]) -> anyhow::Result<()> {
        let said = wait_for("a way to the device", SOON, async || {
            let said = self.tap.say(&self.device, topic, payload.to_vec()).await;
            Ok(if said { Ok(()) } else { Err("not connected".to_owned()) })
        });
        said.await
    }

    pub async fn say_manifest(&self, sealed: &[u8]) -> anyhow::Result<()> {
        self.say(&Topic::Manifest(self.device.clone()), sealed).await
    }

    /// Says something that the device has to refuse by this number. Nothing else may
    /// come of it; the gateway shows it; and the true manifest ends it.
    pub async fn expect_refusal(
        &mut self,
        code: RefusalCode,
        topic: &Topic,
        payload: &[u8],
    ) -> anyhow::Result<()> {
        let (since, before) = (self.since(), self.report()?);
        self.say(topic, payload).await?;
        let what = format!("refusal {} of {topic}", code.number());
        let is_refused =
            |report: &Report| report.refused.as_ref().is_some_and(|refused| refused.code == code);
        self.wait_report(&what, since, is_refused).await?;
        let number = code.number();
        let is_shown = |device: &gateway_api::Device| {
            device.refusal.as_ref().is_some_and(|refusal| refusal.code == number)
        };
        self.fleet.wait_device(&what, DEVICE, is_shown).await?;
        self.check_unchanged(&before).with_context(|| what.clone())?;
        self.forgive().await.context(what)
    }

    /// The true manifest again: a repeat, that ends a refusal which a report has told of. One
    /// that comes before that report ends nothing, so it is said until there is none.
    pub async fn forgive(&self) -> anyhow::Result<()> {
        let since = self.since();
        let manifest = self.true_manifest()?.0;
        let forgiven = wait_for("no refusal any more", SOON, async || {
            self.say_manifest(&manifest).await?;
            let heard = self.tap.heard();
            let mut reports = heard.reports[since.reports..].iter();
            let is_none =
                |report: &Report| report.device == self.device && report.refused.is_none();
            Ok(reports
                .any(is_none)
                .then_some(())
                .ok_or_else(|| format!("{:?}", heard.reports.last())))
        });
        forgiven.await.with_context(|| self.fleet.logs())
    }

    /// The set is the same, in the same processes.
    pub fn check_unchanged(&self, before: &Report) -> anyhow::Result<()> {
        let after = self.report()?;
        let set = |report: &Report| -> Vec<_> {
            // The release names the artifact, which a brief report leaves out.
            let app = |app: &AppReport| {
                let AppReport { app, release, app_version, restarts, traps, .. } = app.clone();
                (app, release, app_version, restarts, traps)
            };
            report.apps.iter().map(app).collect()
        };
        ensure!(
            (after.epoch, after.seq, after.boot_id) == (before.epoch, before.seq, before.boot_id)
                && after.root_version == before.root_version
                && set(&after) == set(before)
                && after.apps.iter().all(is_settled),
            "it was {before:?} and is {after:?}"
        );
        Ok(())
    }

    /// Says a manifest that is good in itself but lists what may not run. The device
    /// says so by this number, and goes on with what it had.
    pub async fn expect_app_refusal(
        &self,
        code: RefusalCode,
        entry: AppEntry,
        mark: &str,
    ) -> anyhow::Result<()> {
        let since = self.since();
        let app = entry.app.clone();
        let mut manifest = self.next_manifest()?;
        manifest.apps.retain(|other| other.app != app);
        manifest.apps.push(entry);
        self.say_manifest(&self.sealed_manifest(&manifest, &self.keys.assign)).await?;
        let what = format!("refusal {} of {app}", code.number());
        let report = self
            .wait_report(&what, since, |report| {
                let mut apps = report.apps.iter();
                report.seq == manifest.seq
                    && apps.any(|of| of.app == app && of.refusal == Some(code))
            })
            .await?;
        let refused = report.apps.iter().find(|of| of.app == app).context("it is reported")?;
        ensure!(refused.state == AppState::Refused && refused.fallback, "{refused:?}");
        self.check_runs(&app, mark).await.context(what)
    }

    /// The newest manifest of the gateway, sealed and open.
    pub fn true_manifest(&self) -> anyhow::Result<(Vec<u8>, Manifest)> {
        let topic = Topic::Manifest(self.device.clone());
        self.true_manifests(&topic)?.pop().context("a manifest was heard")
    }

    pub fn true_manifests(&self, topic: &Topic) -> anyhow::Result<Vec<(Vec<u8>, Manifest)>> {
        let heard = self.tap.heard();
        let of_topic =
            heard.documents.iter().filter(|(of, sealed)| of == topic && !sealed.is_empty());
        let opened = of_topic.map(|(_, sealed)| {
            let payload = payload_of(sealed).context("a manifest has a payload")?;
            Ok((sealed.clone(), minicbor::decode(&payload)?))
        });
        opened.collect()
    }

    /// What the gateway could say next: the same again under the next number.
    pub fn next_manifest(&self) -> anyhow::Result<Manifest> {
        let report = self.report()?;
        let (_, present) = self.true_manifest()?;
        Ok(Manifest { epoch: report.epoch, seq: report.seq + 1, ..present })
    }

    pub fn sealed_manifest(&self, manifest: &Manifest, key: &SigningKey) -> Vec<u8> {
        seal(Domain::Manifest, encode(manifest), key)
    }

    /// The genuine release of an application, as the device stores it.
    pub fn true_release(&self, app: &str) -> anyhow::Result<(Vec<u8>, Release)> {
        let (_, manifest) = self.true_manifest()?;
        let entry = manifest.apps.iter().find(|entry| entry.app == app);
        let release = entry.with_context(|| format!("{app} is deployed"))?.release;
        let sealed = std::fs::read(self.stored(release.into()))?;
        let payload = payload_of(&sealed).context("a release has a payload")?;
        Ok((sealed, minicbor::decode(&payload)?))
    }

    pub fn stored(&self, blob: BlobId) -> PathBuf {
        self.store().join("blobs").join(blob.to_string())
    }

    pub fn store(&self) -> PathBuf {
        self.data.path().join(DEVICE).join("agent/store")
    }

    /// A release like the genuine one of [`APP`], of another artifact.
    pub fn release_like(&self, artifact: &[u8]) -> anyhow::Result<Release> {
        let (_, genuine) = self.true_release(APP)?;
        Ok(Release {
            app_version: genuine.app_version + 1,
            artifact: ArtifactId::of(artifact),
            artifact_bytes: artifact.len() as u64,
            block_hashes: artifact.chunks(BLOCK_BYTES as usize).map(BlobId::of).collect(),
            ..genuine
        })
    }

    /// Keeps a sealed release ready, and gives the entry that names it.
    pub fn offer(&self, sealed: Vec<u8>) -> anyhow::Result<AppEntry> {
        let release = ReleaseId::of(&sealed);
        self.tap.serve(release.into(), sealed);
        let (_, manifest) = self.true_manifest()?;
        let entry = manifest.apps.into_iter().find(|entry| entry.app == APP);
        Ok(AppEntry { release, ..entry.context("the application is deployed")? })
    }

    /// Machine code by the true compiler: all that it lacks is a signature.
    pub fn compile(&mut self, wasm: &[u8], target: &str) -> anyhow::Result<Vec<u8>> {
        let (module, output) =
            (self.data.path().join("attack.wasm"), self.data.path().join("attack.aot"));
        std::fs::write(&module, wasm)?;
        let mut command = self.fleet.farrier();
        command.arg("compile").arg(&module).args(["--target", target, "-o"]).arg(&output);
        let result = command.output()?;
        ensure!(result.status.success(), "{result:?}");
        Ok(std::fs::read(output)?)
    }

    /// The root document that holds, to be changed.
    pub async fn root(&self) -> anyhow::Result<Root> {
        let Trust { summary, not_after_ms, root_keys, release_keys, assign_keys, .. } =
            self.fleet.client().trust().await?;
        Ok(Root {
            version: DOCUMENT_VERSION,
            epoch: summary.epoch,
            root_version: summary.root_version,
            not_after_ms,
            root_keys: public_keys(&root_keys)?,
            threshold: summary.threshold,
            release_keys: public_keys(&release_keys)?,
            assign_keys: public_keys(&assign_keys)?,
            // The first one of a gateway has none.
            revoked: vec![],
            floors: vec![],
        })
    }
}

fn public_keys(keys: &[TrustKey]) -> anyhow::Result<Vec<PublicKey>> {
    let key = |key: &TrustKey| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&key.public_key, &mut bytes)?;
        Ok(PublicKey(bytes))
    };
    keys.iter().map(key).collect()
}

pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// What is wanted runs, and is on trial no more.
fn is_settled(app: &AppReport) -> bool {
    app.state == AppState::Running
        && app.refusal.is_none()
        && !app.fallback
        && app.trial_left_ms.is_none()
}

async fn add_agent(fleet: &mut Fleet, name: &str, setting: Setting) -> anyhow::Result<()> {
    let options = fleet.agent_options(DeviceClass::X86_64, name).await?;
    fleet.start_device_with(AgentOptions {
        report_interval_ms: 100,
        reconnect_s_max: Some(1),
        freeze_after_ms: setting.freeze_after_ms,
        store_bytes_max: setting.store_bytes_max,
        fetch_patience_s: setting.fetch_patience_s,
        fetch_bytes_per_s_min: setting.fetch_bytes_per_s_min,
        ..options
    })?;
    fleet.wait_online(name).await
}

fn read_key(path: &std::path::Path) -> anyhow::Result<SigningKey> {
    let mut bytes = [0; 32];
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    hex::decode_to_slice(text.trim(), &mut bytes)?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// A module that says `mark` at each tick, with so many bytes of ballast.
pub fn module(mark: &str, ballast_bytes: usize) -> Vec<u8> {
    let ballast: String =
        (0..ballast_bytes).map(|index| format!("\\{:02x}", index * 7 % 256)).collect();
    let pages = 1 + ballast_bytes.div_ceil(65_536);
    let text = format!(
        "(module
           (import \"farrier\" \"publish\"
             (func $publish (param i32 i32 i32 i32) (result i32)))
           (memory (export \"memory\") {pages})
           (data (i32.const 0) \"beat\")
           (data (i32.const 16) \"{mark}\")
           (data (i32.const 65536) \"{ballast}\")
           (func (export \"tick\") (result i32)
             (drop (call $publish (i32.const 0) (i32.const 4) (i32.const 16) (i32.const {})))
             (i32.const 0)))",
        mark.len()
    );
    wat::parse_str(text).expect("the module is well formed")
}
