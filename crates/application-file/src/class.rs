//! Class, processors and weight of a module.

use crate::check::get;
use crate::error::{Errors, excerpt};
use crate::shape;
use scheduling::{
    BEST_EFFORT, Field, INTERVAL_MS_MIN, Policy, REAL_TIME, REAL_TIME_INTERVAL_MS_MIN, RealTime,
    Scheduling,
};
use std::ops::Range;
use toml::Spanned;

/// Of a module that does not give one.
const INTERVAL_MS_DEFAULT: u32 = 1_000;

/// The usual where anything is wrong; then an error was added.
pub fn read(module: &shape::Module, errors: &mut Errors<'_>) -> Scheduling {
    let Ok(real_time) = read_class(module, errors) else { return Scheduling::default() };
    let asked = Scheduling {
        real_time,
        cpus: module.cpus.as_ref().map(|cpus| cpus.get_ref().clone()).unwrap_or_default(),
        cpu_weight: get(module.cpu_weight.as_ref()),
    };
    if let Some(cpus) = module.cpus.as_ref().filter(|cpus| cpus.get_ref().is_empty()) {
        errors.add(&cpus.span(), "the list of processors is empty; leave it out for any");
    }
    let interval_ms = get(module.interval_ms.as_ref()).unwrap_or(INTERVAL_MS_DEFAULT);
    match asked.check(interval_ms) {
        Ok(()) => asked,
        Err((field, what)) => {
            errors.add(&span_of(module, field), what);
            Scheduling::default()
        }
    }
}

pub fn shortest_interval_ms(scheduling: &Scheduling) -> u32 {
    match scheduling.real_time {
        Some(_) => REAL_TIME_INTERVAL_MS_MIN,
        None => INTERVAL_MS_MIN,
    }
}

fn read_class(module: &shape::Module, errors: &mut Errors<'_>) -> Result<Option<RealTime>, ()> {
    let table = module.real_time.as_ref();
    let class = module.class.as_ref().map(|class| (class.get_ref().as_str(), class.span()));
    let (span, what) = match (class, table) {
        (None | Some((BEST_EFFORT, _)), None) => return Ok(None),
        (Some((REAL_TIME, _)), Some(table)) => {
            return read_table(table.get_ref(), errors).map(Some);
        }
        (Some((REAL_TIME, span)), None) => {
            let what = "the class \"real-time\" needs a table [module.real_time] with policy and \
                        runtime_us (docs/real-time.md)";
            (span, what.to_owned())
        }
        (None | Some((BEST_EFFORT, _)), Some(table)) => {
            let what = "the table real_time belongs to class = \"real-time\"; give that too";
            (table.span(), what.to_owned())
        }
        (Some((other, span)), _) => {
            let what = format!(
                "there is no class {:?}; there are \"{BEST_EFFORT}\" and \"{REAL_TIME}\"",
                excerpt(other)
            );
            (span, what)
        }
    };
    errors.add(&span, what);
    Err(())
}

fn read_table(table: &shape::RealTime, errors: &mut Errors<'_>) -> Result<RealTime, ()> {
    let policy: Policy = table.policy.get_ref().parse().map_err(|_| {
        let shown = excerpt(table.policy.get_ref());
        let what = format!("there is no policy {shown:?}; there are \"fifo\" and \"deadline\"");
        errors.add(&table.policy.span(), what);
    })?;
    Ok(RealTime {
        policy,
        runtime_us: *table.runtime_us.get_ref(),
        deadline_us: get(table.deadline_us.as_ref()),
        period_us: get(table.period_us.as_ref()),
        priority: get(table.priority.as_ref()),
    })
}

/// Where the field stands, or what it is missing from.
fn span_of(module: &shape::Module, field: Field) -> Range<usize> {
    fn span<T>(value: Option<&Spanned<T>>) -> Option<Range<usize>> {
        value.map(Spanned::span)
    }
    let table = module.real_time.as_ref();
    let in_table = table.map(Spanned::get_ref);
    let own = match field {
        Field::Cpus => span(module.cpus.as_ref()),
        Field::CpuWeight => span(module.cpu_weight.as_ref()),
        Field::Runtime => in_table.map(|table| table.runtime_us.span()),
        Field::Deadline => in_table.and_then(|table| span(table.deadline_us.as_ref())),
        Field::Period => in_table.and_then(|table| span(table.period_us.as_ref())),
        Field::Priority => in_table.and_then(|table| span(table.priority.as_ref())),
    };
    own.or_else(|| span(table)).unwrap_or_else(|| module.name.span())
}
