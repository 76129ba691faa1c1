//! Claims about the folding of events, on made-up devices.

use super::*;
use gateway_api::{ArtifactState, Connection};

fn device(id: &str, name: &str, generation: u64) -> Device {
    Device {
        id: id.into(),
        name: name.into(),
        target: "x86_64-linux".into(),
        target_name: String::new(),
        bounds_checks: "hardware".into(),
        cpu_features: vec![],
        agent: String::new(),
        runtime: String::new(),
        emulated: false,
        sensors: vec![],
        enrolled_at_ms: 0,
        connection: Connection::Online,
        last_seen_ms: None,
        generation_wanted: 0,
        generation,
        uptime_ms: 0,
        cpu_percent: None,
        memory_total_bytes: 0,
        memory_available_bytes: 0,
        agent_rss_bytes: 0,
        store_bytes: 0,
        alarms: vec![],
        reports_refused: 0,
        undeployable: None,
        root_version: None,
        clock: None,
        system: None,
        builds: None,
        capabilities: None,
        scheduling: None,
        revoked_at_ms: None,
        fingerprint: String::new(),
        refused_messages: 0,
        refusal: None,
        apps: vec![],
    }
}

fn artifact(target: &str, bounds_checks: &str, state: ArtifactState) -> Artifact {
    Artifact {
        module: "m".into(),
        target: target.into(),
        policy: vec![],
        bounds_checks: bounds_checks.into(),
        state,
        detail: String::new(),
        artifact: None,
        bytes: None,
        compile_ms: None,
        checks_passed: None,
        release: None,
        functions_done: None,
        functions_total: None,
        jobs_before: None,
        compile_left_ms: None,
        stack_bytes: None,
    }
}

fn module(id: &str, uploaded_at_ms: u64) -> Module {
    Module {
        id: id.into(),
        name: "filter".into(),
        version: 1,
        bytes: 8,
        uploaded_at_ms,
        function_count: 0,
        imports: vec![],
        exports: vec![],
        memory: None,
        data_bytes: 0,
        proposals: vec![],
        known_answers: vec![],
        artifacts: vec![],
        developer: None,
        developer_name: None,
        linked: vec![],
    }
}

fn point(time_ms: u64) -> DeviceSample {
    DeviceSample {
        device: "d".into(),
        time_ms,
        report_counter: time_ms / 1_000,
        cpu_percent: Some(1.0),
        memory_used_bytes: 1,
    }
}

fn app_point(app: &str, time_ms: u64) -> AppSample {
    AppSample {
        device: "d".into(),
        app: app.into(),
        time_ms,
        report_counter: time_ms / 1_000,
        cpu_percent: Some(1.0),
        memory_bytes: 1,
    }
}

fn line(text: &str, time_ms: u64) -> LogLine {
    LogLine {
        device: "d".into(),
        device_name: "d".into(),
        app: String::new(),
        level: "info".into(),
        text: text.into(),
        time_ms,
    }
}

#[test]
fn a_device_is_replaced_and_a_new_one_takes_its_place_by_name() {
    let mut devices = vec![];
    put_device(&mut devices, device("2", "b", 1));
    put_device(&mut devices, device("1", "a", 1));
    put_device(&mut devices, device("2", "b", 7));
    let seen: Vec<_> = devices.iter().map(|d| (d.name.as_str(), d.generation)).collect();
    assert_eq!(seen, [("a", 1), ("b", 7)]);
}

#[test]
fn an_artifact_replaces_the_one_of_its_target_and_bounds_checks() {
    let mut modules = vec![module("m", 5), module("n", 4)];
    put_artifact(&mut modules, artifact("t", "software", ArtifactState::Queued));
    put_artifact(&mut modules, artifact("t", "hardware", ArtifactState::Queued));
    put_artifact(&mut modules, artifact("t", "software", ArtifactState::Ready));
    let states: Vec<_> = modules[0].artifacts.iter().map(|a| a.state).collect();
    assert_eq!(states, [ArtifactState::Ready, ArtifactState::Queued]);
    assert!(modules[1].artifacts.is_empty());
}

#[test]
fn the_newest_module_comes_first() {
    let mut modules = vec![];
    put_module(&mut modules, module("old", 1));
    put_module(&mut modules, module("new", 2));
    assert_eq!(modules[0].id, "new");
}

#[test]
fn a_sample_that_came_twice_is_one_point() {
    let mut history = History { device: vec![], apps: vec![] };
    for time_ms in [1_000, 2_000, 2_000] {
        append_samples(
            &mut history,
            point(time_ms),
            vec![app_point("a", time_ms), app_point("b", time_ms)],
        );
    }
    assert_eq!((history.device.len(), history.apps.len()), (2, 4));
}

#[test]
fn a_fetched_history_goes_below_the_points_that_arrived_meanwhile() {
    let mut arrived = History { device: vec![point(3_000), point(4_000)], apps: vec![] };
    let fetched = History { device: vec![point(1_000), point(2_000), point(3_000)], apps: vec![] };
    merge_history(&mut arrived, fetched);
    let times: Vec<_> = arrived.device.iter().map(|p| p.time_ms).collect();
    assert_eq!(times, [1_000, 2_000, 3_000, 4_000]);
}

#[test]
fn a_history_does_not_grow_without_end() {
    let mut history = History { device: vec![], apps: vec![] };
    for second in 0..1_000 {
        append_samples(&mut history, point(second * 1_000), vec![app_point("a", second * 1_000)]);
    }
    assert_eq!((history.device.len(), history.apps.len()), (SAMPLES_MAX, SAMPLES_MAX));
}

#[test]
fn log_lines_are_merged_and_bounded() {
    let mut lines = vec![line("both", 2), line("live", 3)];
    merge_logs(&mut lines, vec![line("old", 1), line("both", 2)]);
    let texts: Vec<_> = lines.iter().map(|l| l.text.as_str()).collect();
    assert_eq!(texts, ["old", "both", "live"]);
    for time_ms in 4..2_000 {
        append_log(&mut lines, line("more", time_ms));
    }
    assert_eq!(lines.len(), LOG_LINES_MAX);
}

#[test]
fn events_wait_while_everything_is_read_again() {
    let mut holdback = Holdback::default();
    assert!(holdback.pass(Event::DeploymentRemoved { id: "1".into() }).is_some());
    assert!(holdback.start());
    assert!(holdback.pass(Event::DeploymentRemoved { id: "2".into() }).is_none());
    assert_eq!(holdback.finish().0.len(), 1);
    assert!(holdback.pass(Event::DeploymentRemoved { id: "3".into() }).is_some());
}

#[test]
fn a_second_wish_to_read_again_waits_for_the_first() {
    let mut holdback = Holdback::default();
    assert!(holdback.start());
    assert!(!holdback.start());
    assert!(holdback.finish().1);
    assert!(holdback.start());
    assert!(!holdback.finish().1);
}
