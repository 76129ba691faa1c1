//! Signed documents of chance, for the kinds that run in one process.

use ed25519_dalek::SigningKey;
use fastrand::Rng;
use module_package::{
    AppEntry, ArtifactId, BLOCK_BYTES, BlobId, CompilePolicy, ConfigEntry, DOCUMENT_VERSION,
    DeviceId, Domain, Manifest, ModuleId, PRIORITY_MAX, Provisions, Release, ReleaseId,
    ReleaseLimits, ReleaseTarget, Root, RootId, SharedWith, Sharing, Signer, TrustedRoot, seal,
    seal_root,
};

/// A gateway's keys and the root that names them.
pub struct Authority {
    pub release: SigningKey,
    pub assign: SigningKey,
    pub sealed_root: Vec<u8>,
    pub trust: TrustedRoot,
}

impl Authority {
    pub fn new(random: &mut Rng) -> anyhow::Result<Self> {
        let mut key = || SigningKey::from_bytes(&std::array::from_fn(|_| random.u8(..)));
        let (root, release, assign) = (key(), key(), key());
        let document = Root {
            version: DOCUMENT_VERSION,
            epoch: 1,
            root_version: 1,
            not_after_ms: None,
            root_keys: vec![root.public_key()],
            threshold: 1,
            release_keys: vec![release.public_key()],
            assign_keys: vec![assign.public_key()],
            revoked: vec![],
            floors: vec![],
        };
        let sealed_root = seal_root(&document, &[&root]);
        let trust = TrustedRoot::pinned(&sealed_root, RootId::of(&sealed_root))?;
        Ok(Self { release, assign, sealed_root, trust })
    }

    pub fn seal_manifest(&self, manifest: &Manifest) -> anyhow::Result<Vec<u8>> {
        Ok(seal(Domain::Manifest, minicbor::to_vec(manifest)?, &self.assign))
    }

    pub fn seal_release(&self, release: &Release) -> anyhow::Result<Vec<u8>> {
        Ok(seal(Domain::Release, minicbor::to_vec(release)?, &self.release))
    }
}

pub fn device(random: &mut Rng) -> DeviceId {
    DeviceId::of_key(&std::array::from_fn(|_| random.u8(..)))
}

fn sharing(random: &mut Rng) -> Sharing {
    let with = match random.bool() {
        true => SharedWith::Application("climate".into()),
        false => SharedWith::Everybody,
    };
    Sharing { with, priority: random.u8(0..=PRIORITY_MAX) }
}

fn provisions(random: &mut Rng) -> Option<Provisions> {
    let entry = |number| ConfigEntry { key: format!("k{number}"), value: "v".into() };
    let config = (0..random.usize(0..3)).map(entry).collect();
    let storage_bytes = random.bool().then(|| random.u32(1..1_000));
    let subscriptions = vec!["speed".into(); random.usize(0..2)];
    let actuators = vec!["fan".into(); random.usize(0..2)];
    Provisions { config, storage_bytes, subscriptions, actuators, wasi: None }.non_empty()
}

/// With up to five applications.
pub fn manifest(random: &mut Rng, device: &DeviceId, seq: u64) -> Manifest {
    let count = random.usize(0..6);
    let apps = (0..count).map(|number| AppEntry {
        app: format!("app-{number}"),
        release: ReleaseId::of(&random.u64(..).to_le_bytes()),
        run: random.bool(),
        interval_ms: random.u32(10..3_600_000),
        sensors: vec!["temperature".into()],
        channels: vec!["average".into(); random.usize(0..3)],
        scheduling: None,
        class: "best-effort".into(),
        deployment: random.u64(1..1_000),
        health_window_ms: Some(random.u32(0..60_000)),
        provisions: random.bool().then(|| provisions(random)).flatten(),
        sharing: random.bool().then(|| sharing(random)),
    });
    let apps = apps.collect();
    Manifest {
        version: DOCUMENT_VERSION,
        epoch: 1,
        seq,
        device: device.clone(),
        issued_at_ms: random.u64(0..2_000_000_000_000),
        not_after_ms: random.bool().then_some(2_000_000_000_000),
        apps,
    }
}

/// The release of an artifact.
pub fn release(app: &str, artifact: &[u8]) -> Release {
    Release {
        version: DOCUMENT_VERSION,
        app: app.into(),
        app_version: 1,
        module: ModuleId::of(artifact),
        artifact: ArtifactId::of(artifact),
        artifact_bytes: artifact.len() as u64,
        block_bytes: BLOCK_BYTES,
        block_hashes: artifact.chunks(BLOCK_BYTES as usize).map(BlobId::of).collect(),
        target: ReleaseTarget {
            id: "x86_64-linux".into(),
            abi: "sysv".into(),
            cpu_features: vec![],
            aot_version: 6,
            bounds_checks: "hardware".into(),
        },
        policy: CompilePolicy { metering: "none".into(), nan_canonicalization: "none".into() },
        imports: vec![],
        limits: ReleaseLimits {
            memory_bytes_max: 1 << 20,
            stack_bytes: 1 << 16,
            call_ms_max: 1_000,
            log_lines_per_s_max: 10,
            publishes_per_s_max: 10,
            ..ReleaseLimits::default()
        },
        known_answers: vec![],
        compiler: "faults".into(),
        developer: None,
    }
}
