//! The device as a whole: load, temperature, storage, uptime.

use crate::hardware::sysfs::{entries, read_text};
use device_protocol::{LoadReport, SystemReport};
use procfs::Current;
use std::path::Path;

/// Beyond these a driver has said something else than a temperature.
const MILLI_C: std::ops::RangeInclusive<i32> = -100_000..=200_000;

/// What cannot be measured is absent.
pub fn measure(sysfs: &Path, data_dir: &Path) -> SystemReport {
    let storage = rustix::fs::statvfs(data_dir).ok();
    SystemReport {
        load_milli: load(),
        temperature_milli_c: temperature(sysfs),
        storage_total_bytes: storage.as_ref().map(|s| s.f_blocks.saturating_mul(s.f_frsize)),
        storage_free_bytes: storage.as_ref().map(|s| s.f_bavail.saturating_mul(s.f_frsize)),
        uptime_s: procfs::Uptime::current().ok().map(|uptime| uptime.uptime as u64),
        cpus: std::thread::available_parallelism().ok().and_then(|n| n.get().try_into().ok()),
    }
}

fn load() -> Option<LoadReport> {
    let load = procfs::LoadAverage::current().ok()?;
    // A cast of a float stops at the ends of the type.
    let milli = |load: f32| (load * 1_000.0) as u32;
    Some(LoadReport { one: milli(load.one), five: milli(load.five), fifteen: milli(load.fifteen) })
}

/// Of the hottest thermal zone; of the hottest sensor of a chip where there are no zones.
fn temperature(sysfs: &Path) -> Option<i32> {
    let zones = entries(&sysfs.join("class/thermal"), "thermal_zone").unwrap_or_default();
    let hottest = zones.iter().filter_map(|zone| read_milli_c(&zone.join("temp"))).max();
    hottest.or_else(|| {
        let chips = entries(&sysfs.join("class/hwmon"), "hwmon").unwrap_or_default().into_iter();
        let inputs = chips.flat_map(|chip| entries(&chip, "temp").unwrap_or_default());
        let inputs = inputs.filter(|input| input.to_string_lossy().ends_with("_input"));
        inputs.filter_map(|input| read_milli_c(&input)).max()
    })
}

fn read_milli_c(path: &Path) -> Option<i32> {
    let text = read_text(path).ok()?;
    text.trim().parse().ok().filter(|milli_c| MILLI_C.contains(milli_c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn this_machine_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let system = measure(Path::new("/sys"), dir.path());
        assert!(system.load_milli.is_some());
        assert!(system.uptime_s.unwrap() > 0 && system.cpus.unwrap() > 0);
        assert!(system.storage_total_bytes > system.storage_free_bytes);
        let nowhere = measure(dir.path(), &dir.path().join("none"));
        assert_eq!((nowhere.temperature_milli_c, nowhere.storage_total_bytes), (None, None));
    }

    #[test]
    fn the_hottest_thermometer_counts_and_nonsense_does_not() {
        let sysfs = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = sysfs.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(temperature(sysfs.path()), None);
        write("class/hwmon/hwmon0/temp1_input", "41000\n");
        write("class/hwmon/hwmon0/temp1_crit", "99000\n");
        write("class/hwmon/hwmon1/temp2_input", "43500\n");
        assert_eq!(temperature(sysfs.path()), Some(43_500));
        write("class/thermal/thermal_zone0/temp", "-2000\n");
        write("class/thermal/thermal_zone1/temp", "274000000\n");
        write("class/thermal/thermal_zone2/temp", "hot\n");
        assert_eq!(temperature(sysfs.path()), Some(-2_000));
    }
}
