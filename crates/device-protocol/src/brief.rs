//! Brief reports: what stands still is said once a minute and not with each report.

use crate::{AppReport, Report};

impl Report {
    /// Puts into a brief report what the one before it says, itself filled in. Another
    /// start's and another release's figures are left out.
    pub fn fill_in(&mut self, before: &Report) {
        if self.brief != Some(true) || self.boot_id != before.boot_id {
            return;
        }
        self.builds = self.builds.take().or_else(|| before.builds.clone());
        self.scheduling = self.scheduling.take().or_else(|| before.scheduling.clone());
        for app in &mut self.apps {
            let is_it = |told: &&AppReport| told.app == app.app && told.release == app.release;
            if let Some(told) = before.apps.iter().find(is_it) {
                fill_in_app(app, told);
            }
        }
    }
}

fn fill_in_app(app: &mut AppReport, told: &AppReport) {
    app.module = app.module.or(told.module);
    app.artifact = app.artifact.or(told.artifact);
    app.confinement = app.confinement.take().or_else(|| told.confinement.clone());
    app.scheduling = app.scheduling.take().or_else(|| told.scheduling.clone());
    let (Some(guest), Some(told)) = (&mut app.guest, &told.guest) else { return };
    for call in &told.host_calls {
        if !guest.host_calls.iter().any(|newer| newer.number == call.number) {
            guest.host_calls.push(*call);
        }
    }
    guest.host_calls.sort_by_key(|call| call.number);
}
