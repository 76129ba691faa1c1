//! The audit log: what each commit says of itself, and its pages.

use super::{App, AppError};
use crate::store::note::{Note, as_actor};
use crate::store::{Change, StoreError};
use audit_chain::{Head, Position};
use gateway_api::{AuditAction, AuditPage, AuditRecord, AuditSignature, Event};
use module_package::{BlobId, DeviceId};
use std::sync::atomic::Ordering;

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 500;

/// Between two attempts at what waits for space on the disk.
const TAKE_SPACE_MS: u64 = 5_000;

impl App {
    /// What the log says of these changes. A release's signature is in its blob.
    pub(super) fn note_of(&self, changes: &[Change]) -> Note {
        let mut note = Note::of(changes);
        for change in changes {
            if let Change::Release(record) = change
                && let Ok(sealed) = self.rooms.blobs.get(record.release.into())
            {
                let subject = format!("artifact {}", record.artifact);
                note.add_signatures("release", record.release.0, &sealed, &subject);
            }
        }
        note
    }

    /// Remembers whether the disk is full, for every page to say.
    pub(super) fn note_space<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match &result {
            Ok(_) => {
                // Whoever watches reads everything again, the banner's reason with it.
                if self.storage_full.swap(false, Ordering::AcqRel) {
                    self.events.send(Event::Resync);
                }
            }
            Err(error) if error.is_full() => {
                if !self.storage_full.swap(true, Ordering::AcqRel) {
                    self.events.send(Event::Resync);
                    tracing::error!("the disk is full: changes are refused until there is space");
                }
            }
            Err(_) => {}
        }
        result
    }

    pub(super) fn put_blob(&self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        self.note_space(self.rooms.blobs.put(bytes))
    }

    pub fn is_storage_full(&self) -> bool {
        self.storage_full.load(Ordering::Acquire)
    }

    /// While the disk is full: tries whether it still is, and takes up what had to
    /// wait. Nothing was applied that was not written, so there is nothing to undo.
    pub(super) fn try_for_space(&self) {
        let waits = self.is_storage_full() || self.state().waits_for_space;
        if !waits || self.note_space(self.rooms.store.probe()).is_err() {
            return;
        }
        let mut state = self.state();
        let now_ms = self.steady_ms();
        if state.space_taken_ms.is_some_and(|last| now_ms < last + TAKE_SPACE_MS) {
            // There is some, but perhaps too little for a job that has just failed again.
            state.waits_for_space = true;
            return;
        }
        state.space_taken_ms = Some(now_ms);
        tracing::info!("there is space on the disk again");
        if let Err(error) = self.reconcile_all(&mut state) {
            tracing::error!(%error, "what had to wait could not be taken up");
        }
    }

    pub fn audit(&self, after: u64, limit: Option<usize>) -> Result<AuditPage, AppError> {
        let page = self.rooms.store.audit(after, limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX))?;
        Ok(AuditPage {
            first_seq: page.first_seq,
            end: page.end.to_string(),
            records: page.heads.iter().map(|head| to_record(head)).collect(),
        })
    }
}

/// Runs a rule in a device's name.
pub(super) fn as_device<T>(device: &DeviceId, act: impl FnOnce() -> T) -> T {
    as_actor(format!("device {device}"), act)
}

/// One that does not read goes out as it is: the reader's check names it.
fn to_record(bytes: &[u8]) -> AuditRecord {
    let head = Head::from_bytes(bytes).ok();
    let seq = head.as_ref().map_or(0, |head| head.seq);
    let (time_ms, actor, actions, signatures) = head
        .map(|head| (head.time_ms, head.actor, head.actions, head.signatures))
        .unwrap_or_default();
    AuditRecord {
        seq,
        time_ms,
        actor,
        actions: actions
            .into_iter()
            .map(|a| AuditAction { what: a.what, subject: a.subject })
            .collect(),
        signatures: signatures
            .into_iter()
            .map(|s| AuditSignature {
                document: s.document,
                document_hash: hex::encode(s.document_hash),
                key_id: hex::encode(s.key_id),
                subject: s.subject,
            })
            .collect(),
        hash: hex::encode(Position::of(seq, bytes).hash),
        head: hex::encode(bytes),
    }
}
