//! The pages' structs against the types of the API: what the gateway writes is read.

use super::*;
use crate::json;
use serde_json::{Value, json};

/// Through the type of `gateway-api`, so that the example is what a gateway writes.
fn written<T: serde::Serialize + serde::de::DeserializeOwned>(example: Value) -> Value {
    let whole: T = serde_json::from_value(example).unwrap();
    serde_json::to_value(whole).unwrap()
}

fn read<T: FromJson>(value: &Value) -> T {
    json::read_value(value).unwrap_or_else(|error| panic!("{error}: {value:#}"))
}

/// With all that a device can report.
const APP: &str = r#"{
        "device": "d", "device_name": "n", "target": "t", "app": "filter", "version": 2,
        "module": "m", "artifact": "a", "artifact_bytes": 1, "compile_ms": 2,
        "state": "stopped: time limit", "detail": "",
        "refusal": {"code": 7, "title": "t", "advice": "a", "detail": "d"},
        "cpu_percent": 0.5, "cpu_us": 1, "memory_bytes": 1, "memory_peak_bytes": 1,
        "worker_rss_bytes": 1, "calls": 1, "traps": 1, "restarts": 1, "published": 1,
        "publishes_dropped": 1, "log_lines": 1, "log_lines_dropped": 1, "checks_passed": 1,
        "checks_failed": 0, "gas_used": 9, "emulated": false, "fallback": false,
        "host_calls": [{"import": "farrier.log", "calls": 1, "bytes": 2, "time_ns": 3}],
        "metrics": [{"name": "level", "value": 0.25}],
        "storage": {"used_bytes": 1, "quota_bytes": 2},
        "inboxes": [{"channel": "c", "depth": 1, "received": 2, "dropped": 0}],
        "outlets": [{"channel": "c", "depth": 1, "published": 2, "dropped": 0}],
        "report_boot_id": "b", "report_counter": 1, "reported_at_ms": 1,
        "limit_hits": [{"limit": "call-time", "hits": 1}],
        "confinement": ["seccomp"], "trap_kinds": [{"kind": "unreachable", "count": 1}],
        "overhead_bytes": 1,
        "ticks": {"period_us": 1, "deadline_us": 1, "ticks": 1, "missed": 0, "skipped": 0,
            "overran": 0, "response_max_us": 1, "last": {"ticks": 1, "missed": 0,
                "start": {"min_us": 1, "mean_us": 1, "p99_us": 1, "max_us": 1},
                "response": {"min_us": 1, "mean_us": 1, "p99_us": 1, "max_us": 1},
                "jitter_us": 1}},
        "last_trap": {"export": "tick", "kind": "unreachable", "detail": "d",
            "place": {"function": 1, "name": "f", "offset": 2, "is_line": false}},
        "scheduling": {"policy": "fifo", "priority": 3, "cpus": [1]},
        "company": {"pid": 1, "modules": 2, "displaced": 0}
}"#;

const DEVICE: &str = r#"{
        "id": "d", "name": "n", "target": "t", "target_name": "T", "bounds_checks": "software",
        "cpu_features": ["sse"], "agent": "a", "runtime": "r", "emulated": true,
        "sensors": ["s"], "enrolled_at_ms": 1, "connection": "online", "last_seen_ms": 2,
        "generation_wanted": 3, "generation": 3, "uptime_ms": 4, "cpu_percent": 0.5,
        "memory_total_bytes": 5, "memory_available_bytes": 4, "agent_rss_bytes": 1,
        "store_bytes": 1, "revoked_at_ms": 9, "fingerprint": "f", "undeployable": "why",
        "refusal": null, "apps": [], "alarms": [{"kind": "frozen", "text": "t"}],
        "root_version": 1, "clock": "heartbeat",
        "scheduling": {"policies": ["fifo"], "utilization_percent_max": 50, "priority_max": 5,
            "cpus": [], "cpu_weight_max": 100},
        "system": {"load": [0.1, 0.2, 0.3], "cpus": 2, "temperature_c": 40.5,
            "storage_total_bytes": 2, "storage_free_bytes": 1, "uptime_s": 9},
        "builds": {"agent": "a", "agent_sha256_start": "00", "runtime": "r",
            "runtime_sha256_start": null, "wamr_version": "2", "aot_version": 3,
            "target": "t", "bounds_checks": "software"},
        "capabilities": {"actuators": ["fan"], "accelerators": ["npu"],
            "labels": {"room": "kitchen"}, "unavailable": {}}
    }"#;

#[test]
fn a_device_with_all_that_it_can_report_is_read() {
    let mut example: Value = serde_json::from_str(DEVICE).unwrap();
    example["apps"] = json!([serde_json::from_str::<Value>(APP).unwrap()]);
    let value = written::<gateway_api::Device>(example);
    let device: Device = read(&value);
    let app = &device.apps[0];
    assert_eq!(app.ticks.as_ref().unwrap().last.as_ref().unwrap().response.p99_us, 1);
    assert_eq!(app.scheduling.as_ref().unwrap().policy.as_deref(), Some("fifo"));
    assert_eq!(app.last_trap.as_ref().unwrap().place.as_ref().unwrap().offset, Some(2));
    assert_eq!(device.system.as_ref().unwrap().load, [0.1, 0.2, 0.3]);
    assert_eq!(device.capabilities.unwrap().labels, [("room".into(), "kitchen".into())]);
    assert_eq!(app.metrics[0].value, 0.25);
    let page: Page<AppStatus> =
        read(&json!({ "items": [value["apps"][0].clone()], "next": "c", "total": 7 }));
    assert_eq!((page.total, page.next.as_deref()), (7, Some("c")));
}

#[test]
fn modules_and_deployments_are_read() {
    let module: Module = read(&written::<gateway_api::Module>(json!({
        "id": "m", "name": "n", "version": 1, "bytes": 8, "uploaded_at_ms": 1,
        "function_count": 0, "exports": [], "memory": {"min_pages": 1, "max_pages": null},
        "imports": [{"module": "farrier", "name": "log", "kind": "function", "signature": "()"}],
        "data_bytes": 0, "proposals": [], "known_answers": [], "artifacts": [{
            "module": "m", "target": "t", "bounds_checks": "software", "state": "ready",
            "detail": "", "artifact": null, "bytes": 1, "compile_ms": 2, "checks_passed": 3,
            "release": null}],
    })));
    assert_eq!(module.artifacts[0].state, "ready");
    let progress = json!({
        "device": "d", "device_name": "n", "target": "t", "state": "awaiting-release-signature",
        "generation": null, "fetched_bytes": 0, "fetch_total_bytes": 1, "refusal": null,
        "detail": "",
    });
    let deployment = |devices: Value| {
        json!({
            "id": "p", "app": "a", "module": "m", "module_version": 1, "devices": devices,
            "interval_ms": 1000, "call_ms_max": 1000, "memory_bytes_max": 1, "sensors": [],
            "channels": ["c"], "created_at_ms": 1, "state": "in-progress", "progress": [progress],
        })
    };
    let all: Deployment = read(&written::<gateway_api::Deployment>(deployment(json!("all"))));
    let these: Deployment =
        read(&written::<gateway_api::Deployment>(deployment(json!({ "these": ["d"] }))));
    assert_eq!((&all.devices, &all.terms), (&DeviceSelector::All, &these.terms));
    assert_eq!(these.devices, DeviceSelector::These(vec!["d".into()]));
    assert_eq!(these.progress[0].state, "awaiting-release-signature");
    assert!(all.terms.get("channels").is_some() && all.terms.get("progress").is_none());
}

#[test]
fn who_is_logged_in_to_what_is_read() {
    let session: Session = read(&written::<gateway_api::Session>(json!({
        "gateway": "g", "compiler": "c", "targets": ["t"], "upload_bytes_max": 1,
        "trust": {"root_id": "", "root_version": 0, "epoch": 0, "threshold": 0,
            "root_key_count": 0, "release_key_online": true, "release_key_place": "signer"},
    })));
    assert_eq!(session.trust.release_key_place.as_deref(), Some("signer"));
    let overview: Overview = read(&written::<gateway_api::Overview>(json!({
        "devices_online": 1, "devices_offline": 0, "devices_new": 0, "modules": 0,
        "deployments_in_progress": 0, "deployments_failed": 0, "apps_running": 0,
        "apps_not_running": 0, "app_cpu_percent": 0.5, "app_memory_bytes": 1,
        "artifacts_ready": 0, "artifacts_in_work": 0, "artifacts_refused": 0,
    })));
    assert_eq!(overview.devices_online, 1);
    let audit: AuditPage = read(&written::<gateway_api::AuditPage>(json!({
        "first_seq": 1, "end": "4:00", "records": [{"seq": 4, "time_ms": 1, "actor": "browser",
            "actions": [{"what": "deploy", "subject": "p"}], "signatures": [], "hash": "00",
            "head": "00"}],
    })));
    assert_eq!(audit.records[0].actions[0].what, "deploy");
}

#[test]
fn what_ran_before_is_found_as_the_command_line_finds_it() {
    let one = |id: &str, version: u32, state: &str, channels: Value| {
        written::<gateway_api::Deployment>(json!({
            "id": id, "app": "filter", "module": format!("m{version}"),
            "module_version": version, "devices": "all", "interval_ms": 1000,
            "call_ms_max": 1000, "memory_bytes_max": 65536, "sensors": [],
            "channels": channels, "created_at_ms": 1, "state": state, "progress": [],
        }))
    };
    let lists = [
        vec![],
        vec![one("3", 2, "done", json!([])), one("2", 2, "replaced", json!([]))],
        vec![
            one("4", 2, "done", json!([])),
            one("3", 2, "replaced", json!([])),
            one("2", 2, "replaced", json!(["c"])),
            one("1", 1, "replaced", json!([])),
        ],
    ];
    for list in lists {
        let own: Vec<Deployment> = list.iter().map(read).collect();
        let theirs: Vec<gateway_api::Deployment> =
            list.iter().map(|value| serde_json::from_value(value.clone()).unwrap()).collect();
        let own =
            earlier_deployment(&own, "filter").map(|(now, then)| [now.id.clone(), then.id.clone()]);
        let theirs = gateway_api::earlier_deployment(theirs.iter(), "filter");
        assert_eq!(own, theirs.map(|(now, then)| [now.id.clone(), then.id.clone()]));
    }
}
