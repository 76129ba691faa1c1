//! From a checked build to a signed release, whoever holds the release key.
//!
//! A checked build becomes an unsigned release in the store. Where the key is here it
//! is signed in the same moment; a signer process is asked by [`App::ask_signer`] on a
//! thread of its own and may be away; where the key is offline, people take the
//! waiting releases away and hand the signed ones in. However it came, a signature is
//! accepted only if a device would accept it.

use super::builds::{BuildStatus, Jobs};
use super::desired::{Build, build_for, module_for, wanted_by};
use super::{App, AppError, State};
use crate::signing::{NotSigned, ReleaseSigner, RemoteSigner, encode};
use crate::store::record::{KeyHash, ReleaseRecord, UnsignedRecord};
use crate::store::{Change, StoreError};
use gateway_api::{AcceptedRelease, ProblemCode, WaitingRelease};
use module_package::{
    BLOCK_BYTES, BlobId, RELEASE_BYTES_MAX, Release, ReleaseId, check_release, open_release,
    read_unverified,
};
use signer_protocol::{About, SignRequest};
use std::collections::HashSet;

/// What is known of a signer in another process.
#[derive(Debug, Default)]
pub struct SignerState {
    pub about: Option<About>,
    /// Why it signed nothing the last time.
    pub problem: Option<String>,
}

/// What came of asking the signer for all that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningPass {
    /// Nothing waits that the signer could sign.
    Done,
    /// It is away: ask again later.
    Again,
}

impl State {
    /// For a build that is checked and whose release is not signed.
    pub(super) fn signature_status(&self, build: KeyHash) -> Option<BuildStatus> {
        self.model.unsigned.get(&build)?;
        if let Some(detail) = self.jobs.signing_refusals.get(&build) {
            return Some(BuildStatus::Refused(detail.clone()));
        }
        Some(BuildStatus::AwaitingSignature(self.jobs.signature_wait()))
    }

    /// Hashes of everything that some device shall run.
    fn wanted_builds(&self) -> HashSet<KeyHash> {
        let of_device = |device| {
            let wanted = wanted_by(&self.model, device).into_values();
            let builds = wanted.filter_map(move |deployment| {
                let module = module_for(&self.model, deployment, device)?;
                Some(build_for(module, deployment, device).ok()?.hash())
            });
            builds.collect::<Vec<_>>()
        };
        self.model.devices.values().flat_map(of_device).collect()
    }
}

impl Jobs {
    fn signature_wait(&self) -> String {
        match &self.signer {
            None => {
                "waits for its release signature; fetch it with `farrier release export`, sign \
                     it where the release key is, and hand it in with `farrier release submit`"
                    .to_owned()
            }
            Some(SignerState { problem: Some(problem), .. }) => {
                format!("waits for its release signature: {problem}")
            }
            Some(_) => "waits for its release signature by the signer".to_owned(),
        }
    }
}

impl App {
    /// The release of a build as it is to be signed.
    pub(super) fn draft_release(
        &self,
        build: &Build,
        checks_passed: u32,
    ) -> Result<Result<UnsignedRecord, String>, StoreError> {
        let artifact_key = build.key.hash();
        let Some(artifact) = self.state().model.artifacts.get(&artifact_key).cloned() else {
            return Ok(Err("the artifact is gone; deploy again".to_owned()));
        };
        let aot = self.rooms.blobs.get(artifact.artifact.into())?;
        let mut release = build.draft_release();
        release.artifact = artifact.artifact;
        release.artifact_bytes = artifact.bytes;
        release.block_hashes = aot.chunks(BLOCK_BYTES as usize).map(BlobId::of).collect();
        let payload = encode(&release);
        // The seal takes some hundred bytes more.
        if payload.len() > RELEASE_BYTES_MAX - 512 {
            let len = payload.len();
            return Ok(Err(format!(
                "the release has {len} bytes, and {RELEASE_BYTES_MAX} is the limit"
            )));
        }
        Ok(Ok(UnsignedRecord {
            build: build.hash(),
            release: payload,
            artifact: artifact.artifact,
            artifact_bytes: artifact.bytes,
            artifact_key,
            checks_passed,
            since_ms: self.now_ms(),
        }))
    }

    /// What to keep of a drafted release: signed, where the key is here and counts.
    pub(super) fn signed_or_waiting(
        &self,
        state: &State,
        unsigned: UnsignedRecord,
    ) -> Result<Change, StoreError> {
        let root = state.model.root.as_ref();
        let sealed =
            root.and_then(|root| self.rooms.signing.seal_release(root, unsigned.release.clone()));
        match sealed {
            Some((release, sealed)) => {
                self.put_blob(&sealed)?;
                Ok(Change::Release(to_record(&unsigned, release, sealed.len())))
            }
            None => Ok(Change::Unsigned(unsigned)),
        }
    }

    /// Signs what waits, where the key is here.
    pub(super) fn sign_waiting_here(&self) -> Result<(), StoreError> {
        if !matches!(self.rooms.signing.release(), ReleaseSigner::InProcess(_)) {
            return Ok(());
        }
        let mut state = self.state();
        let waiting: Vec<UnsignedRecord> = state.model.unsigned.values().cloned().collect();
        let mut changes = Vec::new();
        for unsigned in waiting {
            let build = unsigned.build;
            if let change @ Change::Release(_) = self.signed_or_waiting(&state, unsigned)? {
                changes.extend([change, Change::DeleteUnsigned(build)]);
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.commit(&mut state, changes)?;
        self.reconcile_all(&mut state)
    }

    /// What waits and is still wanted. The rest is forgotten: if it is wanted again,
    /// it is checked again.
    fn take_waiting(&self, state: &mut State) -> Result<Vec<UnsignedRecord>, StoreError> {
        let wanted = state.wanted_builds();
        let (kept, gone): (Vec<_>, Vec<_>) =
            state.model.unsigned.values().cloned().partition(|u| wanted.contains(&u.build));
        self.commit(state, gone.into_iter().map(|u| Change::DeleteUnsigned(u.build)).collect())?;
        Ok(kept)
    }

    pub fn waiting_releases(&self) -> Result<Vec<WaitingRelease>, AppError> {
        let mut state = self.state();
        let mut waiting: Vec<WaitingRelease> = self
            .take_waiting(&mut state)?
            .into_iter()
            .filter_map(|unsigned| to_waiting(&state, unsigned))
            .collect();
        waiting.sort_by(|a, b| {
            (&a.app, a.app_version, &a.target).cmp(&(&b.app, b.app_version, &b.target))
        });
        Ok(waiting)
    }

    /// Takes a release that was signed elsewhere.
    pub fn submit_release(&self, sealed: &[u8]) -> Result<AcceptedRelease, AppError> {
        let not_trusted = |what: String| {
            AppError::refused(
                ProblemCode::NotTrusted,
                format!("The release is not accepted: {what}."),
            )
        };
        let id = ReleaseId::of(sealed);
        let release = {
            let state = self.state();
            let root = self.root_of(&state)?;
            open_release(sealed, id, root).map_err(|e| not_trusted(e.to_string()))?
        };
        let accepted = |release: &Release| AcceptedRelease {
            release: id.to_string(),
            app: release.app.clone(),
            app_version: release.app_version,
            target: release.target.id.clone(),
        };
        let mut state = self.state();
        if state.model.releases.values().any(|record| record.release == id) {
            return Ok(accepted(&release));
        }
        let (_, payload) = read_unverified(sealed).map_err(|e| not_trusted(e.to_string()))?;
        let waiting = state.model.unsigned.values().find(|u| u.release == payload).cloned();
        let Some(unsigned) = waiting else {
            return Err(AppError::not_found(
                "No release waits with this content; it may have been signed already, or replaced by \
                 a later deployment. `farrier release list` shows what waits.",
            ));
        };
        // The lock is held while a small file is written, as in a reconciliation.
        self.put_blob(sealed)?;
        let build = unsigned.build;
        let record = to_record(&unsigned, id, sealed.len());
        self.commit(&mut state, vec![Change::Release(record), Change::DeleteUnsigned(build)])?;
        state.jobs.signing_refusals.remove(&build);
        tracing::info!(release.id = %id, app = release.app, "release signed elsewhere");
        self.show_artifact_of(&state, &unsigned);
        self.reconcile_all(&mut state)?;
        Ok(accepted(&release))
    }

    /// Changes when something may have come to be signed.
    pub async fn signing_wanted(&self) {
        self.signing_wanted.notified().await;
    }

    /// Offers what waits to the signer in another process, one after the other.
    pub fn ask_signer(&self) -> Result<SigningPass, AppError> {
        let ReleaseSigner::Process(signer) = self.rooms.signing.release() else {
            return Ok(SigningPass::Done);
        };
        let waiting = {
            let mut state = self.state();
            let waiting = self.take_waiting(&mut state)?;
            let refusals = &state.jobs.signing_refusals;
            waiting.into_iter().filter(|u| !refusals.contains_key(&u.build)).collect::<Vec<_>>()
        };
        if waiting.is_empty() {
            return Ok(SigningPass::Done);
        }
        let about = match signer.about() {
            Ok(about) => about,
            Err(error) => return self.note_signer_problem(&error.to_string()),
        };
        self.state().jobs.signer.get_or_insert_default().about = Some(about.clone());
        for unsigned in waiting {
            let request = self.to_request(&about, &unsigned)?;
            match signer.sign(request) {
                Ok(sealed) => match self.submit_release(&sealed) {
                    Ok(_) => self.state().jobs.signer.get_or_insert_default().problem = None,
                    // Replaced in the meantime.
                    Err(AppError::Refused { code: ProblemCode::NotFound, .. }) => {}
                    Err(AppError::Refused { detail, .. }) => {
                        return self.note_signer_problem(&format!(
                            "what the signer gave does not count: {detail} Its key is {}; if the \
                             root document should name it, rotate the root",
                            hex::encode(about.release_key.0)
                        ));
                    }
                    Err(fault) => return Err(fault),
                },
                Err(away @ NotSigned::Away { .. }) => {
                    return self.note_signer_problem(&away.to_string());
                }
                Err(NotSigned::Refused(detail)) => self.note_refusal(&unsigned, detail),
            }
        }
        Ok(SigningPass::Done)
    }

    fn to_request(
        &self,
        about: &About,
        unsigned: &UnsignedRecord,
    ) -> Result<SignRequest, AppError> {
        let release = check_release(&unsigned.release)
            .map_err(|e| AppError::Bug(format!("a release of ours cannot be read: {e}")))?;
        let wasm = match about.recompile {
            true => Some(self.rooms.blobs.get(BlobId(release.module.0))?),
            false => None,
        };
        let state = self.state();
        let module = state.model.modules.get(&release.module);
        let module_statement = module.and_then(|module| module.module_statement.clone());
        Ok(SignRequest { release: unsigned.release.clone(), wasm, module_statement })
    }

    fn note_signer_problem(&self, problem: &str) -> Result<SigningPass, AppError> {
        let mut state = self.state();
        let signer = state.jobs.signer.get_or_insert_default();
        if signer.problem.as_deref() != Some(problem) {
            tracing::warn!(problem, "releases wait for the signer");
            signer.problem = Some(problem.to_owned());
            let waiting: Vec<UnsignedRecord> = state.model.unsigned.values().cloned().collect();
            waiting.iter().for_each(|unsigned| self.show_artifact_of(&state, unsigned));
        }
        Ok(SigningPass::Again)
    }

    fn note_refusal(&self, unsigned: &UnsignedRecord, detail: String) {
        tracing::warn!(detail, "the signer refuses a release");
        let mut state = self.state();
        let detail = format!("the signer refuses to sign the release: {detail}");
        state.jobs.signing_refusals.insert(unsigned.build, detail);
        self.show_artifact_of(&state, unsigned);
    }

    fn show_artifact_of(&self, state: &State, unsigned: &UnsignedRecord) {
        if let Some(artifact) = state.model.artifacts.get(&unsigned.artifact_key) {
            self.show_artifact(state, &artifact.key.clone());
        }
    }

    /// Whether the signer is another process, and which.
    pub fn remote_signer(&self) -> Option<std::sync::Arc<dyn RemoteSigner>> {
        match self.rooms.signing.release() {
            ReleaseSigner::Process(signer) => Some(signer.clone()),
            _ => None,
        }
    }
}

fn to_record(unsigned: &UnsignedRecord, release: ReleaseId, release_bytes: usize) -> ReleaseRecord {
    ReleaseRecord {
        build: unsigned.build,
        release,
        release_bytes: release_bytes as u64,
        artifact: unsigned.artifact,
        artifact_bytes: unsigned.artifact_bytes,
        artifact_key: unsigned.artifact_key,
        checks_passed: unsigned.checks_passed,
    }
}

fn to_waiting(state: &State, unsigned: UnsignedRecord) -> Option<WaitingRelease> {
    let release = check_release(&unsigned.release).ok()?;
    let detail = match state.signature_status(unsigned.build)? {
        BuildStatus::AwaitingSignature(detail) | BuildStatus::Refused(detail) => detail,
        _ => String::new(),
    };
    Some(WaitingRelease {
        id: BlobId::of(&unsigned.release).to_string(),
        app: release.app,
        app_version: release.app_version,
        module: release.module.to_string(),
        artifact: release.artifact.to_string(),
        artifact_bytes: release.artifact_bytes,
        target: release.target.id,
        bounds_checks: release.target.bounds_checks,
        since_ms: unsigned.since_ms,
        detail,
        payload: hex::encode(&unsigned.release),
    })
}
