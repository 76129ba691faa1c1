//! Root documents: which one counts, and what follows when a new one comes.
//!
//! Every version is kept and published, because a device walks them one by one. The
//! gateway believes a document for the same reason as a device does, by
//! [`TrustedRoot::step`], before it stores it. What follows from a step: manifests are
//! sealed again by a key that the new root names, under its epoch; releases whose key
//! it no longer names wait for a new signature; versions below a floor leave the
//! devices. The same is done at each start, so a crash in between changes nothing.

use super::{App, AppError, State};
use crate::config::Developer;
use crate::signing::ReleaseSigner;
use crate::store::record::{ManifestRecord, RootRecord, UnsignedRecord};
use crate::store::{Change, StoreError};
use gateway_api::{
    GatewayKeyRole, NewGatewayKey, ProblemCode, ReleaseKeyPlace, SignerStatus, Trust,
    TrustDeveloper, TrustFloor, TrustKey, TrustSummary,
};
use module_package::{
    DOCUMENT_VERSION, DocumentError, Manifest, PublicKey, RootDraft, RootId, SealError,
    TrustedRoot, read_unverified,
};

/// Whose modules are taken.
#[derive(Debug, Clone, Default)]
pub struct TrustRules {
    pub developers: Vec<Developer>,
    pub require_developer_signature: bool,
}

impl App {
    /// The first root of a demonstration, into a store that has none.
    pub(super) fn begin_with_demo_root(&self, state: &mut State) -> Result<(), AppError> {
        state.model.check_roots().map_err(AppError::Bug)?;
        let Some(sealed) = self.rooms.signing.demo_root() else { return Ok(()) };
        if state.model.root.is_some() {
            return Ok(());
        }
        state.model.verify_next_root(sealed).map_err(|e| {
            AppError::Bug(format!("the root document in the data directory does not hold: {e}"))
        })?;
        let record =
            RootRecord { root_version: 1, sealed: sealed.to_vec(), published_at_ms: self.now_ms() };
        Ok(self.commit(state, vec![Change::Root(record)])?)
    }

    /// A gateway that no device believes must not look as if it worked.
    pub(super) fn check_own_keys(&self, state: &State) -> Result<(), AppError> {
        let Some(root) = &state.model.root else { return Ok(()) };
        if self.rooms.signing.assign_key_under(root).is_some() {
            return Ok(());
        }
        Err(AppError::conflict(format!(
            "version {} of the root document names no assign key that is in the data directory: \
             devices would accept nothing from this gateway; restore keys/ from a backup",
            root.document().root_version
        )))
    }

    /// Takes the next root document. `false` if it is the newest already.
    pub fn publish_root(&self, sealed: &[u8]) -> Result<(bool, Trust), AppError> {
        let mut state = self.state();
        let newest = state.model.roots.last_key_value().map(|(_, record)| &record.sealed[..]);
        if newest == Some(sealed) {
            drop(state);
            return Ok((false, self.trust()));
        }
        let next = state
            .model
            .verify_next_root(sealed)
            .map_err(|error| refuse_root(state.model.root.as_ref(), sealed, &error))?;
        if self.rooms.signing.assign_key_under(&next).is_none() {
            let own = self.rooms.signing.assign_public_keys();
            let own: Vec<String> = own.iter().map(|key| hex::encode(key.0)).collect();
            return Err(not_trusted(format!(
                "The root document names none of this gateway's assign keys, so devices would \
                 accept nothing from it any more. Name one of them: {}.",
                own.join(", ")
            )));
        }
        let record = RootRecord {
            root_version: next.document().root_version,
            sealed: sealed.to_vec(),
            published_at_ms: self.now_ms(),
        };
        tracing::info!(
            root.version = record.root_version,
            root.id = %next.id(),
            epoch = next.document().epoch,
            "new root document"
        );
        self.commit(&mut state, vec![Change::Root(record)])?;
        self.conform_to_root(&mut state)?;
        self.reconcile_all(&mut state)?;
        drop(state);
        self.sign_waiting_here()?;
        self.signing_wanted.notify_one();
        Ok((true, self.trust()))
    }

    /// Makes what was sealed before hold under the newest root. Changes nothing that
    /// holds already.
    pub(super) fn conform_to_root(&self, state: &mut State) -> Result<(), StoreError> {
        let Some(root) = state.model.root.clone() else { return Ok(()) };
        let mut changes = self.releases_to_sign_again(state, &root)?;
        let manifests: Vec<ManifestRecord> = state
            .model
            .manifests
            .values()
            .filter_map(|record| self.manifest_to_seal_again(record, &root))
            .collect();
        let told: Vec<_> = manifests.iter().map(|record| record.device.clone()).collect();
        changes.extend(manifests.into_iter().map(Change::Manifest));
        self.commit(state, changes)?;
        self.rooms.outbox.root_published();
        told.iter().for_each(|device| self.rooms.outbox.manifest_changed(device));
        Ok(())
    }

    /// The same entries under the next number, if the present seal does not do.
    fn manifest_to_seal_again(
        &self,
        record: &ManifestRecord,
        root: &TrustedRoot,
    ) -> Option<ManifestRecord> {
        let wanted = self.rooms.signing.assign_key_under(root)?.id();
        let epoch = root.document().epoch;
        let sealed_by = read_unverified(&record.sealed).ok().map(|(key, _)| key);
        if sealed_by == Some(wanted) && record.epoch == epoch {
            return None;
        }
        let seq = record.seq + 1;
        let manifest = Manifest {
            version: DOCUMENT_VERSION,
            epoch,
            seq,
            device: record.device.clone(),
            issued_at_ms: self.now_ms(),
            not_after_ms: self.manifest_end_ms(),
            apps: record.entries.iter().map(|entry| entry.entry.clone()).collect(),
        };
        let (_, sealed) = self.rooms.signing.seal_manifest(root, &manifest)?;
        tracing::info!(device.id = %record.device, generation = seq, epoch, "manifest sealed again");
        Some(ManifestRecord { epoch, seq, sealed, ..record.clone() })
    }

    /// Releases by a key that the root no longer allows become unsigned ones.
    fn releases_to_sign_again(
        &self,
        state: &State,
        root: &TrustedRoot,
    ) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        for record in state.model.releases.values() {
            let sealed = self.rooms.blobs.get(record.release.into())?;
            let Ok((key, release)) = read_unverified(&sealed) else { continue };
            let Err(why) = root.find_release_key(&key) else { continue };
            tracing::warn!(release.id = %record.release, %why, "the release needs another signature");
            changes.push(Change::DeleteRelease(record.build));
            changes.push(Change::Unsigned(UnsignedRecord {
                build: record.build,
                release,
                artifact: record.artifact,
                artifact_bytes: record.artifact_bytes,
                artifact_key: record.artifact_key,
                checks_passed: record.checks_passed,
                since_ms: self.now_ms(),
            }));
        }
        Ok(changes)
    }

    /// The root that counts now, or what is to be done about there being none.
    pub(super) fn root_of<'s>(&self, state: &'s State) -> Result<&'s TrustedRoot, AppError> {
        state.model.root.as_ref().ok_or_else(|| {
            AppError::refused(
                ProblemCode::Unavailable,
                "The gateway waits for its first root document: make one with `farrier root init`, \
                 have it signed, and hand it in with `farrier root publish`. `farrier trust keys` \
                 prints the keys that it has to name.",
            )
        })
    }

    /// The root document with this hash, whatever its version: a claim token made
    /// before a rotation pins an earlier one, and the device walks on from there.
    pub(super) fn root_with_id<'s>(&self, state: &'s State, id: RootId) -> Option<&'s [u8]> {
        let roots = state.model.roots.values();
        roots.map(|record| &record.sealed[..]).find(|sealed| RootId::of(sealed) == id)
    }

    pub fn sealed_root(&self, root_version: u32) -> Result<Vec<u8>, AppError> {
        let state = self.state();
        let record = state.model.roots.get(&root_version);
        record.map(|record| record.sealed.clone()).ok_or_else(|| {
            AppError::not_found(format!("There is no version {root_version} of the root document."))
        })
    }

    /// Every version, from the first, for whoever publishes them.
    pub fn root_documents(&self) -> Vec<(u32, Vec<u8>)> {
        let state = self.state();
        state.model.roots.values().map(|r| (r.root_version, r.sealed.clone())).collect()
    }

    pub fn new_gateway_key(&self, new: &NewGatewayKey) -> Result<TrustKey, AppError> {
        let signing = &self.rooms.signing;
        let made = match new.role {
            GatewayKeyRole::Assign => signing.add_assign_key(&self.rooms.surroundings),
            GatewayKeyRole::Release => signing.add_release_key(&self.rooms.surroundings),
        };
        let key = made.map_err(|error| match error {
            crate::signing::SigningError::NotHere(_) => AppError::conflict(format!("{error}.")),
            fault => AppError::Bug(fault.to_string()),
        })?;
        tracing::info!(key.id = %key.id(), role = ?new.role, "made a key for the next root document");
        Ok(to_trust_key(&key, false))
    }

    pub(super) fn trust_summary(&self, state: &State) -> TrustSummary {
        let root = state.model.root.as_ref();
        let document = root.map(TrustedRoot::document);
        let about = state.jobs.signer.as_ref().and_then(|signer| signer.about.as_ref());
        let release_key_place = match self.rooms.signing.release() {
            ReleaseSigner::InProcess(_) => ReleaseKeyPlace::InProcess,
            ReleaseSigner::Process(_) => ReleaseKeyPlace::Signer,
            ReleaseSigner::Offline => ReleaseKeyPlace::Offline,
        };
        TrustSummary {
            root_id: root.map(|root| root.id().to_string()).unwrap_or_default(),
            root_version: document.map_or(0, |d| d.root_version),
            epoch: document.map_or(0, |d| d.epoch),
            threshold: document.map_or(0, |d| d.threshold),
            root_key_count: document.map_or(0, |d| d.root_keys.len() as u32),
            release_key_online: release_key_place == ReleaseKeyPlace::InProcess,
            release_key_place,
            signer_recompiles: about.is_some_and(|about| about.recompile),
            signer_requires_developer: about.is_some_and(|about| about.requires_developer),
            releases_waiting: state.model.unsigned.len() as u32,
        }
    }

    pub fn trust(&self) -> Trust {
        let signer = match self.rooms.signing.release() {
            // Asked now, and without the lock: it may take seconds to be away.
            ReleaseSigner::Process(signer) => Some((signer.place(), signer.about())),
            _ => None,
        };
        let mut state = self.state();
        if let Some((_, Ok(about))) = &signer {
            state.jobs.signer.get_or_insert_default().about = Some(about.clone());
        }
        let root = state.model.root.as_ref();
        let document = root.map(TrustedRoot::document);
        let is_valid =
            |find: fn(&TrustedRoot, &module_package::KeyId) -> Result<PublicKey, SealError>| {
                move |key: &PublicKey| root.is_some_and(|root| find(root, &key.id()).is_ok())
            };
        let as_release = is_valid(TrustedRoot::find_release_key);
        let as_assign = is_valid(TrustedRoot::find_assign_key);
        let listed = |keys: Option<&Vec<PublicKey>>, valid: &dyn Fn(&PublicKey) -> bool| {
            let keys = keys.map(Vec::as_slice).unwrap_or_default();
            keys.iter().map(|key| to_trust_key(key, valid(key))).collect::<Vec<_>>()
        };
        let own_release_keys = match (self.rooms.signing.release(), &signer) {
            (ReleaseSigner::InProcess(keys), _) => keys.public_keys(),
            (_, Some((_, Ok(about)))) => vec![about.release_key],
            _ => vec![],
        };
        let TrustRules { developers, require_developer_signature } = &self.rooms.trust;
        Trust {
            summary: self.trust_summary(&state),
            not_after_ms: document.and_then(|d| d.not_after_ms),
            root_keys: listed(document.map(|d| &d.root_keys), &|_| true),
            release_keys: listed(document.map(|d| &d.release_keys), &as_release),
            assign_keys: listed(document.map(|d| &d.assign_keys), &as_assign),
            revoked: document
                .map(|d| d.revoked.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            floors: document
                .map(|d| {
                    let floors = d.floors.iter();
                    let to_floor = |f: &module_package::Floor| TrustFloor {
                        app: f.app.clone(),
                        version_min: f.app_version_min,
                    };
                    floors.map(to_floor).collect()
                })
                .unwrap_or_default(),
            gateway_assign_keys: listed(Some(&self.rooms.signing.assign_public_keys()), &as_assign),
            gateway_release_keys: listed(Some(&own_release_keys), &as_release),
            signer: signer.map(|(socket, about)| SignerStatus {
                socket,
                problem: about.err().map(|e| e.to_string()),
            }),
            require_developer_signature: *require_developer_signature,
            developers: developers
                .iter()
                .map(|developer| TrustDeveloper {
                    name: developer.name.clone(),
                    id: developer.key.id().to_string(),
                    public_key: hex::encode(developer.key.0),
                })
                .collect(),
        }
    }
}

fn to_trust_key(key: &PublicKey, valid: bool) -> TrustKey {
    TrustKey { id: key.id().to_string(), public_key: hex::encode(key.0), valid }
}

fn not_trusted(detail: String) -> AppError {
    AppError::refused(ProblemCode::NotTrusted, detail)
}

/// Says how many signatures of which keys are missing, where that is the reason.
fn refuse_root(newest: Option<&TrustedRoot>, sealed: &[u8], error: &DocumentError) -> AppError {
    let draft = match (error, RootDraft::read(sealed)) {
        (DocumentError::Seal(SealError::BelowThreshold { .. }), Ok(draft)) => draft,
        _ => return not_trusted(format!("The root document is not accepted: {error}.")),
    };
    let next = draft.document();
    let mut missing = Vec::new();
    let newest = newest.map(TrustedRoot::document);
    for root in newest.into_iter().chain([next]) {
        let signed = draft.signed_by(&root.root_keys);
        let threshold = root.threshold as usize;
        if signed.len() < threshold {
            let open = root.root_keys.iter().filter(|key| !signed.contains(key));
            let open: Vec<String> = open.map(|key| key.id().to_string()[..12].to_owned()).collect();
            missing.push(format!(
                "version {} needs {threshold} signatures of its {} root keys and has {}; {} have not signed",
                root.root_version,
                root.root_keys.len(),
                signed.len(),
                open.join(", ")
            ));
        }
    }
    not_trusted(format!(
        "The root document is not accepted: {}. Have it signed with `farrier root sign`.",
        missing.join("; and ")
    ))
}
