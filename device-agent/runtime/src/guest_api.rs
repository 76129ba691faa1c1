//! Guest API version 1: what a module may import, all of it in module `farrier`.
//!
//! `firmware-examples/sdk/README.md` documents it for developers of modules; the
//! two change together. No signature has an f32, which WAMR passes wrongly on
//! RISC-V in its usual convention, so a sample travels through memory.
//!
//! A pointer that leaves the linear memory traps the module, as its own access
//! would. Everything else that goes wrong is a negative number for it to handle.

use crate::rate::RateLimit;
use crate::shared::Shared;
use simulated_sensor::SimulatedSensor;
use std::sync::Arc;
use std::time::Instant;
use wamr::{Caller, FuncType, HostFunction, Runtime, Trap, Value, ValueType};
use worker_protocol::{
    Event, LOG_LINE_BYTES_MAX, Limits, LogLevel, NAME_BYTES_MAX, PUBLISH_BYTES_MAX, Published,
    Sensor, SensorSource,
};

pub const VERSION: u32 = 1;
pub const MODULE: &str = "farrier";

/// Answers below zero. Part of the API: numbers are only ever added.
#[derive(Debug, Clone, Copy)]
enum GuestError {
    /// The name is not UTF-8, is empty, or is longer than 64 bytes.
    Name = -1,
    /// No such sensor or channel is granted to the module.
    Denied = -2,
    /// `sensor_open` never returned this handle.
    Handle = -3,
    /// The message is longer than 1,024 bytes.
    TooLong = -4,
    /// More messages in this second than the module may publish.
    TooMany = -5,
}

/// What host functions know of the instance that calls them. Made afresh with it,
/// except for what `Meters` holds.
pub struct GuestState {
    sensors: Vec<OpenSensor>,
    channels: Vec<String>,
    meters: Meters,
}

struct OpenSensor {
    name: String,
    source: SimulatedSensor,
    next_sample: u64,
    is_open: bool,
}

/// Rates and the way out. They outlive an instance: a trap must not refill them.
#[derive(Clone)]
pub struct Meters {
    shared: Arc<Shared>,
    rates: Arc<std::sync::Mutex<Rates>>,
    started: Instant,
}

struct Rates {
    log: RateLimit,
    publish: RateLimit,
}

impl Meters {
    pub fn new(shared: Arc<Shared>, limits: &Limits) -> Self {
        let log = RateLimit::new(limits.log_lines_per_s_max);
        let publish = RateLimit::new(limits.publishes_per_s_max);
        let rates = Arc::new(std::sync::Mutex::new(Rates { log, publish }));
        Self { shared, rates, started: Instant::now() }
    }

    /// Sends a log line if the rate admits it; counts it either way.
    pub fn log(&self, level: LogLevel, text: String) {
        let is_admitted = self.rates().log.admits(Instant::now());
        self.shared.update_usage(|usage| match is_admitted {
            true => usage.log_lines += 1,
            false => usage.log_lines_dropped += 1,
        });
        if is_admitted {
            self.shared.send_log(level, text);
        }
    }

    fn rates(&self) -> std::sync::MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl GuestState {
    pub fn new(sensors: &[Sensor], channels: &[String], meters: Meters) -> Self {
        let open = |sensor: &Sensor| {
            let SensorSource::Simulated { seed } = sensor.source;
            let (name, source) = (sensor.name.clone(), SimulatedSensor { seed });
            OpenSensor { name, source, next_sample: 0, is_open: false }
        };
        Self { sensors: sensors.iter().map(open).collect(), channels: channels.to_vec(), meters }
    }
}

type Body = fn(&mut Caller<'_>, &[Value]) -> Result<Option<Value>, Trap>;

/// Every function of the API: name, parameters, results, body.
fn functions() -> [(&'static str, Vec<ValueType>, Vec<ValueType>, Body); 5] {
    use ValueType::{I32, I64};
    [
        ("log", vec![I32, I32, I32], vec![], log),
        ("clock_monotonic_ns", vec![], vec![I64], clock_monotonic_ns),
        ("sensor_open", vec![I32, I32], vec![I32], sensor_open),
        ("sensor_read", vec![I32, I32], vec![I32], sensor_read),
        ("publish", vec![I32, I32, I32, I32], vec![I32], publish),
    ]
}

/// `farrier.log` and so on, for the hello.
pub fn import_names() -> Vec<String> {
    functions().iter().map(|(name, ..)| format!("{MODULE}.{name}")).collect()
}

pub fn register(runtime: &Runtime) -> Result<(), wamr::RegisterError> {
    for (name, params, results, body) in functions() {
        runtime.register(HostFunction::new(MODULE, name, FuncType::new(params, results), body))?;
    }
    Ok(())
}

fn log(caller: &mut Caller<'_>, args: &[Value]) -> Result<Option<Value>, Trap> {
    let [level, address, len] = numbers(args)?;
    let bytes = caller.slice(address, len)?;
    let text = printable(&bytes[..bytes.len().min(LOG_LINE_BYTES_MAX)]);
    let level = match level {
        0 => LogLevel::Error,
        1 => LogLevel::Warn,
        2 => LogLevel::Info,
        _ => LogLevel::Debug,
    };
    state(caller)?.meters.log(level, text);
    Ok(None)
}

fn clock_monotonic_ns(caller: &mut Caller<'_>, _: &[Value]) -> Result<Option<Value>, Trap> {
    let elapsed = state(caller)?.meters.started.elapsed();
    // 292 years of it.
    Ok(Some(Value::I64(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))))
}

fn sensor_open(caller: &mut Caller<'_>, args: &[Value]) -> Result<Option<Value>, Trap> {
    let [address, len] = numbers(args)?;
    let Some(name) = read_name(caller, address, len)? else { return answer(GuestError::Name) };
    let sensors = &mut state(caller)?.sensors;
    let Some(index) = sensors.iter().position(|sensor| sensor.name == name) else {
        return answer(GuestError::Denied);
    };
    sensors[index].is_open = true;
    // A manifest grants a handful.
    Ok(Some(Value::I32(i32::try_from(index).unwrap_or(i32::MAX))))
}

fn sensor_read(caller: &mut Caller<'_>, args: &[Value]) -> Result<Option<Value>, Trap> {
    let [handle, address] = numbers(args)?;
    // The address first: a bad one traps even with a bad handle and uses up no sample.
    caller.slice(address, size_of::<f64>() as u32)?;
    let sensor = state(caller)?.sensors.get_mut(handle as usize).filter(|sensor| sensor.is_open);
    let Some(sensor) = sensor else { return answer(GuestError::Handle) };
    let sample = sensor.source.sample(sensor.next_sample);
    sensor.next_sample += 1;
    let place = caller.slice(address, size_of::<f64>() as u32)?;
    place.copy_from_slice(&sample.to_le_bytes());
    Ok(Some(Value::I32(0)))
}

fn publish(caller: &mut Caller<'_>, args: &[Value]) -> Result<Option<Value>, Trap> {
    let [name_address, name_len, address, len] = numbers(args)?;
    let channel = read_name(caller, name_address, name_len)?;
    let payload = caller.slice(address, len)?;
    let payload = (payload.len() <= PUBLISH_BYTES_MAX).then(|| payload.to_vec());
    let Some(channel) = channel else { return answer(GuestError::Name) };
    let state = state(caller)?;
    if !state.channels.contains(&channel) {
        return answer(GuestError::Denied);
    }
    let meters = &state.meters;
    let refuse = |error| {
        meters.shared.update_usage(|usage| usage.publishes_dropped += 1);
        answer(error)
    };
    let Some(payload) = payload else { return refuse(GuestError::TooLong) };
    if !meters.rates().publish.admits(Instant::now()) {
        return refuse(GuestError::TooMany);
    }
    let mut seq = 0;
    meters.shared.update_usage(|usage| {
        usage.published += 1;
        seq = usage.published;
    });
    meters.shared.send(&Event::Published(Published { channel, seq, payload }));
    Ok(Some(Value::I32(0)))
}

fn answer(error: GuestError) -> Result<Option<Value>, Trap> {
    Ok(Some(Value::I32(error as i32)))
}

/// The arguments as addresses and lengths. The types were checked at load, so a
/// failure here is ours.
fn numbers<const N: usize>(args: &[Value]) -> Result<[u32; N], Trap> {
    let to_number = |arg: &Value| match arg {
        Value::I32(number) => number.cast_unsigned(),
        _ => 0,
    };
    let numbers: Vec<u32> = args.iter().map(to_number).collect();
    numbers.try_into().map_err(|_| Trap::new("a host function got another number of arguments"))
}

fn state<'a>(caller: &'a mut Caller<'_>) -> Result<&'a mut GuestState, Trap> {
    caller.state().ok_or_else(|| Trap::new("the instance has no state for host functions"))
}

fn read_name(caller: &mut Caller<'_>, address: u32, len: u32) -> Result<Option<String>, Trap> {
    let bytes = caller.slice(address, len)?;
    if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX {
        return Ok(None);
    }
    Ok(std::str::from_utf8(bytes).ok().map(str::to_owned))
}

/// Text for a terminal or a browser: no control characters, at most the limit.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        let c = if c.is_control() { '\u{fffd}' } else { c };
        // Replacements are longer than what they replace.
        if text.len() + c.len_utf8() > LOG_LINE_BYTES_MAX {
            break;
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_has_no_control_characters_and_a_limit() {
        assert_eq!(printable(b"a\x1b[31mb\n\xff"), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
        assert_eq!(printable("grün".as_bytes()), "grün");
        assert_eq!(printable(&[0; LOG_LINE_BYTES_MAX]).len(), LOG_LINE_BYTES_MAX / 3 * 3);
    }
}
