//! What follows when the module logs or publishes more than its rates.

use super::Meters;
use crate::rate::Admission;
use module_limits::{Limit, LimitAction};
use wamr::Trap;
use worker_protocol::LogLevel;

impl Meters {
    /// For something that the module itself was admitted or refused.
    pub(super) fn follow(&self, limit: Limit, admission: Admission) -> Result<(), Trap> {
        if admission != Admission::FirstRefused {
            return Ok(());
        }
        let action = self.actions.at(limit);
        let text = format!("{limit}: more in this second than the limit");
        match action {
            LimitAction::Throttle => self.shared.note_hit(limit, action),
            LimitAction::Warn => {
                self.shared.note_hit(limit, action);
                self.warn(text);
            }
            LimitAction::Restart | LimitAction::Stop => {
                self.rates().ended_by = Some(limit);
                return Err(Trap::new(text));
            }
        }
        Ok(())
    }

    /// A line about a limit. There is one a second at most, so it does not count.
    pub fn warn(&self, text: String) {
        self.shared.send_log(LogLevel::Warn, text);
    }

    /// The limit for which a host function ended the last call.
    pub fn take_ended_by(&self) -> Option<Limit> {
        self.rates().ended_by.take()
    }
}
