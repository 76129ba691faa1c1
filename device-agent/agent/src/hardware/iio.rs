//! Sensors of the kernel's industrial I/O subsystem, below `bus/iio/devices`.
//!
//! A device is found by its `name` or its `label`: its number changes from start to start.
//! A channel is what its files begin with, such as `in_temp` or `in_voltage0`. The value is
//! `input` where the driver calculates it, and else (`raw` + `offset`) × `scale`; offset
//! and scale may be of all channels of the kind (`in_voltage_scale`). The kernel's
//! `Documentation/ABI/testing/sysfs-bus-iio` has the units.

use super::HardwareError;
use super::sysfs::{named, read_number};
use std::io;
use std::path::{Path, PathBuf};

/// In degrees Celsius, volts, amperes and percent; other kinds are as the kernel has them,
/// such as lux, m/s² and kilopascals.
pub fn read(sysfs: &Path, device: &str, channel: &str) -> Result<f64, HardwareError> {
    let dir = find(sysfs, device)?;
    let kind = kind_of(channel);
    let input = dir.join(format!("{channel}_input"));
    let number = match read_number(&input) {
        Err(error) if is_missing(&error) => {
            let raw = read_number(&dir.join(format!("{channel}_raw")))?;
            let part = |what, unless| part_of(&dir, channel, kind, what, unless);
            (raw + part("offset", 0.0)?) * part("scale", 1.0)?
        }
        input => input?,
    };
    Ok(number / per_unit(kind))
}

/// The channel's own, or that of all channels of its kind.
fn part_of(
    dir: &Path,
    channel: &str,
    kind: &str,
    what: &str,
    unless: f64,
) -> Result<f64, HardwareError> {
    for of in [channel, kind] {
        match read_number(&dir.join(format!("{of}_{what}"))) {
            Err(error) if is_missing(&error) => {}
            found => return found,
        }
    }
    Ok(unless)
}

/// `in_voltage0` and `in_accel_x` → `in_voltage` and `in_accel`.
fn kind_of(channel: &str) -> &str {
    let end = channel.match_indices('_').nth(1).map_or(channel.len(), |(end, _)| end);
    channel[..end].trim_end_matches(|c: char| c.is_ascii_digit())
}

/// The kernel tells thousandths of these.
fn per_unit(kind: &str) -> f64 {
    match kind {
        "in_temp" | "in_voltage" | "in_current" | "in_humidityrelative" => 1_000.0,
        _ => 1.0,
    }
}

fn is_missing(error: &HardwareError) -> bool {
    matches!(error, HardwareError::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn find(sysfs: &Path, device: &str) -> Result<PathBuf, HardwareError> {
    let dir = sysfs.join("bus/iio/devices");
    let mut found = named(&dir, &["name", "label"], device)?.into_iter();
    let Some(first) = found.next() else {
        return Err(HardwareError::NoDevice { device: device.into(), dir });
    };
    match found.next() {
        None => Ok(first),
        Some(_) => Err(HardwareError::Ambiguous { device: device.into(), dir }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(sysfs: &Path, file: &str, text: &str) {
        let path = sysfs.join("bus/iio/devices").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn channels_are_calculated_as_the_kernel_describes() {
        let sysfs = tempfile::tempdir().unwrap();
        let dir = sysfs.path();
        for (file, text) in [
            ("iio:device0/name", "bme280\n"),
            ("iio:device0/in_temp_input", "21570\n"),
            ("iio:device0/in_humidityrelative_input", "40500\n"),
            ("iio:device0/in_pressure_input", "101.325\n"),
            ("iio:device3/name", "ads1015\n"),
            ("iio:device3/in_voltage0_raw", "1000\n"),
            ("iio:device3/in_voltage0_scale", "3.000000000\n"),
            ("iio:device3/in_voltage1_raw", "-8\n"),
            ("iio:device3/in_voltage_scale", "0.5\n"),
            ("iio:device3/in_voltage_offset", "10\n"),
            ("iio:device4/name", "lsm6ds3\n"),
            ("iio:device4/in_accel_x_raw", "2\n"),
            ("iio:device4/in_accel_scale", "4.9\n"),
            ("iio:device4/in_illuminance_raw", "7\n"),
        ] {
            put(dir, file, text);
        }
        let read = |device, channel| read(dir, device, channel).unwrap();
        assert_eq!(read("bme280", "in_temp"), 21.57);
        assert_eq!(read("bme280", "in_humidityrelative"), 40.5);
        assert_eq!(read("bme280", "in_pressure"), 101.325);
        assert_eq!(read("ads1015", "in_voltage0"), (1_000.0 + 10.0) * 3.0 / 1_000.0);
        assert_eq!(read("ads1015", "in_voltage1"), 0.001);
        assert_eq!(read("lsm6ds3", "in_accel_x"), 9.8);
        assert_eq!(read("lsm6ds3", "in_illuminance"), 7.0);
    }

    #[test]
    fn a_device_is_known_by_its_name_or_its_label_and_by_nothing_else() {
        let sysfs = tempfile::tempdir().unwrap();
        let dir = sysfs.path();
        let error = |device: &str| read(dir, device, "in_temp").unwrap_err().to_string();
        assert!(error("bme280").starts_with("list "), "{}", error("bme280"));
        for number in [0, 1] {
            put(dir, &format!("iio:device{number}/name"), "bme280\n");
            put(dir, &format!("iio:device{number}/label"), &format!("room{number}\n"));
            put(dir, &format!("iio:device{number}/in_temp_input"), &format!("{number}000\n"));
        }
        assert!(error("bme280").contains("several"), "{}", error("bme280"));
        assert_eq!(read(dir, "room1", "in_temp").unwrap(), 1.0);
        assert!(error("iio:device1").contains("no device iio:device1"));
        put(dir, "iio:device1/in_temp_input", "warm\n");
        assert!(error("room1").contains("holds no number"));
        let lacks = read(dir, "room1", "in_voltage0").unwrap_err().to_string();
        assert!(lacks.contains("in_voltage0_raw"), "{lacks}");
    }
}
