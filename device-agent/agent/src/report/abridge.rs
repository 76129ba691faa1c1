//! What of a report need not be said again.
//!
//! A report every few seconds would repeat hashes and names that stand still for weeks.
//! So a full one goes out at connect, after a change and once a minute, and the ones in
//! between are brief: the gateway puts into them what the last full one said. A full one
//! that is lost costs a minute in which the old state is shown for what stands still;
//! states and counters that move are in each report.

use crate::Moment;
use device_protocol::{AppReport, GuestReport, Report};
use std::time::Duration;

const FULL_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Abridger {
    full: Option<(Moment, Report)>,
}

impl Abridger {
    /// What was sent left out what modules did through the guest API, for want of room.
    pub fn forget_guests(&mut self) {
        if let Some((_, full)) = &mut self.full {
            full.apps.iter_mut().for_each(|app| app.guest = None);
        }
    }

    /// The next report is a full one, whoever gets it.
    pub fn begin_anew(&mut self) {
        self.full = None;
    }

    pub fn abridge(&mut self, report: &mut Report, now: Moment) {
        match &self.full {
            Some((at, full)) if now < *at + FULL_EVERY && stands_still(full, report) => {
                report.brief = Some(true);
                (report.builds, report.scheduling) = (None, None);
                for (app, told) in report.apps.iter_mut().zip(&full.apps) {
                    shorten(app, told);
                }
            }
            _ => self.full = Some((now, report.clone())),
        }
    }
}

/// Whether all that a brief report leaves out is as it was.
fn stands_still(full: &Report, report: &Report) -> bool {
    full.builds == report.builds
        && full.scheduling == report.scheduling
        && full.apps.len() == report.apps.len()
        && full.apps.iter().zip(&report.apps).all(|(told, app)| is_same(told, app))
}

fn is_same(told: &AppReport, app: &AppReport) -> bool {
    told.app == app.app
        && told.release == app.release
        && told.module == app.module
        && told.artifact == app.artifact
        && told.confinement == app.confinement
        && told.scheduling == app.scheduling
}

fn shorten(app: &mut AppReport, told: &AppReport) {
    (app.module, app.artifact, app.confinement) = (None, None, None);
    app.scheduling = None;
    let Some(GuestReport { host_calls, .. }) = &mut app.guest else { return };
    let told = told.guest.as_ref().map(|guest| guest.host_calls.as_slice()).unwrap_or_default();
    host_calls.retain(|call| !told.contains(call));
}
