//! What happens when a module reaches one of its limits: the limits that have a
//! choice, the choices of each, and how often they were reached.
//!
//! One table for all who speak of it: the deployment asks (`gateway-api`), the signed
//! release carries it (`module-package`), the worker does it (`worker-protocol`), the
//! report tells of it (`device-protocol`). `docs/limits.md` says it for people; the two
//! change together. The limits' own figures are in those formats.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Linear memory where nobody says how much and the module has no maximum of its own.
const MEMORY_BYTES_DEFAULT: u64 = 16 << 20;

/// The most that 32-bit addresses reach.
pub const MEMORY_BYTES_MAX: u64 = 1 << 32;

/// The usual limit for a module that starts with so much. One that starts with more than
/// is usual, such as a C program that Zig gave a stack of 16 MiB, gets that above its
/// start: a program that cannot grow has no heap.
pub fn memory_bytes_default(start_bytes: u64) -> u64 {
    let above = if start_bytes > MEMORY_BYTES_DEFAULT { start_bytes } else { 0 };
    above.saturating_add(MEMORY_BYTES_DEFAULT).min(MEMORY_BYTES_MAX)
}

/// A limit that leaves a choice of what follows. Memory and stack leave none: growing
/// beyond the first fails as the module sees it, and beyond the second is a trap.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Gas of one call.
    #[n(0)]
    GasPerCall,
    /// Gas on the average of a second.
    #[n(1)]
    GasRate,
    /// Wall time of one call.
    #[n(2)]
    CallTime,
    /// Log lines in a second.
    #[n(3)]
    LogRate,
    /// Published messages in a second.
    #[n(4)]
    MessageRate,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum LimitAction {
    /// It is counted and said in the module's log, once a second at most.
    #[n(0)]
    Warn,
    /// The module gets less: it is called later, or what it sends is refused.
    #[n(1)]
    Throttle,
    /// The call is ended, and a fresh instance takes the module's place after a delay.
    #[n(2)]
    Restart,
    /// The call is ended, and the module is not called again before its next deployment.
    #[n(3)]
    Stop,
}

use Limit::{CallTime, GasPerCall, GasRate, LogRate, MessageRate};
use LimitAction::{Restart, Stop, Throttle, Warn};

impl Limit {
    pub const ALL: [Limit; 5] = [GasPerCall, GasRate, CallTime, LogRate, MessageRate];

    pub fn as_str(self) -> &'static str {
        match self {
            GasPerCall => "gas-per-call",
            GasRate => "gas-rate",
            CallTime => "call-time",
            LogRate => "log-rate",
            MessageRate => "message-rate",
        }
    }

    /// The first is what happens where nothing is asked for.
    pub fn actions(self) -> &'static [LimitAction] {
        match self {
            // A call cannot be made slower. Only counted, it goes on to its time limit.
            GasPerCall => &[Restart, Warn, Stop],
            GasRate => &[Throttle, Warn, Restart, Stop],
            // A call that nobody ends would hold its worker for ever.
            CallTime => &[Stop, Restart],
            // What is too much never goes out, whatever follows: it would be the
            // neighbours' share of the connection.
            LogRate | MessageRate => &[Throttle, Warn, Restart, Stop],
        }
    }
}

impl LimitAction {
    pub const ALL: [LimitAction; 4] = [Warn, Throttle, Restart, Stop];

    pub fn as_str(self) -> &'static str {
        match self {
            Warn => "warn",
            Throttle => "throttle",
            Restart => "restart",
            Stop => "stop",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for LimitAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("{0:?} is no limit with an action; there are {list}", list = list(&Limit::ALL))]
    UnknownLimit(String),
    #[error("{0:?} is no action; there are {list}", list = list(&LimitAction::ALL))]
    UnknownAction(String),
    #[error("{limit} cannot {action}; it can {list}", list = list(limit.actions()))]
    NotAllowed { limit: Limit, action: LimitAction },
}

fn list(names: &[impl fmt::Display]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let found = Self::ALL.into_iter().find(|limit| limit.as_str() == text);
        found.ok_or_else(|| LimitError::UnknownLimit(text.chars().take(64).collect()))
    }
}

impl FromStr for LimitAction {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == text);
        found.ok_or_else(|| LimitError::UnknownAction(text.chars().take(64).collect()))
    }
}

/// What is asked for at each limit; `None` is the first of [`Limit::actions`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(map)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitActions {
    #[n(0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas_per_call: Option<LimitAction>,
    #[n(1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas_rate: Option<LimitAction>,
    #[n(2)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_time: Option<LimitAction>,
    #[n(3)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_rate: Option<LimitAction>,
    #[n(4)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_rate: Option<LimitAction>,
}

impl LimitActions {
    /// What happens at this limit.
    pub fn at(&self, limit: Limit) -> LimitAction {
        self.asked(limit).unwrap_or(limit.actions()[0])
    }

    pub fn asked(&self, limit: Limit) -> Option<LimitAction> {
        match limit {
            GasPerCall => self.gas_per_call,
            GasRate => self.gas_rate,
            CallTime => self.call_time,
            LogRate => self.log_rate,
            MessageRate => self.message_rate,
        }
    }

    pub fn ask(&mut self, limit: Limit, action: LimitAction) {
        let place = match limit {
            GasPerCall => &mut self.gas_per_call,
            GasRate => &mut self.gas_rate,
            CallTime => &mut self.call_time,
            LogRate => &mut self.log_rate,
            MessageRate => &mut self.message_rate,
        };
        *place = Some(action);
    }

    /// Whether each limit can do what is asked.
    pub fn check(&self) -> Result<(), LimitError> {
        for limit in Limit::ALL {
            if let Some(action) = self.asked(limit)
                && !limit.actions().contains(&action)
            {
                return Err(LimitError::NotAllowed { limit, action });
            }
        }
        Ok(())
    }
}

/// How often each limit was reached, and what followed the last time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LimitHits {
    #[n(0)]
    pub gas_per_call: u64,
    #[n(1)]
    pub gas_rate: u64,
    #[n(2)]
    pub call_time: u64,
    #[n(3)]
    pub log_rate: u64,
    #[n(4)]
    pub message_rate: u64,
    #[n(5)]
    pub last_limit: Option<Limit>,
    #[n(6)]
    pub last_action: Option<LimitAction>,
}

impl LimitHits {
    pub fn of(&self, limit: Limit) -> u64 {
        match limit {
            GasPerCall => self.gas_per_call,
            GasRate => self.gas_rate,
            CallTime => self.call_time,
            LogRate => self.log_rate,
            MessageRate => self.message_rate,
        }
    }

    fn of_mut(&mut self, limit: Limit) -> &mut u64 {
        match limit {
            GasPerCall => &mut self.gas_per_call,
            GasRate => &mut self.gas_rate,
            CallTime => &mut self.call_time,
            LogRate => &mut self.log_rate,
            MessageRate => &mut self.message_rate,
        }
    }

    pub fn note(&mut self, limit: Limit, action: LimitAction) {
        let count = self.of_mut(limit);
        *count = count.saturating_add(1);
        (self.last_limit, self.last_action) = (Some(limit), Some(action));
    }

    /// Takes in those of another worker; its last is the last of both.
    pub fn add(&mut self, more: &LimitHits) {
        for limit in Limit::ALL {
            let count = self.of_mut(limit);
            *count = count.saturating_add(more.of(limit));
        }
        if more.last_limit.is_some() {
            (self.last_limit, self.last_action) = (more.last_limit, more.last_action);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_default_that_it_allows_and_a_name_that_is_read() {
        for limit in Limit::ALL {
            let actions = LimitActions::default();
            assert!(limit.actions().contains(&actions.at(limit)));
            assert_eq!(limit.as_str().parse(), Ok(limit));
            // What people write in JSON is what they write on the command line.
            assert_eq!(serde_json::to_value(limit).unwrap(), limit.as_str());
        }
        for action in LimitAction::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
        }
    }

    #[test]
    fn an_action_that_a_limit_cannot_take_is_named_with_those_it_can() {
        let mut actions = LimitActions::default();
        actions.ask(CallTime, Restart);
        assert_eq!(actions.check(), Ok(()));
        actions.ask(CallTime, Warn);
        let error = actions.check().unwrap_err().to_string();
        assert_eq!(error, "call-time cannot warn; it can stop, restart");
        let error = "heat".parse::<Limit>().unwrap_err().to_string();
        assert!(error.starts_with("\"heat\" is no limit"), "{error}");
        assert!("melt".parse::<LimitAction>().is_err());
    }

    #[test]
    fn hits_add_up_and_the_last_stays_the_last() {
        let mut hits = LimitHits::default();
        hits.note(GasRate, Throttle);
        hits.note(GasRate, Throttle);
        let mut sum = LimitHits::default();
        sum.note(CallTime, Stop);
        sum.add(&hits);
        assert_eq!((sum.gas_rate, sum.call_time), (2, 1));
        assert_eq!((sum.last_limit, sum.last_action), (Some(GasRate), Some(Throttle)));
        sum.add(&LimitHits::default());
        assert_eq!(sum.last_limit, Some(GasRate));
    }

    /// A device in the field reads and writes these.
    #[test]
    fn the_bytes_are_what_they_have_been() {
        let mut actions = LimitActions::default();
        assert_eq!(minicbor::to_vec(actions).unwrap(), [0xa0]);
        actions.ask(GasPerCall, Stop);
        actions.ask(MessageRate, Warn);
        assert_eq!(minicbor::to_vec(actions).unwrap(), [0xa2, 0, 3, 4, 0]);
        let mut hits = LimitHits::default();
        hits.note(LogRate, Throttle);
        let bytes = [0xa7, 0, 0, 1, 0, 2, 0, 3, 1, 4, 0, 5, 3, 6, 1];
        assert_eq!(minicbor::to_vec(hits).unwrap(), bytes);
        assert_eq!(minicbor::decode::<LimitHits>(&bytes).unwrap(), hits);
    }

    #[test]
    fn a_module_that_starts_with_more_than_is_usual_can_still_grow() {
        let mib = |count: u64| count << 20;
        let of = |start| memory_bytes_default(start);
        assert_eq!((of(0), of(mib(16)), of(mib(17))), (mib(16), mib(16), mib(33)));
        assert_eq!((of(MEMORY_BYTES_MAX), of(u64::MAX)), (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX));
    }
}
