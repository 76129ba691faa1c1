//! The ground state in memory: what people uploaded, enrolled and asked for, and
//! what was made of it. It changes only by [`Model::apply`], with changes that the
//! store has committed.

use super::AppError;
use crate::store::record::{
    AccessRecord, ApplicationRecord, ArtifactRecord, ClaimRecord, CompileRecord, CounterRecord,
    DeploymentRecord, DeviceRecord, KeyHash, ManifestEntry, ManifestRecord, ModuleRecord,
    ProvenanceRecord, ReleaseRecord, RootRecord, SessionRecord, UnsignedRecord, UserRecord,
};
use crate::store::{Change, Records};
use module_package::{
    ArtifactId, BlobId, DeviceId, DocumentError, ModuleId, ReleaseId, RootId, TrustedRoot,
};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default)]
pub struct Model {
    pub modules: BTreeMap<ModuleId, ModuleRecord>,
    pub devices: BTreeMap<DeviceId, DeviceRecord>,
    /// By number, so a later one comes later.
    pub deployments: BTreeMap<u64, DeploymentRecord>,
    pub claims: HashMap<BlobId, ClaimRecord>,
    /// By the hash of their [`crate::store::record::ArtifactKey`].
    pub artifacts: HashMap<KeyHash, ArtifactRecord>,
    /// By the hash of their build.
    pub releases: HashMap<KeyHash, ReleaseRecord>,
    pub manifests: BTreeMap<DeviceId, ManifestRecord>,
    pub access: HashMap<BlobId, AccessRecord>,
    pub counter: CounterRecord,
    /// By module, and by their number there.
    compiles: BTreeMap<(ModuleId, u64), CompileRecord>,
    /// What devices may ask for in blocks, with its size.
    pub blob_bytes: HashMap<BlobId, u64>,
    artifact_keys: HashMap<ArtifactId, KeyHash>,
    /// The artifacts of releases.
    released: HashMap<ReleaseId, ArtifactId>,
    /// Every version of the root document, from the first.
    pub roots: BTreeMap<u32, RootRecord>,
    /// The newest, once all steps to it were verified.
    pub root: Option<TrustedRoot>,
    /// By the hash of their build.
    pub unsigned: HashMap<KeyHash, UnsignedRecord>,
    pub provenances: HashMap<ArtifactId, ProvenanceRecord>,
    pub applications: BTreeMap<String, ApplicationRecord>,
    pub users: BTreeMap<String, UserRecord>,
    /// By the hash of their cookie.
    pub sessions: HashMap<BlobId, SessionRecord>,
}

impl Model {
    pub fn of(records: Records) -> Self {
        let mut model = Self { counter: records.counter.unwrap_or_default(), ..Self::default() };
        let changes = (records.modules.into_iter().map(Change::Module))
            .chain(records.devices.into_iter().map(Change::Device))
            .chain(records.deployments.into_iter().map(Change::Deployment))
            .chain(records.claims.into_iter().map(Change::Claim))
            .chain(records.artifacts.into_iter().map(Change::Artifact))
            .chain(records.releases.into_iter().map(Change::Release))
            .chain(records.manifests.into_iter().map(Change::Manifest))
            .chain(records.access.into_iter().map(Change::Access))
            .chain(records.compiles.into_iter().map(Change::Compile))
            .chain(records.unsigned.into_iter().map(Change::Unsigned))
            .chain(records.provenances.into_iter().map(Change::Provenance))
            .chain(records.applications.into_iter().map(Change::Application))
            .chain(records.users.into_iter().map(Change::User))
            .chain(records.sessions.into_iter().map(Change::Session));
        changes.for_each(|change| model.apply(change));
        // Each is a step from the one before, whatever order they were kept in.
        let mut roots = records.roots;
        roots.sort_by_key(|record| record.root_version);
        roots.into_iter().for_each(|record| model.apply(Change::Root(record)));
        model
    }

    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Module(record) => drop(self.modules.insert(record.module, record)),
            Change::Device(record) => drop(self.devices.insert(record.device.clone(), record)),
            Change::DeleteDevice(device) => drop(self.devices.remove(&device)),
            Change::Deployment(record) => drop(self.deployments.insert(record.number, record)),
            Change::DeleteDeployment(number) => drop(self.deployments.remove(&number)),
            Change::Claim(record) => drop(self.claims.insert(record.secret_hash, record)),
            Change::DeleteClaim(hash) => drop(self.claims.remove(&hash)),
            Change::Artifact(record) => self.add_artifact(record),
            Change::DeleteArtifact(hash) => drop(self.artifacts.remove(&hash)),
            Change::Release(record) => self.add_release(record),
            Change::DeleteRelease(build) => drop(self.releases.remove(&build)),
            Change::Manifest(record) => drop(self.manifests.insert(record.device.clone(), record)),
            Change::Access(record) => drop(self.access.insert(record.token_hash, record)),
            Change::Counter(record) => self.counter = record,
            Change::Compile(record) => {
                drop(self.compiles.insert((record.key.module, record.number), record));
            }
            Change::DeleteCompile(module, number) => {
                drop(self.compiles.remove(&(module, number)));
            }
            Change::Root(record) => {
                // What does not hold is kept and not believed: `check_roots` tells.
                if let Ok(next) = self.verify_next_root(&record.sealed) {
                    self.root = Some(next);
                }
                drop(self.roots.insert(record.root_version, record));
            }
            Change::Unsigned(record) => drop(self.unsigned.insert(record.build, record)),
            Change::DeleteUnsigned(build) => drop(self.unsigned.remove(&build)),
            Change::Provenance(record) => drop(self.provenances.insert(record.artifact, record)),
            Change::Application(record) => {
                drop(self.applications.insert(record.name.clone(), record));
            }
            Change::DeleteApplication(name) => drop(self.applications.remove(&name)),
            Change::DeleteAccess(hash) => drop(self.access.remove(&hash)),
            Change::User(record) => drop(self.users.insert(record.name.clone(), record)),
            Change::DeleteUser(name) => drop(self.users.remove(&name)),
            Change::Session(record) => drop(self.sessions.insert(record.cookie_hash, record)),
            Change::DeleteSession(hash) => drop(self.sessions.remove(&hash)),
        }
    }

    /// What this document would be here: the first root, or a step from the newest.
    pub fn verify_next_root(&self, sealed: &[u8]) -> Result<TrustedRoot, DocumentError> {
        match &self.root {
            Some(newest) => newest.step(sealed),
            None => TrustedRoot::pinned(sealed, RootId::of(sealed)).and_then(|first| {
                match first.document().root_version {
                    1 => Ok(first),
                    other => Err(DocumentError::Inconsistent(format!(
                        "the first root document has version 1, and this one has {other}"
                    ))),
                }
            }),
        }
    }

    /// Whether all versions that were kept follow from the first.
    pub fn check_roots(&self) -> Result<(), String> {
        let kept = self.roots.last_key_value().map_or(0, |(version, _)| *version);
        let believed = self.root.as_ref().map_or(0, |root| root.document().root_version);
        if kept == believed && self.roots.len() as u64 == u64::from(kept) {
            return Ok(());
        }
        Err(format!(
            "the store has {} root documents up to version {kept}, and only those up to version \
             {believed} follow from one another",
            self.roots.len()
        ))
    }

    /// Whether what is on a device is an older version than this.
    pub fn is_below_floor(&self, entry: &ManifestEntry, floor: u32) -> bool {
        let artifact = self.released.get(&entry.entry.release);
        let artifact = artifact.and_then(|artifact| self.artifact(*artifact));
        let module = artifact.and_then(|artifact| self.modules.get(&artifact.key.module));
        // One of several builds may have another version than the deployment's first.
        let version = module.map(|module| module.version).or_else(|| {
            self.deployments.get(&entry.deployment).map(|deployment| deployment.module_version)
        });
        version.is_some_and(|version| version < floor)
    }

    /// The application that has a module of this name.
    pub fn owner_of(&self, app: &str) -> Option<&ApplicationRecord> {
        self.applications.values().find(|application| {
            let deployments = application.deployments.iter();
            deployments.filter_map(|n| self.deployments.get(n)).any(|d| d.app == app)
        })
    }

    /// The lowest version of the application that devices accept.
    pub fn floor_of(&self, app: &str) -> u32 {
        self.root.as_ref().map_or(0, |root| root.floor_of(app))
    }

    fn add_artifact(&mut self, record: ArtifactRecord) {
        let hash = record.key.hash();
        self.artifact_keys.insert(record.artifact, hash);
        self.artifacts.insert(hash, record);
    }

    fn add_release(&mut self, record: ReleaseRecord) {
        self.blob_bytes.insert(record.release.into(), record.release_bytes);
        self.blob_bytes.insert(record.artifact.into(), record.artifact_bytes);
        self.released.insert(record.release, record.artifact);
        self.releases.insert(record.build, record);
    }

    /// Whether a manifest of the device names the release that the blob is, or belongs
    /// to: the present one, or for an application that is still in it an earlier one,
    /// because a device may have to go back.
    pub fn may_fetch(&self, device: &DeviceId, blob: &BlobId) -> bool {
        let Some(manifest) = self.manifests.get(device) else { return false };
        let mut named = manifest.entries.iter().flat_map(|entry| {
            let earlier = entry.earlier.iter().flatten();
            earlier.chain([&entry.entry.release])
        });
        named.any(|release| {
            let artifact = self.released.get(release);
            BlobId::from(*release) == *blob || artifact.is_some_and(|a| BlobId::from(*a) == *blob)
        })
    }

    /// The changes that keep a record as its module's newest, and of the others as
    /// many as there is room for.
    pub fn add_compile(&self, record: CompileRecord, most: usize) -> Vec<Change> {
        let module = record.key.module;
        // The newest is never deleted, so no number is given twice.
        let number = self.compiles_of(module).next_back().map_or(1, |newest| newest.number + 1);
        let surplus = (self.compiles_of(module).count() + 1).saturating_sub(most);
        let oldest = self.compiles_of(module).take(surplus);
        let mut changes: Vec<Change> =
            oldest.map(|old| Change::DeleteCompile(module, old.number)).collect();
        changes.push(Change::Compile(CompileRecord { number, ..record }));
        changes
    }

    /// Oldest first.
    pub fn compiles_of(&self, module: ModuleId) -> impl DoubleEndedIterator<Item = &CompileRecord> {
        self.compiles.range((module, 0)..=(module, u64::MAX)).map(|(_, record)| record)
    }

    pub fn compile_records(&self) -> impl Iterator<Item = &CompileRecord> {
        self.compiles.values()
    }

    /// Of a release that was signed here.
    pub fn artifact_of(&self, release: ReleaseId) -> Option<ArtifactId> {
        self.released.get(&release).copied()
    }

    pub fn artifact(&self, artifact: ArtifactId) -> Option<&ArtifactRecord> {
        self.artifacts.get(self.artifact_keys.get(&artifact)?)
    }

    /// A module by id, `name@version`, or `name` for its newest.
    pub fn find_module(&self, reference: &str) -> Result<&ModuleRecord, AppError> {
        let by_id = reference.parse().ok().and_then(|id| self.modules.get(&id));
        let found = by_id.or_else(|| match reference.split_once('@') {
            Some((name, version)) => {
                let version: u32 = version.parse().ok()?;
                self.modules.values().find(|m| m.name == name && m.version == version)
            }
            None => self.newest_of(reference),
        });
        found.ok_or_else(|| {
            AppError::not_found(format!(
                "There is no module {:?}. Name one by id, as name@version, or by name for its newest; \
                 the list of modules shows all.",
                shorten(reference)
            ))
        })
    }

    pub fn newest_of(&self, name: &str) -> Option<&ModuleRecord> {
        self.modules.values().filter(|m| m.name == name).max_by_key(|m| m.version)
    }

    /// Those that have not been revoked.
    pub fn served_devices(&self) -> impl Iterator<Item = &DeviceRecord> {
        self.devices.values().filter(|device| device.is_served())
    }

    pub fn is_served(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(DeviceRecord::is_served)
    }

    /// A device by id or name.
    pub fn find_device(&self, reference: &str) -> Result<&DeviceRecord, AppError> {
        let by_id = reference.parse().ok().and_then(|id: DeviceId| self.devices.get(&id));
        by_id.or_else(|| self.devices.values().find(|d| d.name == reference)).ok_or_else(|| {
            AppError::not_found(format!(
                "There is no device {:?}. Name one by id or name; the list of devices shows all.",
                shorten(reference)
            ))
        })
    }

    pub fn find_deployment(&self, id: &str) -> Result<&DeploymentRecord, AppError> {
        let is_it = |d: &&DeploymentRecord| !d.removed && d.id() == id;
        self.deployments.values().find(is_it).ok_or_else(|| {
            AppError::not_found(format!("There is no deployment {:?}.", shorten(id)))
        })
    }
}

/// Text of a request, fit for a message.
pub fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}
