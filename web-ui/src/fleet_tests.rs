//! Claims about the folding of events, on made-up devices.

use super::*;

fn artifact(target: &str, bounds_checks: &str, state: &str) -> Artifact {
    Artifact {
        module: "m".into(),
        target: target.into(),
        bounds_checks: bounds_checks.into(),
        state: state.into(),
        detail: String::new(),
        bytes: None,
        compile_ms: None,
        checks_passed: None,
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
        app: String::new(),
        level: "info".into(),
        text: text.into(),
        time_ms,
    }
}

#[test]
fn an_artifact_replaces_the_one_of_its_target_and_bounds_checks() {
    let mut modules = vec![module("m", 5), module("n", 4)];
    put_artifact(&mut modules, artifact("t", "software", "queued"));
    put_artifact(&mut modules, artifact("t", "hardware", "queued"));
    put_artifact(&mut modules, artifact("t", "software", "ready"));
    let states: Vec<_> = modules[0].artifacts.iter().map(|a| a.state.as_str()).collect();
    assert_eq!(states, ["ready", "queued"]);
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
    assert!(holdback.pass(Event::DeploymentRemoved("1".into())).is_some());
    assert!(holdback.start());
    assert!(holdback.pass(Event::DeploymentRemoved("2".into())).is_none());
    assert_eq!(holdback.finish().0.len(), 1);
    assert!(holdback.pass(Event::DeploymentRemoved("3".into())).is_some());
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
