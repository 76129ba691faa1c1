//! What the agent remembers: its key, its enrolment, and how far it has come.
//!
//! | file | holds |
//! |---|---|
//! | `device.key` | the 32-byte seed of the Ed25519 key; made once, never leaves the device |
//! | `enrolment` | device id, pinned root document, where the broker is |
//! | `time` | the newest signed time that was seen, about once a day |
//! | `progress` | the last accepted manifest, and what of the earlier ones has proved itself |
//!
//! Each file is replaced whole and synced, so a power cut leaves the old or the
//! new one. All but the key begin with a hash of the rest; one that
//! does not match is moved aside, never believed and never deleted.

use crate::install::Persisted;
use crate::membership::SharedRoot;
use crate::refusal::Refusal;
use device_protocol::RefusalCode;
use durable_disk::{Disk, put_file, sweep_parts};
use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};
use module_package::{
    Accepted, AppEntry, ArtifactId, DeviceId, DocumentError, ManifestId, RootId, TrustedRoot,
};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A sealed manifest, a root document or 64 proven entries, with much room.
const FILE_BYTES_MAX: u64 = 256 * 1024;

const KEY_FILE: &str = "device.key";
const ENROLMENT_FILE: &str = "enrolment";
const PROGRESS_FILE: &str = "progress";
const TIME_FILE: &str = "time";

pub struct State {
    disk: Rc<dyn Disk>,
    dir: PathBuf,
    root: SharedRoot,
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("{operation} {path}: {source}")]
    Disk { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is not a key of 32 bytes: move it away and enrol the device again")]
    DamagedKey { path: PathBuf },
    #[error("make the device's key: {0}")]
    NoRandomness(getrandom::Error),
    #[error("the stored root document is not valid: {0}")]
    Root(DocumentError),
}

/// What enrolment gave.
#[derive(Debug, Clone)]
pub struct Enrolment {
    pub device: DeviceId,
    pub root: TrustedRoot,
    /// The root document as it came.
    pub sealed_root: Vec<u8>,
    pub broker_url: String,
}

/// How far the device has come with its manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The highest manifest ever accepted, with its sealed bytes: the desired
    /// state, also while there is no connection.
    pub accepted: Option<(Accepted, Vec<u8>)>,
    /// The last good set, and what has not proved itself.
    pub installed: Persisted,
}

/// A version that has begun a trial and was not proven yet.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Attempt {
    #[n(0)]
    pub entry: AppEntry,
    /// How many trials have begun.
    #[n(1)]
    pub starts: u32,
    /// Why it was given up, if it was: it is not tried again before another
    /// deployment.
    #[n(2)]
    failure: Option<RefusalCode>,
    #[n(3)]
    detail: Option<String>,
}

impl Attempt {
    pub fn new(entry: AppEntry) -> Self {
        Self { entry, starts: 0, failure: None, detail: None }
    }

    pub fn failure(&self) -> Option<Refusal> {
        let detail = self.detail.as_deref().unwrap_or_default();
        self.failure.map(|code| Refusal::new(code, detail))
    }

    pub fn set_failure(&mut self, refusal: &Refusal) {
        self.failure = Some(refusal.code);
        self.detail = Some(refusal.detail.clone());
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Proven {
    #[n(0)]
    pub entry: AppEntry,
    #[n(1)]
    pub artifact: ArtifactId,
    #[n(2)]
    pub app_version: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct EnrolmentFile {
    #[n(0)]
    version: u32,
    #[n(1)]
    device: DeviceId,
    #[n(2)]
    root_id: RootId,
    #[cbor(n(3), with = "minicbor::bytes")]
    sealed_root: Vec<u8>,
    #[n(4)]
    broker_url: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ProgressFile {
    #[n(0)]
    version: u32,
    #[n(1)]
    accepted: Option<AcceptedRecord>,
    #[n(2)]
    proven: Vec<Proven>,
    /// Not in files of agents before there were trials.
    #[n(3)]
    attempts: Option<Vec<Attempt>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct TimeFile {
    #[n(0)]
    version: u32,
    #[n(1)]
    floor_ms: u64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AcceptedRecord {
    #[n(0)]
    epoch: u32,
    #[n(1)]
    seq: u64,
    #[n(2)]
    manifest: ManifestId,
    #[cbor(n(3), with = "minicbor::bytes")]
    sealed: Vec<u8>,
}

const FILE_VERSION: u32 = 1;

impl State {
    pub fn open(disk: Rc<dyn Disk>, dir: &Path) -> Result<Self, StateError> {
        let open = || {
            disk.create_dir(dir)?;
            sweep_parts(&*disk, dir)
        };
        open().map_err(|source| on("open", dir, source))?;
        Ok(Self { disk, dir: dir.into(), root: SharedRoot::default() })
    }

    /// The device's key, made at the first call.
    pub fn key(&self) -> Result<SigningKey, StateError> {
        let path = self.dir.join(KEY_FILE);
        let stored = self.disk.read(&path, FILE_BYTES_MAX);
        if let Some(bytes) = stored.map_err(|source| on("read", &path, source))? {
            let seed = bytes.try_into().map_err(|_| StateError::DamagedKey { path })?;
            return Ok(SigningKey::from_bytes(&seed));
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(StateError::NoRandomness)?;
        self.replace(KEY_FILE, &seed)?;
        Ok(SigningKey::from_bytes(&seed))
    }

    /// `None` until the device is enrolled.
    pub fn enrolment(&self) -> Result<Option<Enrolment>, StateError> {
        let Some(file) = self.read_checked::<EnrolmentFile>(ENROLMENT_FILE)? else {
            return Ok(None);
        };
        let root =
            TrustedRoot::pinned(&file.sealed_root, file.root_id).map_err(StateError::Root)?;
        self.share_root(&root);
        let EnrolmentFile { device, sealed_root, broker_url, .. } = file;
        Ok(Some(Enrolment { device, root, sealed_root, broker_url }))
    }

    pub fn set_enrolment(&self, enrolment: &Enrolment) -> Result<(), StateError> {
        let Enrolment { device, root, sealed_root, broker_url } = enrolment.clone();
        let root_id = root.id();
        let version = FILE_VERSION;
        let file = EnrolmentFile { version, device, root_id, sealed_root, broker_url };
        self.write_checked(ENROLMENT_FILE, &file)?;
        self.share_root(&enrolment.root);
        Ok(())
    }

    /// The root document of the stored enrolment, also after a later step.
    pub fn shared_root(&self) -> SharedRoot {
        self.root.clone()
    }

    fn share_root(&self, root: &TrustedRoot) {
        *self.root.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(root.clone());
    }

    pub fn progress(&self) -> Result<Progress, StateError> {
        let Some(file) = self.read_checked::<ProgressFile>(PROGRESS_FILE)? else {
            return Ok(Progress::default());
        };
        let accepted = file.accepted.map(|record| {
            let AcceptedRecord { epoch, seq, manifest, sealed } = record;
            (Accepted { epoch, seq, manifest }, sealed)
        });
        let (proven, attempts) = (file.proven, file.attempts.unwrap_or_default());
        Ok(Progress { accepted, installed: Persisted { proven, attempts } })
    }

    pub fn set_progress(&self, progress: &Progress) -> Result<(), StateError> {
        let accepted = progress.accepted.as_ref().map(|(accepted, sealed)| {
            let Accepted { epoch, seq, manifest } = *accepted;
            AcceptedRecord { epoch, seq, manifest, sealed: sealed.clone() }
        });
        let Persisted { proven, attempts } = progress.installed.clone();
        let (version, attempts) = (FILE_VERSION, Some(attempts));
        let file = ProgressFile { version, accepted, proven, attempts };
        self.write_checked(PROGRESS_FILE, &file)
    }

    /// It was this late, or later; 0 where nothing is known.
    pub fn time_floor_ms(&self) -> Result<u64, StateError> {
        Ok(self.read_checked::<TimeFile>(TIME_FILE)?.map_or(0, |file| file.floor_ms))
    }

    pub fn set_time_floor(&self, floor_ms: u64) -> Result<(), StateError> {
        self.write_checked(TIME_FILE, &TimeFile { version: FILE_VERSION, floor_ms })
    }

    fn write_checked(&self, name: &str, content: &impl Encode<()>) -> Result<(), StateError> {
        let path = self.dir.join(name);
        let content = minicbor::to_vec(content)
            .map_err(|e| on("encode", &path, io::Error::other(e.to_string())))?;
        let mut bytes = Sha256::digest(&content).to_vec();
        bytes.extend(content);
        self.replace(name, &bytes)
    }

    fn read_checked<T: for<'b> Decode<'b, ()>>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.dir.join(name);
        let read = self.disk.read(&path, FILE_BYTES_MAX);
        let Some(bytes) = read.map_err(|source| on("read", &path, source))? else {
            return Ok(None);
        };
        if let Some((hash, content)) = bytes.split_at_checked(32)
            && Sha256::digest(content).as_slice() == hash
            && let Ok(content) = minicbor::decode(content)
        {
            return Ok(Some(content));
        }
        let aside = self.dir.join(format!("{name}.damaged"));
        tracing::error!(
            "{} is damaged and was moved to {}: the agent goes on as if it had never been",
            path.display(),
            aside.display()
        );
        self.disk.rename(&path, &aside).map_err(|source| on("move away", &path, source))?;
        Ok(None)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        put_file(&*self.disk, &self.dir, name, bytes)
            .map_err(|source| on("write", &self.dir.join(name), source))
    }
}

fn on(operation: &'static str, path: &Path, source: io::Error) -> StateError {
    StateError::Disk { operation, path: path.into(), source }
}

#[cfg(test)]
#[path = "state_fuzz_tests.rs"]
mod fuzz_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use durable_disk::sim::SimDisk;

    fn progress(seq: u64) -> Progress {
        let manifest = ManifestId::of(&seq.to_le_bytes());
        let accepted = Accepted { epoch: 1, seq, manifest };
        Progress { accepted: Some((accepted, vec![7; 900])), installed: Persisted::default() }
    }

    fn state(disk: &Rc<SimDisk>) -> State {
        State::open(disk.clone(), Path::new("/data")).unwrap()
    }

    #[test]
    fn the_key_is_made_once() {
        let disk = Rc::new(SimDisk::default());
        let key = state(&disk).key().unwrap();
        disk.restart(0);
        assert_eq!(state(&disk).key().unwrap().to_bytes(), key.to_bytes());
    }

    #[test]
    fn power_cut_at_any_step_leaves_the_old_or_the_new_progress() {
        for cut in 0..6 {
            for seed in 0..40 {
                let disk = Rc::new(SimDisk::default());
                state(&disk).set_progress(&progress(1)).unwrap();
                disk.cut_power_after(cut);
                let written =
                    State { disk: disk.clone(), dir: "/data".into(), root: SharedRoot::default() }
                        .set_progress(&progress(2))
                        .is_ok();
                disk.restart(seed);
                let found = state(&disk).progress().unwrap();
                assert!(found == progress(2) || (found == progress(1) && !written));
            }
        }
    }

    #[test]
    fn damaged_progress_is_moved_aside_and_not_believed() {
        let disk = Rc::new(SimDisk::default());
        state(&disk).set_progress(&progress(1)).unwrap();
        disk.damage(Path::new("/data/progress"));
        assert_eq!(state(&disk).progress().unwrap(), Progress::default());
        assert!(disk.exists(Path::new("/data/progress.damaged")));
        disk.restart(0);
        assert_eq!(state(&disk).progress().unwrap(), Progress::default());
    }
}
