//! What is kept: one type for each kind of record, and its form on disk.
//!
//! A value is a CBOR array of the record's version and its fields, which are a
//! map with integer keys that are only ever added. So an older record is read by
//! a newer gateway, and a version that this build does not know is refused.

pub use super::access_record::{
    AccessRecord, RoleRecord, SessionRecord, TokenUse, UserRecord, short_id,
};

use device_protocol::Capabilities;
use known_answer::Step;
use minicbor::{Decode, Encode};
use module_package::{
    AppEntry, ArtifactId, BlobId, CompilePolicy, DeviceId, KeyId, ModuleId, Provisions, PublicKey,
    ReleaseId, ReleaseLimits, Sharing,
};
use scheduling::{Allowance, Scheduling};
use std::collections::BTreeMap;

/// Names a compile job or a build: the SHA-256 of all that decides its result.
pub type KeyHash = [u8; 32];

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct ModuleRecord {
    #[n(0)]
    pub module: ModuleId,
    #[n(1)]
    pub name: String,
    /// Counts the modules of that name from 1.
    #[n(2)]
    pub version: u32,
    #[n(3)]
    pub bytes: u64,
    #[n(4)]
    pub uploaded_at_ms: u64,
    #[n(5)]
    pub function_count: u32,
    #[n(6)]
    pub imports: Vec<ExternRecord>,
    #[n(7)]
    pub exports: Vec<ExternRecord>,
    #[n(8)]
    pub memory: Option<MemoryRecord>,
    #[n(9)]
    pub data_bytes: u64,
    #[n(10)]
    pub proposals: Vec<String>,
    #[n(11)]
    pub known_answers: Vec<Step>,
    /// `None`, like the next, in records from before there was this field.
    #[n(12)]
    pub tables: Option<Vec<TableRecord>>,
    #[n(13)]
    pub has_start: Option<bool>,
    /// The stack in linear memory, where it can be told.
    #[n(14)]
    pub guest_stack_bytes: Option<u64>,
    /// Whose sealed statement came with the upload, and the statement.
    #[n(15)]
    pub developer: Option<KeyId>,
    #[cbor(n(16), with = "minicbor::bytes")]
    pub module_statement: Option<Vec<u8>>,
    /// What it was linked of here, the main module first and the libraries by their names.
    #[n(40)]
    pub linked: Option<Vec<LinkedInputRecord>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LinkedInputRecord {
    /// The link name; `None` for the main module.
    #[n(0)]
    pub name: Option<String>,
    #[n(1)]
    pub module: ModuleId,
    #[n(2)]
    pub bytes: u64,
    /// Whose sealed statement came with it.
    #[n(3)]
    pub developer: Option<KeyId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TableRecord {
    #[n(0)]
    pub min_slots: u32,
    #[n(1)]
    pub max_slots: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ExternRecord {
    /// Empty for an export.
    #[n(0)]
    pub module: String,
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub kind: String,
    #[n(3)]
    pub signature: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MemoryRecord {
    #[n(0)]
    pub min_pages: u32,
    #[n(1)]
    pub max_pages: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceRecord {
    #[n(0)]
    pub device: DeviceId,
    #[n(1)]
    pub public_key: PublicKey,
    #[n(2)]
    pub name: String,
    #[n(3)]
    pub target: String,
    #[n(4)]
    pub bounds_checks: String,
    #[n(5)]
    pub aot_version: u32,
    #[n(6)]
    pub cpu_features: Vec<String>,
    #[n(7)]
    pub imports: Vec<String>,
    #[n(8)]
    pub agent: String,
    #[n(9)]
    pub runtime: String,
    #[n(10)]
    pub emulated: bool,
    #[n(11)]
    pub sensors: Vec<String>,
    #[n(12)]
    pub enrolled_at_ms: u64,
    /// From then on it has no rights.
    #[n(13)]
    pub revoked_at_ms: Option<u64>,
    /// How it came in; `None` in records from before there was a choice.
    #[n(14)]
    pub admission: Option<Admission>,
    /// What it has told of itself last, and when; `None` until then.
    #[n(80)]
    pub capabilities: Option<Capabilities>,
    #[n(81)]
    pub capabilities_at_ms: Option<u64>,
    /// What its owner lets modules ask for, by its last report that said it.
    #[n(50)]
    pub scheduling: Option<Allowance>,
}

impl DeviceRecord {
    pub fn has_label(&self, key: &str, value: &str) -> bool {
        self.capabilities.as_ref().is_some_and(|has| has.has_label(key, value))
    }

    pub fn has_accelerator(&self, name: &str) -> bool {
        let has = |has: &Capabilities| has.accelerators.iter().any(|own| own == name);
        self.capabilities.as_ref().is_some_and(has)
    }

    /// Whether the gateway has anything to do for it.
    pub fn is_served(&self) -> bool {
        self.revoked_at_ms.is_none()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Admission {
    #[n(0)]
    ClaimToken,
    /// An operator compared the fingerprint.
    #[n(1)]
    Fingerprint,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeploymentRecord {
    /// Counts deployments from 1; the order of "later".
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub app: String,
    #[n(2)]
    pub module: ModuleId,
    #[n(3)]
    pub module_version: u32,
    /// `None`: every device, also those that enrol later.
    #[n(4)]
    pub devices: Option<Vec<DeviceId>>,
    #[n(5)]
    pub interval_ms: u32,
    #[n(6)]
    pub limits: ReleaseLimits,
    #[n(7)]
    pub sensors: Vec<String>,
    #[n(8)]
    pub channels: Vec<String>,
    #[n(9)]
    pub created_at_ms: u64,
    /// Removed by its user. Kept while an earlier deployment of the application
    /// exists, which would otherwise come back to the devices.
    #[n(10)]
    pub removed: bool,
    /// `None` in deployments of before there was a choice.
    #[n(11)]
    pub policy: Option<CompilePolicy>,
    /// `None`: the devices' own default.
    #[n(12)]
    pub health_window_ms: Option<u32>,
    #[n(13)]
    pub provisions: Option<Provisions>,
    /// The application that it belongs to; `None` for one that was made by itself.
    #[n(40)]
    pub application: Option<String>,
    /// Where there are several: all of them, `module` first. A device runs the first
    /// that its target can run.
    #[n(41)]
    pub builds: Option<Vec<ModuleId>>,
    /// Of those devices, only these targets; `None` for any.
    #[n(42)]
    pub targets: Option<Vec<String>>,
    /// What a device has to have; `None` for nothing.
    #[n(43)]
    pub placement: Option<PlacementRecord>,
    #[n(50)]
    pub scheduling: Option<Scheduling>,
    /// With whom it shares a process on its devices; `None` for nobody.
    #[n(55)]
    pub sharing: Option<Sharing>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PlacementRecord {
    #[n(0)]
    pub labels: BTreeMap<String, String>,
    #[n(1)]
    pub accelerators: Vec<String>,
}

impl PlacementRecord {
    pub fn is_met_by(&self, device: &DeviceRecord) -> bool {
        let mut labels = self.labels.iter();
        let mut accelerators = self.accelerators.iter();
        labels.all(|(key, value)| device.has_label(key, value))
            && accelerators.all(|name| device.has_accelerator(name))
    }
}

impl DeploymentRecord {
    pub fn compile_policy(&self) -> CompilePolicy {
        self.policy.clone().unwrap_or_default()
    }

    /// What people call it.
    pub fn id(&self) -> String {
        format!("{}-{}", self.app, self.number)
    }

    /// The modules that it may run, the best first.
    pub fn modules(&self) -> &[ModuleId] {
        self.builds.as_deref().unwrap_or(std::slice::from_ref(&self.module))
    }

    pub fn selects(&self, device: &DeviceRecord) -> bool {
        self.devices.as_ref().is_none_or(|these| these.contains(&device.device))
            && self.targets.as_ref().is_none_or(|these| these.contains(&device.target))
            && (self.devices.is_some()
                || self.placement.as_ref().is_none_or(|placement| placement.is_met_by(device)))
    }
}

/// What an application file asked for. Its deployments are records of their own.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ApplicationRecord {
    #[n(0)]
    pub name: String,
    /// Counts the files that changed anything, from 1.
    #[n(1)]
    pub version: u32,
    #[n(2)]
    pub applied_at_ms: u64,
    /// The text that was applied last.
    #[n(3)]
    pub file: String,
    /// Its deployments, in the order of the file.
    #[n(4)]
    pub deployments: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ClaimRecord {
    #[n(0)]
    pub secret_hash: BlobId,
    #[n(1)]
    pub expires_at_ms: u64,
    #[n(2)]
    pub used_by: Option<DeviceId>,
}

/// Everything that decides the bytes of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(map)]
pub struct ArtifactKey {
    #[n(0)]
    pub module: ModuleId,
    #[n(1)]
    pub target: String,
    #[n(2)]
    pub bounds_checks: String,
    #[n(3)]
    pub policy: CompilePolicy,
    #[n(4)]
    pub compiler: String,
    #[n(5)]
    pub aot_version: u32,
    /// Of the target, as they were compiled for. `None` in records from before there
    /// was this field, whose hash stays what it was.
    #[n(6)]
    pub cpu_features: Option<Vec<String>>,
}

impl ArtifactKey {
    pub fn hash(&self) -> KeyHash {
        BlobId::of(&to_cbor(self)).0
    }
}

/// A compiled artifact. Refusals are not kept: they are tried again at a start.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ArtifactRecord {
    #[n(0)]
    pub key: ArtifactKey,
    #[n(1)]
    pub artifact: ArtifactId,
    #[n(2)]
    pub bytes: u64,
    #[n(3)]
    pub compile_ms: u64,
    /// See [`CompileRecord::stack_bytes`].
    #[n(4)]
    pub stack_bytes: Option<u64>,
}

/// One compilation, whatever came of it. Some are kept of each module.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CompileRecord {
    /// Counts the module's compilations from 1.
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub key: ArtifactKey,
    #[n(2)]
    pub module_bytes: u64,
    #[n(3)]
    pub started_at_ms: u64,
    /// Wall time, without the time in the queue.
    #[n(4)]
    pub compile_ms: u64,
    #[n(5)]
    pub threads: u32,
    /// This and the next three only of one that succeeded.
    #[n(6)]
    pub function_count: Option<u32>,
    #[n(7)]
    pub code_bytes: Option<u64>,
    #[n(8)]
    pub aot_bytes: Option<u64>,
    /// Native stack of the deepest chain of calls, if that has an end.
    #[n(9)]
    pub stack_bytes: Option<u64>,
    /// Why there is no artifact.
    #[n(10)]
    pub refusal: Option<String>,
    /// What the worker said, cut to a bounded length.
    #[n(11)]
    pub log: String,
}

/// A checked and signed build.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ReleaseRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub build: KeyHash,
    #[n(1)]
    pub release: ReleaseId,
    #[n(2)]
    pub release_bytes: u64,
    #[n(3)]
    pub artifact: ArtifactId,
    #[n(4)]
    pub artifact_bytes: u64,
    #[cbor(n(5), with = "minicbor::bytes")]
    pub artifact_key: KeyHash,
    #[n(6)]
    pub checks_passed: u32,
}

/// A checked build whose release is not signed yet.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UnsignedRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub build: KeyHash,
    /// The release as it is to be signed.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub release: Vec<u8>,
    #[n(2)]
    pub artifact: ArtifactId,
    #[n(3)]
    pub artifact_bytes: u64,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub artifact_key: KeyHash,
    #[n(5)]
    pub checks_passed: u32,
    /// Since when it waits.
    #[n(6)]
    pub since_ms: u64,
}

/// One version of the root document. All are kept: a device walks them one by one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RootRecord {
    #[n(0)]
    pub root_version: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
    #[n(2)]
    pub published_at_ms: u64,
}

/// Where an artifact came from: a signed statement, kept as a blob.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProvenanceRecord {
    #[n(0)]
    pub artifact: ArtifactId,
    #[n(1)]
    pub module: ModuleId,
    #[n(2)]
    pub envelope: BlobId,
}

/// The newest manifest of a device. It is here before it is published.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ManifestRecord {
    #[n(0)]
    pub device: DeviceId,
    #[n(1)]
    pub epoch: u32,
    #[n(2)]
    pub seq: u64,
    #[n(3)]
    pub entries: Vec<ManifestEntry>,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ManifestEntry {
    #[n(0)]
    pub entry: AppEntry,
    /// The deployment that put it there.
    #[n(1)]
    pub deployment: u64,
    /// The first manifest that carried it.
    #[n(2)]
    pub since_seq: u64,
    /// Releases of the application that earlier manifests named, latest first: the
    /// device may have to go back to one. `None` in records from before.
    #[n(3)]
    pub earlier: Option<Vec<ReleaseId>>,
}

/// Numbers that must never be given twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct CounterRecord {
    #[n(0)]
    pub last_deployment: u64,
}

pub(crate) fn to_cbor(value: &impl Encode<()>) -> Vec<u8> {
    // Encoding to memory has no failing case for our own types.
    minicbor::to_vec(value).expect("records can be encoded")
}
