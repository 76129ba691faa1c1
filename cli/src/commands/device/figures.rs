//! The device as a whole, and what exactly it runs: a part of `farrier device show`.

use crate::format;
use crate::grid::facts;
use gateway_api::{BuildStatus, Device, SystemStatus};

/// Empty for a device that does not tell; what it cannot measure has no line.
pub fn view(device: &Device) -> String {
    let mut lines = device.system.as_ref().map(system).unwrap_or_default();
    lines.extend(device.builds.iter().flat_map(builds));
    if lines.is_empty() { String::new() } else { format!("\n{}", facts(&lines)) }
}

fn system(system: &SystemStatus) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some([one, five, fifteen]) = system.load {
        let cpus = match system.cpus {
            Some(1) => " on 1 CPU".to_owned(),
            Some(cpus) => format!(" on {cpus} CPUs"),
            None => String::new(),
        };
        lines.push(("load", format!("{one:.2}, {five:.2}, {fifteen:.2}{cpus}")));
    }
    if let Some(celsius) = system.temperature_c {
        lines.push(("temperature", format!("{celsius:.1} °C")));
    }
    if let (Some(free), Some(total)) = (system.storage_free_bytes, system.storage_total_bytes) {
        let (free, total) = (format::bytes(free), format::bytes(total));
        lines.push(("storage", format!("{free} free of {total}")));
    }
    if let Some(uptime_s) = system.uptime_s {
        lines.push(("device up", format::span(uptime_s)));
    }
    lines
}

fn builds(builds: &BuildStatus) -> [(&'static str, String); 3] {
    let file = |version: &str, start: &Option<String>| match start {
        Some(start) => format!("{version}, sha256 {start}…"),
        None => version.to_owned(),
    };
    let profile = format!(
        "{}, {} bounds checks, WAMR {}, AoT {}",
        builds.target, builds.bounds_checks, builds.wamr_version, builds.aot_version
    );
    [
        ("agent build", file(&builds.agent, &builds.agent_sha256_start)),
        ("runtime build", file(&builds.runtime, &builds.runtime_sha256_start)),
        ("profile", profile),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use expect_test::expect;

    #[test]
    fn what_is_known_has_a_line_and_what_is_not_has_none() {
        let mut device = sample::devices().remove(0);
        assert_eq!(view(&device), "");
        device.system = Some(SystemStatus {
            load: Some([0.5, 0.25, 1.0]),
            cpus: Some(4),
            temperature_c: Some(43.51),
            storage_total_bytes: Some(1 << 33),
            storage_free_bytes: Some(1 << 30),
            uptime_s: Some(7_300),
        });
        device.builds = Some(BuildStatus {
            agent: "farrier-agent 0.1.0".into(),
            agent_sha256_start: Some("ba7816bf8f01cfea".into()),
            runtime: "farrier-runtime 0.1.0\x1b[2J".into(),
            runtime_sha256_start: None,
            wamr_version: "2.4.3".into(),
            aot_version: 6,
            target: "aarch64-linux".into(),
            bounds_checks: "software".into(),
        });
        let shown = view(&device);
        assert!(!shown.contains('\x1b'), "a device's text cannot drive the terminal");
        expect![[r#"

            load:           0.50, 0.25, 1.00 on 4 CPUs
            temperature:    43.5 °C
            storage:        1.0 GiB free of 8.0 GiB
            device up:      2 h
            agent build:    farrier-agent 0.1.0, sha256 ba7816bf8f01cfea…
            runtime build:  farrier-runtime 0.1.0\u{1b}[2J
            profile:        aarch64-linux, software bounds checks, WAMR 2.4.3, AoT 6
        "#]]
        .assert_eq(&shown);
        let system =
            SystemStatus { load: Some([1.0; 3]), cpus: Some(1), ..SystemStatus::default() };
        device = gateway_api::Device { system: Some(system), builds: None, ..device };
        assert_eq!(view(&device), "\nload:  1.00, 1.00, 1.00 on 1 CPU\n");
    }
}
