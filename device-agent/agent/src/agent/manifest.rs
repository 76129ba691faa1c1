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
use module_package::{Accepted, Manifest, ManifestId, Order, open_manifest, order_manifest};

impl Agent {
    pub(super) fn take_manifest(&mut self, sealed: Vec<u8>, now: Moment) {
        if sealed.is_empty() {
            // The broker was told to forget the retained one: no statement of anyone.
            return;
        }
        let parts = &self.parts;
        let now_ms = parts.config.clock_trusted.then(parts.wall_clock_ms);
        let opened = open_manifest(&sealed, &parts.enrolment.root, &parts.enrolment.device, now_ms);
        let (manifest, id) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.refuse(Refusal::from(&error), None, now),
        };
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

    fn accept(&mut self, manifest: Manifest, id: ManifestId, sealed: Vec<u8>, now: Moment) {
        let Manifest { epoch, seq, apps, .. } = manifest;
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
        self.refused = None;
        self.desired = apps;
        self.counters.keep_only(|app| self.desired.iter().any(|entry| entry.app == app));
        if self.installer.is_some() {
            self.act(Input::Desired(self.desired.clone()), now);
        }
        self.pace.note_change(now);
    }

    /// After a start: the accepted manifest is the desired state, also before
    /// there is a connection. It is verified as if it had just come.
    pub(super) fn reopen_manifest(&mut self) {
        let Some((accepted, sealed)) = &self.progress.accepted else { return };
        let enrolment = &self.parts.enrolment;
        match open_manifest(sealed, &enrolment.root, &enrolment.device, None) {
            Ok((manifest, id)) if id == accepted.manifest => self.desired = manifest.apps,
            Ok(_) => tracing::error!("the stored manifest is not the accepted one; nothing runs"),
            Err(error) => tracing::error!("the stored manifest is not valid any more: {error}"),
        }
    }

    /// Keeps the refusal for the reports, and says so in the log.
    pub(super) fn refuse(&mut self, refusal: Refusal, seq: Option<u64>, now: Moment) {
        tracing::warn!(device.id = %self.parts.enrolment.device, generation = seq, "{refusal}");
        self.log_own("warn", refusal.to_string(), now);
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
