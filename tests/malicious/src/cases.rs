//! What an attack is, and how it has to end.

use crate::device::Program;
use aot_compiler::{CompileOptions, Metering};
use device_protocol::{AppReport, AppState, RefusalCode};
use harness::DeviceClass;
use module_limits::{Limit, LimitAction, LimitActions};
use module_package::ReleaseLimits;
use target_spec::{BoundsChecks, Registry};

pub struct Case {
    pub name: String,
    pub text: String,
    pub is_metered: bool,
    pub limits: ReleaseLimits,
    pub interval_ms: u32,
    pub end: End,
}

/// How an attack has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Stopped with this refusal, until the next deployment.
    Stopped(RefusalCode),
    /// It reaches this limit and is held by it.
    Reaches(Limit),
    /// It traps, and a fresh instance follows.
    Traps,
    /// It goes on, and got no more memory than its limit.
    Held,
    /// It goes on, and what it sent was dropped.
    Dropped,
    /// It does not become machine code.
    NotCompiled,
}

impl Case {
    pub fn new(name: &str, text: impl Into<String>, end: End) -> Self {
        let (name, text) = (name.to_owned(), text.into());
        let (is_metered, limits, interval_ms) = (false, limits(), 10);
        Self { name, text, is_metered, limits, interval_ms, end }
    }

    pub fn metered(self) -> Self {
        Self { is_metered: true, ..self }
    }

    pub fn limit(mut self, change: impl FnOnce(&mut ReleaseLimits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub fn on(self, limit: Limit, action: LimitAction) -> Self {
        self.limit(|limits| {
            let mut actions: LimitActions = limits.actions.unwrap_or_default();
            actions.ask(limit, action);
            limits.actions = Some(actions);
        })
    }

    pub fn program(&self, class: DeviceClass) -> anyhow::Result<Program> {
        Ok(Program {
            name: self.name.clone(),
            aot: compile(&self.text, self.is_metered, class)?,
            class,
            is_metered: self.is_metered,
            limits: self.limits,
            interval_ms: self.interval_ms,
            is_shared: false,
            scheduling: None,
        })
    }
}

impl End {
    /// Whether a report shows it.
    pub fn is_shown(self, report: &AppReport, limits: &ReleaseLimits) -> bool {
        let runs = report.state == AppState::Running;
        match self {
            Self::Stopped(code) => {
                let is_off = matches!(report.state, AppState::Refused | AppState::StoppedTimeLimit);
                is_off && report.refusal == Some(code)
            }
            Self::Reaches(limit) => report.limits.is_some_and(|hits| hits.of(limit) > 0),
            Self::Traps => report.traps > 0,
            Self::Held => {
                let is_held = report.memory_peak_bytes <= limits.memory_bytes_max;
                runs && is_held && report.calls > 1 && report.traps == 0
            }
            Self::Dropped => runs && report.publishes_dropped + report.log_lines_dropped > 0,
            Self::NotCompiled => false,
        }
    }
}

pub fn limits() -> ReleaseLimits {
    ReleaseLimits {
        memory_bytes_max: 4 * 65_536,
        stack_bytes: 64 * 1024,
        call_ms_max: 100,
        log_lines_per_s_max: 20,
        publishes_per_s_max: 100,
        ..ReleaseLimits::default()
    }
}

pub fn compile(text: &str, is_metered: bool, class: DeviceClass) -> anyhow::Result<Vec<u8>> {
    let wasm = wat::parse_str(text)?;
    let target = Registry::built_in().find(class.target)?;
    let bounds_checks: BoundsChecks = class.bounds_checks.parse()?;
    let metering = if is_metered { Metering::Gas } else { Metering::None };
    let options = CompileOptions { metering, ..CompileOptions::new(bounds_checks) };
    Ok(aot_compiler::compile(&wasm, target, &options)?.aot)
}
