//! What a device's owner allows, and whether what is asked for fits into it.

use crate::{CPU_WEIGHT, PRIORITY, Policy, RealTime, Scheduling, check_cpus, numbers};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Of one processor, over all processors together; more is a typing mistake.
const UTILIZATION_PERCENT_MAX: u16 = 10_000;

/// The table `[scheduling]` of an agent's configuration, and what its report says of it.
/// Nothing is allowed unless it is given.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cbor(map)]
#[serde(default, deny_unknown_fields)]
pub struct Allowance {
    #[cbor(n(0), skip_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// Of all real-time modules together, in percent of one processor.
    #[n(1)]
    pub utilization_percent_max: u16,
    /// Of `fifo`.
    #[n(2)]
    pub priority_max: u8,
    /// Processors that a module may choose by number.
    #[cbor(n(3), skip_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    /// 100 is the usual; 0 for no weights at all.
    #[n(4)]
    pub cpu_weight_max: u16,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            utilization_percent_max: 50,
            priority_max: 50,
            cpus: Vec::new(),
            cpu_weight_max: 0,
        }
    }
}

/// The part of a processor that modules may take, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utilization(pub u64);

impl Utilization {
    pub fn of(scheduling: Option<&Scheduling>, interval_ms: u32) -> Self {
        let real_time = scheduling.and_then(|scheduling| scheduling.real_time.as_ref());
        Self(real_time.map_or(0, |real_time: &RealTime| real_time.utilization_ppm(interval_ms)))
    }

    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::fmt::Display for Utilization {
    /// `12.5 %`, rounded up.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = self.0.div_ceil(1_000);
        write!(f, "{}.{} %", tenths / 10, tenths % 10)
    }
}

/// Why it is not allowed; the two have numbers of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excess {
    /// This module asks for what no module gets here.
    NotAllowed(String),
    /// It would be allowed, beside fewer others.
    NoRoom(String),
}

impl Allowance {
    pub fn check(&self) -> Result<(), String> {
        let Self { policies, utilization_percent_max, priority_max, cpus, cpu_weight_max } = self;
        for (index, policy) in policies.iter().enumerate() {
            if policies[..index].contains(policy) {
                return Err(format!("scheduling.policies names {policy} twice"));
            }
        }
        if *utilization_percent_max > UTILIZATION_PERCENT_MAX {
            return Err(format!(
                "scheduling.utilization_percent_max is {utilization_percent_max}; it is of one \
                 processor, and {UTILIZATION_PERCENT_MAX} is the most"
            ));
        }
        if !PRIORITY.contains(priority_max) {
            return Err(format!(
                "scheduling.priority_max needs {} to {}: above is the worker's own watchdog",
                PRIORITY.start(),
                PRIORITY.end()
            ));
        }
        if cpu_weight_max > CPU_WEIGHT.end() {
            return Err(format!(
                "scheduling.cpu_weight_max is {cpu_weight_max}; the most is {}",
                CPU_WEIGHT.end()
            ));
        }
        check_cpus(cpus).map_err(|what| format!("scheduling.{what}"))
    }

    pub fn is_nothing(&self) -> bool {
        self.policies.is_empty() && self.cpus.is_empty() && self.cpu_weight_max == 0
    }

    /// Whether a module may have this beside others that take `in_use`.
    pub fn admit(
        &self,
        asked: Option<&Scheduling>,
        interval_ms: u32,
        in_use: Utilization,
    ) -> Result<(), Excess> {
        let Some(asked) = asked else { return Ok(()) };
        self.allows(asked).map_err(Excess::NotAllowed)?;
        let own = Utilization::of(Some(asked), interval_ms);
        let max = Utilization(u64::from(self.utilization_percent_max) * 10_000);
        if own == Utilization(0) || own.plus(in_use) <= max {
            return Ok(());
        }
        Err(Excess::NoRoom(format!(
            "{own} of a processor is asked for, {in_use} is in use by other real-time modules, \
             and this device allows {max} (scheduling.utilization_percent_max)"
        )))
    }

    fn allows(&self, asked: &Scheduling) -> Result<(), String> {
        if let Some(real_time) = &asked.real_time {
            let policy = real_time.policy;
            if !self.policies.contains(&policy) {
                let names: Vec<&str> = self.policies.iter().map(|policy| policy.as_str()).collect();
                return Err(format!(
                    "the policy {policy} is asked for, and this device allows [{}] \
                     (scheduling.policies in the agent's configuration)",
                    names.join(", ")
                ));
            }
            if policy == Policy::Fifo && real_time.priority() > self.priority_max {
                return Err(format!(
                    "priority {} is asked for, and this device allows up to {} \
                     (scheduling.priority_max)",
                    real_time.priority(),
                    self.priority_max
                ));
            }
        }
        if let Some(cpu) = asked.cpus.iter().find(|cpu| !self.cpus.contains(cpu)) {
            return Err(format!(
                "processor {cpu} is asked for, and this device allows [{}] (scheduling.cpus)",
                numbers(&self.cpus)
            ));
        }
        match asked.cpu_weight {
            Some(weight) if weight > self.cpu_weight_max => Err(format!(
                "a weight of {weight} is asked for, and this device allows up to {} \
                 (scheduling.cpu_weight_max)",
                self.cpu_weight_max
            )),
            _ => Ok(()),
        }
    }
}
