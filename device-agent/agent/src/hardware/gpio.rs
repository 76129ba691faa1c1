//! Lines of GPIO chips, by the kernel's character device.
//!
//! A line belongs to whoever requested it, for as long as its descriptor is open. So the
//! agent requests all that its configuration declares when it starts, and one that it could
//! not have again whenever a module is deployed that uses it. Chips are found by name, such as `gpiochip0`, or
//! by their label, which does not change with the order of drivers; lines by their name or
//! their offset.

use crate::config::{ActuatorConfig, Bias, Config, GpioLine, LineName, SensorConfig};
use device_protocol::{REASON_BYTES_MAX, Unavailable};
use gpiocdev::Request;
use gpiocdev::line::{self, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

const CONSUMER: &str = "farrier-agent";

/// Chips that are looked at.
const CHIPS_MAX: usize = 64;

/// A line is an input or an output, and so a sensor or an actuator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Sensor,
    Actuator,
}

/// The lines that are held, by what the owner calls them; or why one is not.
#[derive(Debug, Default)]
pub struct GpioLines {
    lines: BTreeMap<(Role, String), Line>,
}

#[derive(Debug)]
struct Line {
    declared: GpioLine,
    held: Result<Held, String>,
}

#[derive(Debug)]
struct Held {
    request: Request,
    offset: u32,
}

impl GpioLines {
    pub fn open(config: &Config) -> Self {
        let inputs = config.sensors.iter().filter_map(|sensor| match sensor {
            SensorConfig::Gpio(line) => Some((Role::Sensor, line)),
            _ => None,
        });
        let outputs = config.actuators.iter().filter_map(|actuator| match actuator {
            ActuatorConfig::Gpio(line) => Some((Role::Actuator, line)),
            _ => None,
        });
        let lines = inputs.chain(outputs).map(|(role, line)| {
            let held = request(role, line);
            if let Err(why) = &held {
                tracing::warn!(line.name, "this GPIO line is not available: {why}");
            }
            ((role, line.name.clone()), Line { declared: line.clone(), held })
        });
        Self { lines: lines.collect() }
    }

    /// Why a declared line is not there; `None` also for what is no line. A driver may have
    /// come since it was last looked for.
    pub fn why_unavailable(&mut self, role: Role, name: &str) -> Option<&str> {
        let line = self.lines.get_mut(&(role, name.to_owned()))?;
        if line.held.is_err() {
            line.held = request(role, &line.declared);
        }
        line.held.as_ref().err().map(String::as_str)
    }

    /// All that are declared and not there.
    pub fn unavailable(&self) -> impl Iterator<Item = Unavailable> {
        self.lines.iter().filter_map(|((_, name), line)| {
            let why = line.held.as_ref().err()?;
            let end = why.floor_char_boundary(REASON_BYTES_MAX);
            Some(Unavailable { name: name.clone(), why: why[..end].to_owned() })
        })
    }

    /// 1 where the line is active, else 0.
    pub fn read(&self, name: &str) -> Result<f64, String> {
        let held = self.held(Role::Sensor, name)?;
        let value = held.request.value(held.offset).map_err(|error| error.to_string())?;
        Ok(if value == Value::Active { 1.0 } else { 0.0 })
    }

    /// Half and more is active.
    pub fn set(&self, name: &str, value: f64) -> Result<(), String> {
        let held = self.held(Role::Actuator, name)?;
        held.request.set_value(held.offset, to_value(value >= 0.5)).map_err(|e| e.to_string())
    }

    fn held(&self, role: Role, name: &str) -> Result<&Held, String> {
        let line = self.lines.get(&(role, name.to_owned())).ok_or("it is not declared")?;
        line.held.as_ref().map_err(Clone::clone)
    }
}

fn to_value(is_active: bool) -> Value {
    if is_active { Value::Active } else { Value::Inactive }
}

fn request(role: Role, line: &GpioLine) -> Result<Held, String> {
    let (chip, offset) = find(line)?;
    let mut builder = Request::builder();
    builder.on_chip(&chip).with_consumer(CONSUMER).with_line(offset);
    match role {
        Role::Sensor => builder.as_input(),
        Role::Actuator => builder.as_output(to_value(line.initial)),
    };
    if line.active_low {
        builder.as_active_low();
    }
    if let Some(bias) = line.bias {
        builder.with_bias(match bias {
            Bias::PullUp => line::Bias::PullUp,
            Bias::PullDown => line::Bias::PullDown,
            Bias::Disabled => line::Bias::Disabled,
        });
    }
    let request = builder.request().map_err(|error| {
        format!("line {} of {} cannot be had: {error}", line.line, chip.display())
    })?;
    Ok(Held { request, offset })
}

fn find(line: &GpioLine) -> Result<(PathBuf, u32), String> {
    let paths = gpiocdev::chip::chips().map_err(|error| format!("list the GPIO chips: {error}"))?;
    let mut seen = Vec::new();
    for path in paths.into_iter().take(CHIPS_MAX) {
        let Ok(chip) = gpiocdev::Chip::from_path(&path) else { continue };
        let Ok(info) = chip.info() else { continue };
        if info.name != line.chip && info.label != line.chip {
            seen.push(info.label);
            continue;
        }
        let offset = match &line.line {
            LineName::Offset(offset) if *offset < info.num_lines => Some(*offset),
            LineName::Offset(_) => None,
            LineName::Name(name) => chip.find_line_info(name).map(|found| found.offset),
        };
        let lacks = || format!("the chip {} has no line {}", line.chip, line.line);
        return offset.map(|offset| (path, offset)).ok_or_else(lacks);
    }
    let has = if seen.is_empty() { "none at all".to_owned() } else { seen.join(", ") };
    Err(format!("there is no GPIO chip {}; there is {has}", line.chip))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where there is no such chip, which no machine has that runs this test; on one with
    /// gpio-sim a line of it would be tested as well.
    #[test]
    fn a_line_of_no_chip_is_not_available_and_says_which() {
        let text = r#"
            data_dir = "/d"
            gateway_url = "http://127.0.0.1:1"
            name = "n"
            [runtime]
            path = "/r"
            [[sensor]]
            name = "button"
            kind = "gpio"
            chip = "farrier-test-chip"
            line = "BUTTON"
            [[actuator]]
            name = "lamp"
            kind = "gpio"
            chip = "farrier-test-chip"
            line = 4
        "#;
        let config = Config::parse(text).unwrap();
        let mut lines = GpioLines::open(&config);
        let why = lines.why_unavailable(Role::Sensor, "button").unwrap().to_owned();
        assert!(why.contains("no GPIO chip farrier-test-chip"), "{why}");
        assert!(lines.why_unavailable(Role::Actuator, "lamp").is_some());
        assert!(lines.why_unavailable(Role::Actuator, "button").is_none(), "it is a sensor");
        assert_eq!(lines.read("button"), Err(why.clone()));
        assert!(lines.set("lamp", 1.0).is_err());
    }
}
