//! Sensors and actuators: files of sysfs and of the owner's drivers (`iio` for those of
//! the kernel's industrial I/O), and lines of GPIO chips (`gpio`).
//!
//! Only the owner's configuration names files; a manifest names sensors. A worker has no
//! files, so the agent reads and writes for it. It must not be held up by that: what is
//! no ordinary file is refused, and what is read is bounded.

mod gpio;
mod iio;
pub mod sysfs;

pub use gpio::{GpioLines, Role};

use crate::config::{ActuatorConfig, SensorConfig};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use sysfs::{named, on, open, read_number};

#[derive(Debug, thiserror::Error)]
pub enum HardwareError {
    #[error("{operation} {path}: {source}")]
    File { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} holds no number")]
    NoNumber { path: PathBuf },
    #[error("no chip {chip} is in {dir}")]
    NoChip { chip: String, dir: PathBuf },
    #[error("no device {device} is in {dir}")]
    NoDevice { device: String, dir: PathBuf },
    #[error("several devices in {dir} are called {device}; give one of them by its label")]
    Ambiguous { device: String, dir: PathBuf },
    #[error("no thermal zone in {dir} has the type {zone_type}")]
    NoZone { zone_type: String, dir: PathBuf },
    #[error("GPIO: {0}")]
    Gpio(String),
}

/// The present value; for a simulated sensor, which the worker plays itself, none.
pub fn read_sensor(
    sensor: &SensorConfig,
    sysfs: &Path,
    gpio: &GpioLines,
) -> Result<Option<f64>, HardwareError> {
    match sensor {
        SensorConfig::Simulated { .. } => Ok(None),
        SensorConfig::Thermal { zone, zone_type, .. } => {
            let dir = match (zone, zone_type) {
                (None, Some(zone_type)) => find_zone(sysfs, zone_type)?,
                (zone, _) => {
                    sysfs.join(format!("class/thermal/thermal_zone{}", zone.unwrap_or_default()))
                }
            };
            read_number(&dir.join("temp")).map(|milli| Some(milli / 1_000.0))
        }
        SensorConfig::Iio { device, channel, .. } => iio::read(sysfs, device, channel).map(Some),
        SensorConfig::Gpio(line) => gpio.read(&line.name).map(Some).map_err(HardwareError::Gpio),
        SensorConfig::Hwmon { chip, input, .. } => {
            let path = find_chip(sysfs, chip)?.join(format!("{input}_input"));
            read_number(&path).map(|number| Some(number * hwmon_unit(input)))
        }
        SensorConfig::File { path, scale, .. } => {
            read_number(path).map(|number| Some(number * scale))
        }
    }
}

/// The value was found to be in the actuator's range. True where it went anywhere but to
/// the log.
pub fn set_actuator(
    actuator: &ActuatorConfig,
    value: f64,
    gpio: &GpioLines,
) -> Result<(), HardwareError> {
    let (path, decimals) = match actuator {
        ActuatorConfig::Simulated { .. } => return Ok(()),
        ActuatorConfig::Gpio(line) => {
            return gpio.set(&line.name, value).map_err(HardwareError::Gpio);
        }
        ActuatorConfig::File { path, decimals, .. } => (path, decimals),
    };
    let decimals = usize::from(*decimals);
    let text = format!("{value:.decimals$}\n");
    // Not made if it is missing: a file of this name would look like the device.
    let mut file = open(path, OpenOptions::new().write(true).truncate(true))?;
    file.write_all(text.as_bytes()).map_err(on("write", path))
}

/// hwmon tells thousandths of most units, and millionths of watts and joules.
fn hwmon_unit(input: &str) -> f64 {
    match input.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "temp" | "in" | "curr" | "humidity" => 1e-3,
        "power" | "energy" => 1e-6,
        _ => 1.0,
    }
}

/// Numbers of chips change from start to start, their names do not.
fn find_chip(sysfs: &Path, chip: &str) -> Result<PathBuf, HardwareError> {
    let dir = sysfs.join("class/hwmon");
    let found = named(&dir, &["name"], chip)?.into_iter().next();
    found.ok_or_else(|| HardwareError::NoChip { chip: chip.into(), dir })
}

/// The first of this type, by number.
fn find_zone(sysfs: &Path, zone_type: &str) -> Result<PathBuf, HardwareError> {
    let dir = sysfs.join("class/thermal");
    let found = named(&dir, &["type"], zone_type)?.into_iter().next();
    found.ok_or_else(|| HardwareError::NoZone { zone_type: zone_type.into(), dir })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn thermal(zone: u32) -> SensorConfig {
        SensorConfig::Thermal { name: "cpu".into(), zone: Some(zone), zone_type: None }
    }

    fn hwmon(chip: &str, input: &str) -> SensorConfig {
        SensorConfig::Hwmon { name: "x".into(), chip: chip.into(), input: input.into() }
    }

    fn put(dir: &Path, file: &str, text: &str) {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn thermal_zones_and_chips_have_their_units() {
        let sysfs = tempfile::tempdir().unwrap();
        let dir = sysfs.path();
        put(dir, "class/thermal/thermal_zone0/temp", "47250\n");
        put(dir, "class/hwmon/hwmon0/name", "acpitz\n");
        put(dir, "class/hwmon/hwmon1/name", "nct6775\n");
        put(dir, "class/hwmon/hwmon1/temp1_input", "-5500\n");
        put(dir, "class/hwmon/hwmon1/fan2_input", "1200\n");
        put(dir, "class/hwmon/hwmon1/power1_input", "2500000\n");
        put(dir, "class/thermal/thermal_zone1/type", "gpu-thermal\n");
        put(dir, "class/thermal/thermal_zone1/temp", "51000\n");
        let lines = &GpioLines::default();
        let read = |sensor| read_sensor(&sensor, dir, lines).unwrap().unwrap();
        assert_eq!(read(thermal(0)), 47.25);
        let typed = |zone_type: &str| SensorConfig::Thermal {
            name: "x".into(),
            zone: None,
            zone_type: Some(zone_type.into()),
        };
        assert_eq!(read(typed("gpu-thermal")), 51.0);
        assert_eq!(read(hwmon("nct6775", "temp1")), -5.5);
        assert_eq!(read(hwmon("nct6775", "fan2")), 1_200.0);
        assert_eq!(read(hwmon("nct6775", "power1")), 2.5);
        let error =
            |sensor| read_sensor(&sensor, dir, &GpioLines::default()).unwrap_err().to_string();
        assert!(error(thermal(2)).starts_with("open "), "{}", error(thermal(2)));
        assert!(error(typed("cpu")).contains("has the type cpu"));
        assert!(error(hwmon("k10temp", "temp1")).contains("no chip k10temp"));
        assert!(error(hwmon("nct6775", "temp9")).contains("temp9_input"));
    }

    #[test]
    fn a_file_holds_one_number_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("level");
        let sensor = SensorConfig::File { name: "level".into(), path: path.clone(), scale: 0.5 };
        let read = || read_sensor(&sensor, Path::new("/sys"), &GpioLines::default());
        assert!(read().is_err(), "it is missing");
        for (text, value) in [("7\n", 3.5), (" -1e2 ", -50.0), ("0", 0.0)] {
            fs::write(&path, text).unwrap();
            assert_eq!(read().unwrap(), Some(value));
        }
        for text in ["", "seven", "1 2", "NaN", "inf", "\u{ff}"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(read(), Err(HardwareError::NoNumber { .. })), "{text:?}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read().is_err());
        fs::write(&path, "1".repeat(1_000_000)).unwrap();
        assert!(read().is_ok(), "no more than a number's length is read");
    }

    #[test]
    fn nothing_waits_for_a_pipe_or_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let sensor =
            |path: &Path| SensorConfig::File { name: "x".into(), path: path.into(), scale: 1.0 };
        for path in [pipe.as_path(), dir.path(), Path::new("/dev/zero")] {
            let read = read_sensor(&sensor(path), Path::new("/sys"), &GpioLines::default());
            assert!(read.is_err(), "{}", path.display());
        }
    }

    #[test]
    fn an_actuator_writes_its_decimals_into_a_file_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pwm1");
        let actuator = |decimals| ActuatorConfig::File {
            name: "fan".into(),
            path: path.clone(),
            min: 0.0,
            max: 255.0,
            decimals,
        };
        let set_actuator =
            |actuator: &ActuatorConfig, value| set_actuator(actuator, value, &GpioLines::default());
        assert!(set_actuator(&actuator(0), 80.0).is_err(), "it is not made");
        fs::write(&path, "a longer text").unwrap();
        set_actuator(&actuator(0), 79.6).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "80\n");
        set_actuator(&actuator(2), 0.125).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "0.12\n");
        assert!(
            set_actuator(
                &ActuatorConfig::File {
                    name: "x".into(),
                    path: dir.path().into(),
                    min: 0.0,
                    max: 1.0,
                    decimals: 0
                },
                1.0
            )
            .is_err()
        );
    }
}
