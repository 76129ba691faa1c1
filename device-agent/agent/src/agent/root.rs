//! Walking from root document to root document, one version at a time.
//!
//! A device that trusts version N reads the topic of N + 1 and nothing else, so none
//! can be skipped. The step is on the disk before it is believed. Afterwards all
//! that runs is looked at again: what is below a floor, or signed by a release key
//! that is revoked now, is stopped and refused; everything else goes on, also where
//! the manifest's own key is no longer valid, until the next manifest comes.

use super::Agent;
use crate::Moment;
use crate::freeze::Held;
use crate::install::{Input, SlotId};
use crate::refusal::Refusal;
use device_protocol::{RefusalCode, Topic};
use module_package::{
    DocumentError, RELEASE_BYTES_MAX, RootId, SealError, TrustedRoot, open_release,
};

impl Agent {
    pub(super) fn root_version(&self) -> u32 {
        self.parts.enrolment.root.document().root_version
    }

    pub(super) fn held(&self) -> Held {
        let accepted = self.progress.accepted.as_ref().map(|(accepted, _)| accepted);
        let (epoch, seq) = accepted.map_or((0, 0), |accepted| (accepted.epoch, accepted.seq));
        Held { epoch, seq, root_version: self.root_version() }
    }

    /// Asks for the next root document; the broker answers at once if there is one.
    pub(super) fn subscribe_root(&mut self) {
        // There is no version after the last number.
        let Some(next) = self.root_version().checked_add(1) else { return };
        if let Some(broker) = &mut self.broker {
            broker.subscribe(&Topic::Root(next));
        }
    }

    pub(super) fn take_root(&mut self, version: u32, sealed: &[u8], now: Moment) {
        let trusted = &self.parts.enrolment.root;
        if sealed.is_empty() || RootId::of(sealed) == trusted.id() {
            return;
        }
        let present = trusted.document().root_version;
        if present.checked_add(1) != Some(version) {
            let detail = format!("root {version} was offered to a device that trusts {present}");
            return self.refuse(Refusal::new(RefusalCode::RootRefused, detail), None, now);
        }
        match trusted.step(sealed) {
            Ok(next) => self.step_root(next, sealed, now),
            Err(error) => {
                let detail = format!("root {version}: {error}");
                self.refuse(Refusal::new(RefusalCode::RootRefused, detail), None, now);
            }
        }
    }

    fn step_root(&mut self, next: TrustedRoot, sealed: &[u8], now: Moment) {
        let before = self.root_version();
        let mut enrolment = self.parts.enrolment.clone();
        enrolment.root = next;
        enrolment.sealed_root = sealed.to_vec();
        if let Err(error) = self.parts.state.set_enrolment(&enrolment) {
            return self.refuse(Refusal::new(RefusalCode::Storage, error), None, now);
        }
        self.parts.enrolment = enrolment;
        let version = self.root_version();
        tracing::info!(device.id = %self.parts.enrolment.device, root.version = version, "a new root document");
        self.log_own("info", format!("this device trusts root document {version} now"), now);
        self.refused.take_if(|refused| refused.code == RefusalCode::RootRefused);
        if let Some(broker) = &mut self.broker {
            broker.unsubscribe(&Topic::Root(before.saturating_add(1)));
        }
        self.subscribe_root();
        self.ask_for_manifest();
        for (slot, refusal) in self.withdrawn() {
            self.refuse(refusal.clone(), None, now);
            self.act(Input::Withdrawn(slot, refusal), now);
        }
        // What was refused for its key may be good now.
        self.act(Input::Desired(self.desired.clone()), now);
        self.freeze_watch.note_held(self.held(), now);
        self.pace.note_change(now);
    }

    /// What is here and may not run under the present root document.
    fn withdrawn(&mut self) -> Vec<(SlotId, Refusal)> {
        let Some(installer) = &self.installer else { return Vec::new() };
        let slots = installer.apps().flat_map(|(_, app)| app.slots());
        let opened = slots.filter(|slot| slot.release.is_some());
        let opened: Vec<_> = opened.map(|slot| (slot.id, slot.entry.release)).collect();
        let mut withdrawn = Vec::new();
        for (slot, release) in opened {
            let stored = self.parts.store.read(&release.into(), RELEASE_BYTES_MAX as u64);
            // A damaged one is not loaded again without being fetched and judged anew.
            let Ok(Some(sealed)) = stored else { continue };
            let judged = open_release(&sealed, release, &self.parts.enrolment.root);
            if let Err(
                error @ (DocumentError::BelowFloor { .. }
                | DocumentError::Seal(SealError::RevokedKey(_))),
            ) = judged
            {
                withdrawn.push((slot, Refusal::from(&error)));
            }
        }
        withdrawn
    }

    /// A new subscription brings the retained manifest again.
    pub(super) fn ask_for_manifest(&mut self) {
        let topic = Topic::Manifest(self.parts.enrolment.device.clone());
        if let Some(broker) = &mut self.broker {
            broker.subscribe(&topic);
        }
    }
}
