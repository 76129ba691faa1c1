//! The limits of gas of one module: what a call may use, and what follows from what it
//! did use.

use crate::gas_rate::GasRate;
use module_limits::{Limit, LimitAction, LimitActions};
use std::time::{Duration, Instant};
use target_spec::metering::GAS_LIMIT_MAX;
use wamr::GasLimits;
use worker_protocol::Limits;

#[derive(Debug)]
pub struct GasKeeper {
    per_call_max: Option<u64>,
    rate: Option<GasRate>,
    actions: LimitActions,
    /// Which of the two is the narrower for the present call.
    narrower: Limit,
}

impl GasKeeper {
    pub fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            per_call_max: limits.gas_per_call_max,
            rate: limits.gas_per_s_max.map(|gas| GasRate::new(gas, now)),
            actions: limits.actions(),
            narrower: Limit::GasPerCall,
        }
    }

    /// For the call that begins now. A limit that only warns or throttles lets the call
    /// go on: what follows, follows after it.
    pub fn limits(&mut self, now: Instant) -> GasLimits {
        let ends_call =
            |limit| matches!(self.actions.at(limit), LimitAction::Restart | LimitAction::Stop);
        let per_call = self.per_call_max.filter(|_| ends_call(Limit::GasPerCall));
        let ends_at_rate = ends_call(Limit::GasRate);
        let left = self.rate.as_mut().filter(|_| ends_at_rate).map(|rate| rate.left(now));
        let per_call = per_call.unwrap_or(GAS_LIMIT_MAX);
        let left = left.unwrap_or(GAS_LIMIT_MAX);
        self.narrower = if left < per_call { Limit::GasRate } else { Limit::GasPerCall };
        GasLimits { per_call: per_call.min(left), ..GasLimits::default() }
    }

    /// Which limit a call has reached that ran out of gas.
    pub fn reached(&self) -> Limit {
        self.narrower
    }

    /// In words, for the module's developer.
    pub fn words(&self, limit: Limit) -> String {
        match limit {
            Limit::GasRate => "out of gas: more than its gas of a second".to_owned(),
            _ => {
                let max = self.per_call_max.unwrap_or(GAS_LIMIT_MAX);
                format!("out of gas: more than {max} in one call")
            }
        }
    }

    /// Takes what a call has used. What it reached of the limits that let it go on.
    pub fn settle(&mut self, used: u64, now: Instant) -> Vec<(Limit, LimitAction)> {
        let mut reached = Vec::new();
        let (at_call, at_rate) =
            (self.actions.at(Limit::GasPerCall), self.actions.at(Limit::GasRate));
        if at_call == LimitAction::Warn && self.per_call_max.is_some_and(|max| used > max) {
            reached.push((Limit::GasPerCall, at_call));
        }
        if let Some(rate) = &mut self.rate
            && rate.take(used, now)
        {
            match at_rate {
                LimitAction::Throttle => reached.push((Limit::GasRate, at_rate)),
                LimitAction::Warn => {
                    rate.forgive();
                    reached.push((Limit::GasRate, at_rate));
                }
                // The call was ended, and that was told.
                LimitAction::Restart | LimitAction::Stop => {}
            }
        }
        reached
    }

    /// How long the module has to wait for its next call.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        if self.actions.at(Limit::GasRate) != LimitAction::Throttle {
            return None;
        }
        self.rate.as_mut()?.wait(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper(asked: &[(Limit, LimitAction)], now: Instant) -> GasKeeper {
        let mut actions = LimitActions::default();
        asked.iter().for_each(|(limit, action)| actions.ask(*limit, *action));
        let (gas_per_call_max, gas_per_s_max) = (Some(100), Some(1_000));
        let actions = Some(actions);
        let limits = Limits { gas_per_call_max, gas_per_s_max, actions, ..Limits::default() };
        GasKeeper::new(&limits, now)
    }

    #[test]
    fn a_call_is_ended_by_the_narrower_of_the_limits_that_end_calls() {
        let now = Instant::now();
        let mut usual = keeper(&[], now);
        assert_eq!(usual.limits(now).per_call, 100);
        assert_eq!(usual.reached(), Limit::GasPerCall);
        let mut stop = keeper(&[(Limit::GasRate, LimitAction::Stop)], now);
        assert_eq!(stop.limits(now).per_call, 100);
        stop.settle(950, now);
        assert_eq!((stop.limits(now).per_call, stop.reached()), (50, Limit::GasRate));
        let mut warn = keeper(&[(Limit::GasPerCall, LimitAction::Warn)], now);
        assert_eq!(warn.limits(now), GasLimits::default());
    }

    #[test]
    fn what_lets_a_call_go_on_follows_after_it() {
        let now = Instant::now();
        let mut usual = keeper(&[], now);
        assert_eq!(usual.settle(1_000, now), []);
        assert_eq!(usual.wait(now), None);
        assert_eq!(usual.settle(500, now), [(Limit::GasRate, LimitAction::Throttle)]);
        assert_eq!(usual.wait(now), Some(Duration::from_millis(500)));
        let warn = LimitAction::Warn;
        let mut warns = keeper(&[(Limit::GasPerCall, warn), (Limit::GasRate, warn)], now);
        assert_eq!(warns.settle(1_001, now), [(Limit::GasPerCall, warn), (Limit::GasRate, warn)]);
        // A warning costs nothing later.
        assert_eq!((warns.wait(now), warns.settle(0, now)), (None, vec![]));
    }
}
