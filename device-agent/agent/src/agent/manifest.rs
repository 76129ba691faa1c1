//! Taking a manifest: the checks in their order, and nothing persisted until all
//! of them hold.
//!
//! Length, COSE, key, signature, domain, device and expiry are checked by
//! `open_manifest`, the generation by `order_manifest`. Then it is persisted, and
//! only then acted on; what is said of a single application (its target, its
//! floor, its sensors) is checked when its release is opened.

use super::Agent;
use crate::Moment;
use crate::install::Input;
use crate::refusal::Refusal;
use crate::state::Progress;
use device_protocol::{LogLine, RefusalCode, Refused};
use module_package::{
    Accepted, AppEntry, DocumentError, Manifest, ManifestId, Order, open_manifest, order_manifest,
};

impl Agent {
    pub(super) fn take_manifest(&mut self, sealed: Vec<u8>, now: Moment) {
        if sealed.is_empty() {
            // The broker was told to forget the retained one: no statement of anyone.
            return;
        }
        let parts = &self.parts;
        let now_ms = self.clock.at_least_ms(now, (parts.wall_clock_ms)());
        let opened = open_manifest(&sealed, &parts.enrolment.root, &parts.enrolment.device, now_ms);
        let (manifest, id) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if matches!(error, DocumentError::Expired { .. }) {
                    self.clock.doubt();
                }
                return self.refuse(Refusal::from(&error), None, now);
            }
        };
        if let Err(refusal) = self.check_root(&manifest, now_ms) {
            // Without its number: the gateway sends it again until the root is there.
            return self.refuse(refusal, None, now);
        }
        let accepted = self.progress.accepted.as_ref().map(|(accepted, _)| accepted);
        match order_manifest(accepted, &manifest, id) {
            Err(refusal) => self.refuse(Refusal::from(&refusal), Some(manifest.seq), now),
            Ok(Order::Repeat) => {
                // The broker has the good manifest again. A refusal that no report
                // has told of yet is kept for the next one.
                if self.refused_is_told {
                    self.refused = None;
                }
                self.pace.note_change(now);
            }
            Ok(Order::Newer) => self.accept(manifest, id, sealed, now),
        }
    }

    /// The epoch is the root document's: whoever has stolen an assign key cannot take
    /// the device to an epoch from which the gateway could never lead it back.
    fn check_root(&self, manifest: &Manifest, now_ms: Option<u64>) -> Result<(), Refusal> {
        let root = self.parts.enrolment.root.document();
        if manifest.epoch != root.epoch {
            let code = match manifest.epoch > root.epoch {
                true => RefusalCode::Inconsistent,
                false => RefusalCode::Rollback,
            };
            let (epoch, of_root) = (manifest.epoch, root.epoch);
            let detail =
                format!("the manifest is of epoch {epoch}, the root document of {of_root}");
            return Err(Refusal::new(code, detail));
        }
        match (now_ms, root.not_after_ms) {
            (Some(now_ms), Some(not_after_ms)) if now_ms > not_after_ms => {
                let detail = format!("the root document ended at {not_after_ms} ms since 1970");
                Err(Refusal::new(RefusalCode::Expired, detail))
            }
            _ => Ok(()),
        }
    }

    fn accept(&mut self, manifest: Manifest, id: ManifestId, sealed: Vec<u8>, now: Moment) {
        let Manifest { epoch, seq, apps, issued_at_ms, .. } = manifest;
        let accepted = Accepted { epoch, seq, manifest: id };
        let installed = self.progress.installed.clone();
        let progress = Progress { accepted: Some((accepted, sealed)), installed };
        if let Err(error) = self.parts.state.set_progress(&progress) {
            let refusal = Refusal::new(RefusalCode::Storage, error);
            return self.refuse(refusal, Some(seq), now);
        }
        tracing::info!(
            device.id = %self.parts.enrolment.device,
            generation = seq,
            apps = apps.len(),
            "accepted a manifest"
        );
        self.progress = progress;
        self.clock.note_signed_time(issued_at_ms);
        self.freeze_watch.note_made(issued_at_ms);
        self.keep_time();
        self.freeze_watch.note_held(self.held(), now);
        self.refused = None;
        self.tell_changes(&apps, seq);
        self.desired = apps;
        self.forget_left_storage(now);
        self.counters.keep_only(|app| self.desired.iter().any(|entry| entry.app == app));
        if self.installer.is_some() {
            self.act(Input::Desired(self.desired.clone()), now);
        }
        self.pace.note_change(now);
    }

    /// A line for each deployment that this manifest brings, or takes away.
    fn tell_changes(&self, apps: &[AppEntry], seq: u64) {
        let device = &self.parts.enrolment.device;
        for entry in apps.iter().filter(|entry| !self.desired.contains(entry)) {
            tracing::info!(
                device.id = %device,
                generation = seq,
                deployment.id = entry.deployment_id(),
                app = entry.app,
                release.id = %entry.release,
                run = entry.run,
                "a deployment to carry out"
            );
        }
        let is_gone = |old: &&AppEntry| apps.iter().all(|entry| entry.app != old.app);
        for old in self.desired.iter().filter(is_gone) {
            let id = old.deployment_id();
            tracing::info!(device.id = %device, generation = seq, deployment.id = id, app = old.app, "to remove");
        }
    }

    /// After a start: the accepted manifest is the desired state, also before
    /// there is a connection. It is verified as if it had just come.
    pub(super) fn reopen_manifest(&mut self) {
        let Some((accepted, sealed)) = &self.progress.accepted else { return };
        let enrolment = &self.parts.enrolment;
        match open_manifest(sealed, &enrolment.root, &enrolment.device, None) {
            Ok((manifest, id)) if id == accepted.manifest => {
                self.freeze_watch.note_made(manifest.issued_at_ms);
                self.desired = manifest.apps;
                self.forget_left_storage(Moment::ZERO);
            }
            Ok(_) => tracing::error!("the stored manifest is not the accepted one; nothing runs"),
            Err(error) => {
                tracing::error!(
                    "the stored manifest is not valid any more: {error}; the last good set runs"
                );
                let proven = &self.progress.installed.proven;
                self.desired = proven.iter().map(|proven| proven.entry.clone()).collect();
            }
        }
    }

    /// Keeps the refusal for the reports, and says so in the log unless it is one of
    /// very many.
    pub(super) fn refuse(&mut self, refusal: Refusal, seq: Option<u64>, now: Moment) {
        if let Some(left_out) = self.refusal_log.take(now) {
            let text = match left_out {
                0 => refusal.to_string(),
                _ => format!("{refusal}; {left_out} refusals before it are not in the log"),
            };
            tracing::warn!(device.id = %self.parts.enrolment.device, generation = seq, "{text}");
            self.log_own("warn", text, now);
        }
        let Refusal { code, detail } = refusal;
        self.refused_is_told = false;
        match &mut self.refused {
            Some(refused) if refused.code == code && refused.detail == detail => {
                refused.count += 1;
            }
            refused => *refused = Some(Refused { code, detail, count: 1, seq }),
        }
        self.pace.note_change(now);
    }

    /// A line of the agent itself, for `farrier logs`.
    pub(super) fn log_own(&mut self, level: &str, text: String, now: Moment) {
        let (app, level, time_ms) = (String::new(), level.into(), (self.parts.wall_clock_ms)());
        self.outbox.add_line(LogLine { app, level, text, time_ms }, now);
    }
}
