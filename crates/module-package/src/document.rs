//! Release and manifest: their content, and opening them.
//!
//! The payload is a CBOR map with integer keys in ascending order, definite
//! lengths and shortest numbers (RFC 8949, section 4.2.1). A payload that is not
//! exactly what we would write ourselves is refused, so one content has one form.

use crate::{
    ARTIFACT_BYTES_MAX, ArtifactId, BLOCK_BYTES, BlobId, DOCUMENT_VERSION, DeviceId, Domain, KeyId,
    ManifestId, ModuleId, Provisions, ReleaseId, SealError, Sharing, TrustedRoot, open,
};
use known_answer::Step;
use minicbor::{Decode, Encode};
use module_limits::LimitActions;
use scheduling::Scheduling;

/// Longest sealed manifest: it is one retained MQTT message.
pub const MANIFEST_BYTES_MAX: usize = 16 * 1024;

/// Longest sealed release: the known-answer steps and the block hashes of the
/// largest artifact (1,536 × 34 bytes) fit.
pub const RELEASE_BYTES_MAX: usize = 128 * 1024;

/// Most applications on one device.
pub const MANIFEST_APPS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Release {
    #[n(0)]
    pub version: u32,
    /// The application's name and the number of this module among its versions,
    /// counted from 1.
    #[n(1)]
    pub app: String,
    #[n(2)]
    pub app_version: u32,
    #[n(3)]
    pub module: ModuleId,
    #[n(4)]
    pub artifact: ArtifactId,
    #[n(5)]
    pub artifact_bytes: u64,
    #[n(6)]
    pub block_bytes: u32,
    /// One hash for each block, in order.
    #[n(7)]
    pub block_hashes: Vec<BlobId>,
    #[n(8)]
    pub target: ReleaseTarget,
    #[n(9)]
    pub policy: CompilePolicy,
    /// The only imports that the module may have, as `farrier.log`.
    #[n(10)]
    pub imports: Vec<String>,
    #[n(11)]
    pub limits: ReleaseLimits,
    #[n(12)]
    pub known_answers: Vec<Step>,
    #[n(13)]
    pub compiler: String,
    /// The key of the developer who vouched for the module, where one did.
    #[n(14)]
    pub developer: Option<KeyId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(map)]
pub struct ReleaseTarget {
    #[n(0)]
    pub id: String,
    #[n(1)]
    pub abi: String,
    #[n(2)]
    pub cpu_features: Vec<String>,
    #[n(3)]
    pub aot_version: u32,
    /// `hardware` or `software`.
    #[n(4)]
    pub bounds_checks: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(map)]
pub struct CompilePolicy {
    /// [`METERING_GAS`] or [`NO_POLICY`].
    #[n(0)]
    pub metering: String,
    /// [`NAN_CANONICAL`], or [`NO_POLICY`]: NaN bits may differ by architecture.
    #[n(1)]
    pub nan_canonicalization: String,
}

/// Gas by version 1 of the cost table, `docs/metering.md`.
pub const METERING_GAS: &str = "gas-1";
/// `docs/determinism.md`.
pub const NAN_CANONICAL: &str = "canonical";
pub const NO_POLICY: &str = "none";

impl Default for CompilePolicy {
    fn default() -> Self {
        Self { metering: NO_POLICY.into(), nan_canonicalization: NO_POLICY.into() }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ReleaseLimits {
    #[n(0)]
    pub memory_bytes_max: u64,
    #[n(1)]
    pub stack_bytes: u32,
    #[n(2)]
    pub call_ms_max: u32,
    #[n(3)]
    pub log_lines_per_s_max: u32,
    #[n(4)]
    pub publishes_per_s_max: u32,
    /// Gas of one call, and on the average of a second. Only of a metered artifact.
    #[n(5)]
    pub gas_per_call_max: Option<u64>,
    #[n(6)]
    pub gas_per_s_max: Option<u64>,
    /// What follows where a limit is reached, where it is not the usual.
    #[n(7)]
    pub actions: Option<LimitActions>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Manifest {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub epoch: u32,
    /// Grows with every change; people call it the generation.
    #[n(2)]
    pub seq: u64,
    #[n(3)]
    pub device: DeviceId,
    /// Milliseconds since 1970 by the gateway's clock; for people.
    #[n(4)]
    pub issued_at_ms: u64,
    /// Not to be accepted after this time by a device that knows the time.
    #[n(5)]
    pub not_after_ms: Option<u64>,
    /// Complete: what is not listed is removed.
    #[n(6)]
    pub apps: Vec<AppEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AppEntry {
    /// Equal to the release's `app`; once in a manifest.
    #[n(0)]
    pub app: String,
    #[n(1)]
    pub release: ReleaseId,
    /// Whether it shall run; a stopped application stays installed.
    #[n(2)]
    pub run: bool,
    /// Time between two ticks; for a module without `tick`, between two runs of
    /// its known-answer steps.
    #[n(3)]
    pub interval_ms: u32,
    /// Sensors that the module may open, by the names of the device's own list.
    #[n(4)]
    pub sensors: Vec<String>,
    /// Channels that the module may publish on.
    #[n(5)]
    pub channels: Vec<String>,
    /// `best-effort` or `real-time`.
    #[n(6)]
    pub class: String,
    /// The number of the deployment that this entry is from. What was stopped for
    /// a fault of its own is started again by another deployment only.
    #[n(7)]
    pub deployment: u64,
    /// How long a version that takes another's place has to be well before it is
    /// kept; the device's own default where it is not said.
    #[n(8)]
    pub health_window_ms: Option<u32>,
    #[n(9)]
    pub provisions: Option<Provisions>,
    /// What it asks for beside the usual; it says the class once more.
    #[n(20)]
    pub scheduling: Option<Scheduling>,
    /// `None` for a module with a process of its own.
    #[n(25)]
    pub sharing: Option<Sharing>,
}

impl AppEntry {
    /// What the gateway calls the deployment that this entry is from.
    pub fn deployment_id(&self) -> String {
        format!("{}-{}", self.app, self.deployment)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the document has version {0}; this build reads version {DOCUMENT_VERSION}")]
    Version(u32),
    #[error("the document is for device {0}")]
    WrongDevice(DeviceId),
    #[error("the bytes have another hash than the manifest names")]
    WrongHash,
    #[error("the document contradicts itself: {0}")]
    Inconsistent(String),
    #[error(
        "version {version} of {app} is below {floor}, the lowest that the root document allows"
    )]
    BelowFloor { app: String, version: u32, floor: u32 },
    #[error("the document ended at {not_after_ms} ms since 1970")]
    Expired { not_after_ms: u64 },
}

/// Decodes a payload and refuses any other encoding of the same content.
pub fn decode_exact<T>(payload: &[u8]) -> Result<T, SealError>
where
    T: Encode<()> + for<'b> Decode<'b, ()>,
{
    let value: T =
        minicbor::decode(payload).map_err(|e| SealError::Malformed(format!("CBOR: {e}")))?;
    match minicbor::to_vec(&value) {
        Ok(bytes) if bytes == payload => Ok(value),
        _ => Err(SealError::Malformed("the CBOR is not deterministic".into())),
    }
}

/// Checks everything about a manifest that needs no state of the device.
/// `now_ms` is given only by a device that trusts its clock.
pub fn open_manifest(
    sealed: &[u8],
    root: &TrustedRoot,
    device: &DeviceId,
    now_ms: Option<u64>,
) -> Result<(Manifest, ManifestId), DocumentError> {
    let payload =
        open(Domain::Manifest, sealed, MANIFEST_BYTES_MAX, |key| root.find_assign_key(key))?;
    let manifest: Manifest = decode_exact(&payload)?;
    check_version(manifest.version)?;
    if manifest.device != *device {
        return Err(DocumentError::WrongDevice(manifest.device));
    }
    if let (Some(now_ms), Some(not_after_ms)) = (now_ms, manifest.not_after_ms)
        && now_ms > not_after_ms
    {
        return Err(DocumentError::Expired { not_after_ms });
    }
    check_apps(&manifest.apps)?;
    Ok((manifest, ManifestId::of(&payload)))
}

pub(crate) fn check_version(version: u32) -> Result<(), DocumentError> {
    if version == DOCUMENT_VERSION { Ok(()) } else { Err(DocumentError::Version(version)) }
}

fn check_apps(apps: &[AppEntry]) -> Result<(), DocumentError> {
    let inconsistent = |what: String| Err(DocumentError::Inconsistent(what));
    if apps.len() > MANIFEST_APPS_MAX {
        return inconsistent(format!("{} applications, more than {MANIFEST_APPS_MAX}", apps.len()));
    }
    for (index, entry) in apps.iter().enumerate() {
        if apps[..index].iter().any(|other| other.app == entry.app) {
            return inconsistent(format!("{} is listed twice", entry.app));
        }
        let class = entry.scheduling.as_ref().map_or(scheduling::BEST_EFFORT, Scheduling::class);
        if entry.class != class {
            return inconsistent(format!(
                "{} has the class {:?} and is scheduled as {class:?}",
                entry.app, entry.class
            ));
        }
        if entry.interval_ms == 0 {
            return inconsistent(format!("{} has an interval of 0 ms", entry.app));
        }
        if let Some(scheduling) = &entry.scheduling {
            if scheduling.is_usual() {
                return inconsistent(format!("{} asks for nothing at length", entry.app));
            }
            if let Err((_, why)) = scheduling.check(entry.interval_ms) {
                return inconsistent(format!("{}: {why}", entry.app));
            }
        }
        if let Some(Err(why)) = entry.provisions.as_ref().map(Provisions::check) {
            return inconsistent(format!("{}: {why}", entry.app));
        }
        // Its scheduling would be that of all modules of the process.
        if entry.sharing.is_some() && entry.scheduling.is_some() {
            return inconsistent(format!(
                "{} asks for a scheduling of its own and shares its process",
                entry.app
            ));
        }
        if let Some(Err(why)) = entry.sharing.as_ref().map(Sharing::check) {
            return inconsistent(format!("{}: {why}", entry.app));
        }
    }
    Ok(())
}

/// Checks everything about a release that needs no state of the device.
pub fn open_release(
    sealed: &[u8],
    named: ReleaseId,
    root: &TrustedRoot,
) -> Result<Release, DocumentError> {
    if sealed.len() > RELEASE_BYTES_MAX {
        return Err(SealError::TooLong { len: sealed.len(), max: RELEASE_BYTES_MAX }.into());
    }
    if ReleaseId::of(sealed) != named {
        return Err(DocumentError::WrongHash);
    }
    let payload =
        open(Domain::Release, sealed, RELEASE_BYTES_MAX, |key| root.find_release_key(key))?;
    let release = check_release(&payload)?;
    let floor = root.floor_of(&release.app);
    if release.app_version < floor {
        let Release { app, app_version: version, .. } = release;
        return Err(DocumentError::BelowFloor { app, version, floor });
    }
    Ok(release)
}

/// What holds of every release, whoever signs it: the payload of [`open_release`], or
/// what is yet to be signed.
pub fn check_release(payload: &[u8]) -> Result<Release, DocumentError> {
    if payload.len() > RELEASE_BYTES_MAX {
        return Err(SealError::TooLong { len: payload.len(), max: RELEASE_BYTES_MAX }.into());
    }
    let release: Release = decode_exact(payload)?;
    check_version(release.version)?;
    check_blocks(&release)?;
    check_limits(&release)?;
    known_answer::check_bounds(&release.known_answers)
        .map_err(|e| DocumentError::Inconsistent(e.to_string()))?;
    Ok(release)
}

fn check_limits(release: &Release) -> Result<(), DocumentError> {
    let inconsistent = |what: String| Err(DocumentError::Inconsistent(what));
    let ReleaseLimits { gas_per_call_max, gas_per_s_max, actions, .. } = release.limits;
    let has_gas_limit = gas_per_call_max.is_some() || gas_per_s_max.is_some();
    if has_gas_limit && release.policy.metering == NO_POLICY {
        return inconsistent("a limit of gas for an artifact that counts none".into());
    }
    actions
        .unwrap_or_default()
        .check()
        .map_err(|e| DocumentError::Inconsistent(format!("its limits: {e}")))
}

fn check_blocks(release: &Release) -> Result<(), DocumentError> {
    let Release { artifact_bytes, block_bytes, block_hashes, .. } = release;
    if *artifact_bytes == 0 || *artifact_bytes > ARTIFACT_BYTES_MAX || *block_bytes != BLOCK_BYTES {
        return Err(DocumentError::Inconsistent(format!(
            "an artifact of {artifact_bytes} bytes in blocks of {block_bytes}"
        )));
    }
    if artifact_bytes.div_ceil(u64::from(*block_bytes)) != block_hashes.len() as u64 {
        return Err(DocumentError::Inconsistent(format!(
            "{} block hashes for {artifact_bytes} bytes",
            block_hashes.len()
        )));
    }
    Ok(())
}

/// What a device's runtime is, as far as code must match it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeProfile {
    pub target: String,
    pub bounds_checks: String,
    pub aot_version: u32,
    pub cpu_features: Vec<String>,
    /// Imports on offer, as `farrier.log`.
    pub imports: Vec<String>,
}

/// Why a release does not fit a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("built for target {built_for}, this device is {device}")]
    Target { built_for: String, device: String },
    #[error("built for {built_for} bounds checks, this runtime has {device} ones")]
    BoundsChecks { built_for: String, device: String },
    #[error("AoT format version {built_for}, this runtime reads {device}")]
    AotVersion { built_for: u32, device: u32 },
    #[error("uses CPU feature {0}, which this device lacks")]
    CpuFeature(String),
    #[error("imports {wanted}, which this runtime does not offer; it offers {offered}")]
    Import { wanted: String, offered: String },
}

impl RuntimeProfile {
    pub fn check(&self, release: &Release) -> Result<(), Mismatch> {
        let target = &release.target;
        if target.id != self.target {
            let (built_for, device) = (target.id.clone(), self.target.clone());
            return Err(Mismatch::Target { built_for, device });
        }
        if target.bounds_checks != self.bounds_checks {
            let (built_for, device) = (target.bounds_checks.clone(), self.bounds_checks.clone());
            return Err(Mismatch::BoundsChecks { built_for, device });
        }
        if target.aot_version != self.aot_version {
            let (built_for, device) = (target.aot_version, self.aot_version);
            return Err(Mismatch::AotVersion { built_for, device });
        }
        if let Some(lacking) = target.cpu_features.iter().find(|f| !self.cpu_features.contains(f)) {
            return Err(Mismatch::CpuFeature(lacking.clone()));
        }
        if let Some(wanted) = release.imports.iter().find(|i| !self.imports.contains(i)) {
            let offered = self.imports.join(", ");
            return Err(Mismatch::Import { wanted: wanted.clone(), offered });
        }
        Ok(())
    }
}
