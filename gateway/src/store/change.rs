//! One change of one record, its key and value on disk, and the whole content.

use super::StoreError;
use super::record::{
    AccessRecord, ApplicationRecord, ArtifactRecord, ClaimRecord, CompileRecord, CounterRecord,
    DeploymentRecord, DeviceRecord, KeyHash, ManifestRecord, ModuleRecord, ProvenanceRecord,
    ReleaseRecord, RootRecord, SessionRecord, UnsignedRecord, UserRecord, to_cbor,
};
use minicbor::{Decode, Decoder, Encode, Encoder};
use module_package::{BlobId, DeviceId, ModuleId};

/// The version of every kind of record that this build writes and reads.
const RECORD_VERSION: u32 = 1;

/// One thing to write. The rules apply it to their memory once it is committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Module(ModuleRecord),
    Device(DeviceRecord),
    DeleteDevice(DeviceId),
    Deployment(DeploymentRecord),
    DeleteDeployment(u64),
    Claim(ClaimRecord),
    DeleteClaim(BlobId),
    Artifact(ArtifactRecord),
    DeleteArtifact(KeyHash),
    Release(ReleaseRecord),
    DeleteRelease(KeyHash),
    Manifest(ManifestRecord),
    Access(AccessRecord),
    Counter(CounterRecord),
    Compile(CompileRecord),
    DeleteCompile(ModuleId, u64),
    Root(RootRecord),
    Unsigned(UnsignedRecord),
    DeleteUnsigned(KeyHash),
    Provenance(ProvenanceRecord),
    Application(ApplicationRecord),
    DeleteApplication(String),
    DeleteAccess(BlobId),
    User(UserRecord),
    DeleteUser(String),
    Session(SessionRecord),
    DeleteSession(BlobId),
}

/// The first part of a key. Names are only ever added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Module,
    Device,
    Deployment,
    Claim,
    Artifact,
    Release,
    Manifest,
    Access,
    Counter,
    Compile,
    Root,
    Unsigned,
    Provenance,
    Application,
    User,
    Session,
}

impl Kind {
    pub const ALL: [Self; 16] = [
        Self::Module,
        Self::Device,
        Self::Deployment,
        Self::Claim,
        Self::Artifact,
        Self::Release,
        Self::Manifest,
        Self::Access,
        Self::Counter,
        Self::Compile,
        Self::Root,
        Self::Unsigned,
        Self::Provenance,
        Self::Application,
        Self::User,
        Self::Session,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Device => "device",
            Self::Deployment => "deployment",
            Self::Claim => "claim",
            Self::Artifact => "artifact",
            Self::Release => "release",
            Self::Manifest => "manifest",
            Self::Access => "access",
            Self::Counter => "counter",
            Self::Compile => "compile",
            Self::Root => "root",
            Self::Unsigned => "unsigned",
            Self::Provenance => "provenance",
            Self::Application => "application",
            Self::User => "user",
            Self::Session => "session",
        }
    }
}

impl Change {
    /// The key on disk, `kind/…`, and the value, or `None` to delete.
    pub fn to_entry(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let put = |kind, id: &[u8], value: Vec<u8>| (key(kind, id), Some(value));
        let delete = |kind, id: &[u8]| (key(kind, id), None);
        match self {
            Self::Module(record) => put(Kind::Module, &record.module.0, to_value(record)),
            Self::Device(record) => {
                put(Kind::Device, record.device.as_str().as_bytes(), to_value(record))
            }
            Self::DeleteDevice(device) => delete(Kind::Device, device.as_str().as_bytes()),
            Self::Deployment(record) => {
                put(Kind::Deployment, &record.number.to_be_bytes(), to_value(record))
            }
            Self::DeleteDeployment(number) => delete(Kind::Deployment, &number.to_be_bytes()),
            Self::Claim(record) => put(Kind::Claim, &record.secret_hash.0, to_value(record)),
            Self::DeleteClaim(hash) => delete(Kind::Claim, &hash.0),
            Self::Artifact(record) => put(Kind::Artifact, &record.key.hash(), to_value(record)),
            Self::DeleteArtifact(hash) => delete(Kind::Artifact, hash),
            Self::Release(record) => put(Kind::Release, &record.build, to_value(record)),
            Self::DeleteRelease(build) => delete(Kind::Release, build),
            Self::Manifest(record) => {
                put(Kind::Manifest, record.device.as_str().as_bytes(), to_value(record))
            }
            Self::Access(record) => put(Kind::Access, &record.token_hash.0, to_value(record)),
            Self::Counter(record) => put(Kind::Counter, b"all", to_value(record)),
            Self::Compile(record) => {
                let id = compile_id(record.key.module, record.number);
                put(Kind::Compile, &id, to_value(record))
            }
            Self::DeleteCompile(module, number) => {
                delete(Kind::Compile, &compile_id(*module, *number))
            }
            Self::Root(record) => {
                put(Kind::Root, &record.root_version.to_be_bytes(), to_value(record))
            }
            Self::Unsigned(record) => put(Kind::Unsigned, &record.build, to_value(record)),
            Self::DeleteUnsigned(build) => delete(Kind::Unsigned, build),
            Self::Provenance(record) => put(Kind::Provenance, &record.artifact.0, to_value(record)),
            Self::Application(record) => {
                put(Kind::Application, record.name.as_bytes(), to_value(record))
            }
            Self::DeleteApplication(name) => delete(Kind::Application, name.as_bytes()),
            Self::DeleteAccess(hash) => delete(Kind::Access, &hash.0),
            Self::User(record) => put(Kind::User, record.name.as_bytes(), to_value(record)),
            Self::DeleteUser(name) => delete(Kind::User, name.as_bytes()),
            Self::Session(record) => put(Kind::Session, &record.cookie_hash.0, to_value(record)),
            Self::DeleteSession(hash) => delete(Kind::Session, &hash.0),
        }
    }
}

fn key(kind: Kind, id: &[u8]) -> Vec<u8> {
    [kind.as_str().as_bytes(), b"/", id].concat()
}

fn compile_id(module: ModuleId, number: u64) -> Vec<u8> {
    [&module.0[..], &number.to_be_bytes()].concat()
}

/// Version first, then the record.
fn to_value(record: &impl Encode<()>) -> Vec<u8> {
    let mut value = Vec::new();
    let mut encoder = Encoder::new(&mut value);
    // Writing to memory does not fail.
    let _ = encoder.array(2).and_then(|e| e.u32(RECORD_VERSION));
    value.extend(to_cbor(record));
    value
}

fn from_value<T: for<'b> Decode<'b, ()>>(kind: Kind, value: &[u8]) -> Result<T, StoreError> {
    let error = |message: String| StoreError::Record { kind: kind.as_str(), message };
    let mut decoder = Decoder::new(value);
    decoder.array().map_err(|e| error(e.to_string()))?;
    let version = decoder.u32().map_err(|e| error(e.to_string()))?;
    if version != RECORD_VERSION {
        return Err(error(format!(
            "it has version {version} and this build reads version {RECORD_VERSION}; a newer gateway wrote it"
        )));
    }
    decoder.decode().map_err(|e| error(e.to_string()))
}

/// All records, as loaded at the start.
#[derive(Debug, Default, PartialEq)]
pub struct Records {
    pub modules: Vec<ModuleRecord>,
    pub devices: Vec<DeviceRecord>,
    pub deployments: Vec<DeploymentRecord>,
    pub claims: Vec<ClaimRecord>,
    pub artifacts: Vec<ArtifactRecord>,
    pub releases: Vec<ReleaseRecord>,
    pub manifests: Vec<ManifestRecord>,
    pub access: Vec<AccessRecord>,
    /// There in every store, from its making on.
    pub counter: Option<CounterRecord>,
    pub compiles: Vec<CompileRecord>,
    pub roots: Vec<RootRecord>,
    pub unsigned: Vec<UnsignedRecord>,
    pub provenances: Vec<ProvenanceRecord>,
    pub applications: Vec<ApplicationRecord>,
    pub users: Vec<UserRecord>,
    pub sessions: Vec<SessionRecord>,
}

impl Records {
    /// Adds one entry as it stands on disk.
    pub fn add_entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let is_of = |kind: &Kind| {
            key.strip_prefix(kind.as_str().as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
        };
        let Some(kind) = Kind::ALL.into_iter().find(is_of) else {
            let message = format!("the key {} is of no kind", String::from_utf8_lossy(key));
            return Err(StoreError::Record { kind: "unknown", message });
        };
        match kind {
            Kind::Module => self.modules.push(from_value(kind, value)?),
            Kind::Device => self.devices.push(from_value(kind, value)?),
            Kind::Deployment => self.deployments.push(from_value(kind, value)?),
            Kind::Claim => self.claims.push(from_value(kind, value)?),
            Kind::Artifact => self.artifacts.push(from_value(kind, value)?),
            Kind::Release => self.releases.push(from_value(kind, value)?),
            Kind::Manifest => self.manifests.push(from_value(kind, value)?),
            Kind::Access => self.access.push(from_value(kind, value)?),
            Kind::Counter => self.counter = Some(from_value(kind, value)?),
            Kind::Compile => self.compiles.push(from_value(kind, value)?),
            Kind::Root => self.roots.push(from_value(kind, value)?),
            Kind::Unsigned => self.unsigned.push(from_value(kind, value)?),
            Kind::Provenance => self.provenances.push(from_value(kind, value)?),
            Kind::Application => self.applications.push(from_value(kind, value)?),
            Kind::User => self.users.push(from_value(kind, value)?),
            Kind::Session => self.sessions.push(from_value(kind, value)?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_newer_version_is_refused() {
        let mut value = to_value(&CounterRecord { last_deployment: 3 });
        assert_eq!(from_value::<CounterRecord>(Kind::Counter, &value).unwrap().last_deployment, 3);
        value[1] = 2;
        let refusal = from_value::<CounterRecord>(Kind::Counter, &value).unwrap_err();
        assert!(refusal.to_string().contains("version 2"), "{refusal}");
    }
}
