//! How a module wants to be scheduled, what a device's owner allows, and what is in force.
//!
//! One table for all who speak of it: the application file asks, the deployment and the
//! signed manifest carry it, the gateway and the agent compare it with what the device
//! allows, the report tells what the kernel gave. `docs/real-time.md` says it for people;
//! the two change together. Nothing here asks a kernel.

mod allowance;
mod ticks;

pub use allowance::{Allowance, Excess, Utilization};
pub use ticks::{Spread, TickReport, TickWindow};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The classes' names in manifests and application files.
pub const BEST_EFFORT: &str = "best-effort";
pub const REAL_TIME: &str = "real-time";

/// Above the highest is the worker's own watchdog, which has to be able to end it.
pub const PRIORITY: RangeInclusive<u8> = 1..=98;
pub const PRIORITY_DEFAULT: u8 = 10;

/// What a best-effort module may weigh against others; 100 is the usual.
pub const CPU_WEIGHT: RangeInclusive<u16> = 1..=10_000;
pub const CPU_WEIGHT_USUAL: u16 = 100;

/// Most processors that one module names, and the highest number of one.
pub const CPUS_MAX: usize = 64;
pub const CPU_NUMBER_MAX: u16 = 1_023;

/// Linux refuses less than 1,024 ns of run time.
pub const RUNTIME_US_MIN: u32 = 2;
/// What Linux allows a SCHED_DEADLINE period to be unless its sysctls say otherwise.
pub const PERIOD_US: RangeInclusive<u32> = 100..=4_194_304;

/// Shortest interval of a real-time module's ticks, and of any other.
pub const REAL_TIME_INTERVAL_MS_MIN: u32 = 1;
pub const INTERVAL_MS_MIN: u32 = 10;

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// SCHED_FIFO: it runs before all that has a lower priority, until it waits.
    #[n(0)]
    Fifo,
    /// SCHED_DEADLINE: it gets its run time in each period, before its deadline, and no
    /// more.
    #[n(1)]
    Deadline,
}

impl Policy {
    pub const ALL: [Policy; 2] = [Policy::Fifo, Policy::Deadline];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Deadline => "deadline",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        named.ok_or_else(|| format!("there is no policy {text:?}; there are fifo and deadline"))
    }
}

/// The real-time class of one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct RealTime {
    #[n(0)]
    pub policy: Policy,
    /// Processor time of one period at most.
    #[n(1)]
    pub runtime_us: u32,
    /// From the moment when a tick is due to the moment when it has to be over; the
    /// period where it is not given.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_us: Option<u32>,
    /// Of `deadline` only: how often it gets its run time; the interval of its ticks
    /// where it is not given.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_us: Option<u32>,
    /// Of `fifo` only.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

/// What a module asks for beside the usual. Best-effort where `real_time` is not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(map)]
#[serde(default, deny_unknown_fields)]
pub struct Scheduling {
    #[n(0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real_time: Option<RealTime>,
    /// The only processors that it runs on, in ascending order; any where there are none.
    #[cbor(n(1), skip_if = "Vec::is_empty")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    /// Of a best-effort module, against others.
    #[n(2)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_weight: Option<u16>,
}

impl RealTime {
    pub fn period_us(&self, interval_ms: u32) -> u32 {
        self.period_us.unwrap_or(interval_ms.saturating_mul(1_000))
    }

    pub fn deadline_us(&self, interval_ms: u32) -> u32 {
        self.deadline_us.unwrap_or(self.period_us(interval_ms))
    }

    pub fn priority(&self) -> u8 {
        self.priority.unwrap_or(PRIORITY_DEFAULT)
    }

    /// The part of a processor that it may take, in millionths, rounded up.
    pub fn utilization_ppm(&self, interval_ms: u32) -> u64 {
        let period_us = u64::from(self.period_us(interval_ms)).max(1);
        (u64::from(self.runtime_us) * 1_000_000).div_ceil(period_us)
    }

    fn check(&self, interval_ms: u32) -> Result<(), (Field, String)> {
        let interval_us = interval_ms.saturating_mul(1_000);
        let Self { policy, runtime_us, .. } = *self;
        let (period_us, deadline_us) = (self.period_us(interval_ms), self.deadline_us(interval_ms));
        match policy {
            Policy::Fifo if self.period_us.is_some() => {
                let what = "period_us belongs to the policy deadline; with fifo the period is \
                            the interval of the ticks, so leave it out";
                return Err((Field::Period, what.to_owned()));
            }
            Policy::Deadline if self.priority.is_some() => {
                let what = "priority belongs to the policy fifo; with deadline the kernel goes by \
                            the deadlines, so leave it out";
                return Err((Field::Priority, what.to_owned()));
            }
            Policy::Deadline if !PERIOD_US.contains(&period_us) => {
                let what = format!(
                    "the period is {period_us} us, and Linux takes {} to {} for the policy \
                     deadline; give another period_us",
                    PERIOD_US.start(),
                    PERIOD_US.end()
                );
                return Err((Field::Period, what));
            }
            _ => {}
        }
        if !PRIORITY.contains(&self.priority()) {
            let what = format!(
                "priority is {}; it has to be {} to {}",
                self.priority(),
                PRIORITY.start(),
                PRIORITY.end()
            );
            return Err((Field::Priority, what));
        }
        if period_us > interval_us {
            let what = format!(
                "period_us is {period_us}, longer than the interval of the ticks, {interval_us} \
                 us: some ticks would get no run time of their own"
            );
            return Err((Field::Period, what));
        }
        if deadline_us > period_us {
            let what = format!(
                "deadline_us is {deadline_us}, longer than the period, {period_us} us: a tick has \
                 to be over before the next is due"
            );
            return Err((Field::Deadline, what));
        }
        if !(RUNTIME_US_MIN..=deadline_us).contains(&runtime_us) {
            let what = format!(
                "runtime_us is {runtime_us}; it has to be {RUNTIME_US_MIN} to the deadline, \
                 {deadline_us} us"
            );
            return Err((Field::Runtime, what));
        }
        Ok(())
    }
}

/// Which field of a [`Scheduling`] is wrong, for whoever knows where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Runtime,
    Deadline,
    Period,
    Priority,
    Cpus,
    CpuWeight,
}

impl Scheduling {
    /// `None` for the usual, so that it takes no room.
    pub fn non_usual(self) -> Option<Self> {
        (!self.is_usual()).then_some(self)
    }

    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    pub fn class(&self) -> &'static str {
        if self.real_time.is_some() { REAL_TIME } else { BEST_EFFORT }
    }

    /// The first thing that no device could carry out.
    pub fn check(&self, interval_ms: u32) -> Result<(), (Field, String)> {
        let Self { real_time, cpus, cpu_weight } = self;
        if let Some(real_time) = real_time {
            real_time.check(interval_ms)?;
        }
        check_cpus(cpus).map_err(|what| (Field::Cpus, what))?;
        let is_deadline = |real_time: &RealTime| real_time.policy == Policy::Deadline;
        if !cpus.is_empty() && real_time.as_ref().is_some_and(is_deadline) {
            let what = "cpus do not go with the policy deadline: Linux moves such a module between \
                        all processors to keep its deadlines. Leave them out, or take fifo";
            return Err((Field::Cpus, what.to_owned()));
        }
        let Some(weight) = *cpu_weight else { return Ok(()) };
        let what = match real_time {
            Some(_) => "cpu_weight is of best-effort modules among each other; a real-time one \
                        goes before them all, so leave it out"
                .to_owned(),
            None if CPU_WEIGHT.contains(&weight) => return Ok(()),
            None => format!(
                "cpu_weight is {weight}; it has to be {} to {}, and {CPU_WEIGHT_USUAL} is the usual",
                CPU_WEIGHT.start(),
                CPU_WEIGHT.end()
            ),
        };
        Err((Field::CpuWeight, what))
    }

    /// In words, such as `fifo 10, 300 us of 10000 us`; what is usual is not said.
    pub fn words(&self, interval_ms: u32) -> String {
        let mut words = Vec::new();
        if let Some(real_time) = &self.real_time {
            let priority = match real_time.policy {
                Policy::Fifo => format!(" {}", real_time.priority()),
                Policy::Deadline => String::new(),
            };
            words.push(format!(
                "{}{priority}, {} us by {} us of {} us",
                real_time.policy,
                real_time.runtime_us,
                real_time.deadline_us(interval_ms),
                real_time.period_us(interval_ms)
            ));
        }
        if !self.cpus.is_empty() {
            words.push(format!("cpus {}", numbers(&self.cpus)));
        }
        words.extend(self.cpu_weight.map(|weight| format!("weight {weight}")));
        words.join(", ")
    }
}

/// `0, 1, 5`.
pub fn numbers(cpus: &[u16]) -> String {
    cpus.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// Of a module's list, and of an owner's.
pub fn check_cpus(cpus: &[u16]) -> Result<(), String> {
    if cpus.len() > CPUS_MAX {
        return Err(format!("cpus names {} processors; {CPUS_MAX} are the most", cpus.len()));
    }
    if let Some(number) = cpus.iter().find(|number| **number > CPU_NUMBER_MAX) {
        return Err(format!("cpus names {number}; {CPU_NUMBER_MAX} is the highest number"));
    }
    match cpus.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(format!(
            "cpus names {} before {}; list each once, in ascending order",
            pair[0], pair[1]
        )),
        None => Ok(()),
    }
}

/// What the kernel says of a module's thread, read back after it was set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(map)]
#[serde(default)]
pub struct InForce {
    /// `None`: best-effort.
    #[n(0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    #[n(1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    #[n(2)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_us: Option<u32>,
    #[n(3)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_us: Option<u32>,
    #[n(4)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_us: Option<u32>,
    /// Empty for any.
    #[cbor(n(5), skip_if = "Vec::is_empty")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    /// Of its control group.
    #[n(6)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_weight: Option<u16>,
    /// Where there is no control group to carry a weight.
    #[n(7)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i8>,
    /// It never waits, so it gets what others leave.
    #[n(55)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowered: Option<bool>,
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.policy.map_or(BEST_EFFORT, Policy::as_str))?;
        if let Some(priority) = self.priority {
            write!(f, " {priority}")?;
        }
        if let (Some(runtime), Some(deadline), Some(period)) =
            (self.runtime_us, self.deadline_us, self.period_us)
        {
            write!(f, " {runtime} us by {deadline} us of {period} us")?;
        }
        if !self.cpus.is_empty() {
            write!(f, ", cpus {}", numbers(&self.cpus))?;
        }
        if let Some(weight) = self.cpu_weight {
            write!(f, ", weight {weight}")?;
        }
        if let Some(nice) = self.nice {
            write!(f, ", nice {nice}")?;
        }
        match self.lowered {
            Some(true) => f.write_str(", behind all others"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
