//! Who may have which class, and giving it.

use super::Agent;
use crate::install::WorkerId;
use crate::refusal::Refusal;
use crate::workers::Wanted;
use ::scheduling::{Excess, Utilization};
use device_protocol::RefusalCode;
use module_package::AppEntry;

impl Agent {
    /// Against the sum of what the manifest asks for up to this application, so that adding
    /// one takes nothing from those before it in the alphabet.
    pub(super) fn check_scheduling(&self, entry: &AppEntry) -> Result<(), Refusal> {
        let of = |entry: &AppEntry| Utilization::of(entry.scheduling.as_ref(), entry.interval_ms);
        let others = self.desired.iter().filter(|other| other.app < entry.app && other.run);
        let in_use = others.map(of).fold(Utilization::default(), Utilization::plus);
        let allowance = &self.parts.config.scheduling;
        let admitted = allowance.admit(entry.scheduling.as_ref(), entry.interval_ms, in_use);
        admitted.map_err(|excess| match excess {
            Excess::NotAllowed(why) => Refusal::new(RefusalCode::SchedulingNotAllowed, why),
            Excess::NoRoom(why) => Refusal::new(RefusalCode::RealTimeFull, why),
        })
    }

    /// Just before its module begins: the version that it replaces has ended by then, and
    /// the kernel does not count both.
    pub(super) fn schedule(
        &mut self,
        worker: WorkerId,
        entry: &AppEntry,
        call_ms_max: u32,
    ) -> Result<(), Refusal> {
        let Some(scheduling) = &entry.scheduling else { return Ok(()) };
        let wanted = Wanted { scheduling, interval_ms: entry.interval_ms, call_ms_max };
        let in_force = self.parts.workers.schedule(worker, wanted)?;
        tracing::info!(worker.id = worker.0, app = entry.app, "scheduled: {in_force}");
        self.in_force.insert(worker, in_force);
        Ok(())
    }
}
