//! The compile queue: order, bound, progress, estimates, records.

use super::fleet::{COMPILING, FakeDevice, Fleet, deployment_of, plain_wasm};
use crate::app::AppError;
use gateway_api::{Artifact, ArtifactState, NewDeployment};

/// A module of about so many bytes.
fn wasm_of_bytes(bytes: usize) -> Vec<u8> {
    let data = "x".repeat(bytes);
    wat::parse_str(format!("(module (memory 1) (data (i32.const 0) \"{data}\"))")).unwrap()
}

fn fleet_with_device() -> (Fleet, FakeDevice) {
    let (fleet, device) = (Fleet::new(), FakeDevice::new(1, "x86_64-linux"));
    fleet.enrol(&device);
    (fleet, device)
}

/// The applications whose jobs workers would take up, in that order.
fn order(fleet: &Fleet) -> Vec<String> {
    let name_of = |wasm: &[u8]| {
        let id = module_package::ModuleId::of(wasm).to_string();
        fleet.app.modules().into_iter().find(|m| m.id == id).unwrap().name
    };
    std::iter::from_fn(|| fleet.take()).map(|(_, input)| name_of(&input.wasm)).collect()
}

fn artifact(fleet: &Fleet, module: &str) -> Artifact {
    fleet.app.module(module).unwrap().artifacts.remove(0)
}

#[test]
fn what_a_person_waits_for_comes_first_then_the_smaller_then_the_earlier() {
    let (fleet, _) = fleet_with_device();
    for (name, bytes) in [("large", 3_000), ("small", 10), ("middle", 500)] {
        fleet.upload(name, &wasm_of_bytes(bytes));
        fleet.deploy(name);
    }
    assert_eq!(order(&fleet), ["small", "middle", "large"]);
    // After a restart nobody waits for these, but somebody for the next.
    let fleet = fleet.restart();
    fleet.upload("huge", &wasm_of_bytes(9_000));
    fleet.deploy("huge");
    assert_eq!(order(&fleet), ["huge", "small", "middle", "large"]);
    // To deploy what waits already makes it urgent.
    let fleet = fleet.restart();
    fleet.deploy("large");
    assert_eq!(order(&fleet), ["large", "small", "middle", "huge"]);
}

#[test]
fn of_two_equally_large_the_first_that_came_is_taken_up() {
    let (fleet, _) = fleet_with_device();
    for (name, answer) in [("zebra", 1), ("ant", 2), ("mole", 3)] {
        fleet.upload(name, &plain_wasm(answer));
        fleet.deploy(name);
    }
    assert_eq!(order(&fleet), ["zebra", "ant", "mole"]);
}

#[test]
fn a_job_alone_has_all_processors_and_several_share_them() {
    let (fleet, _) = fleet_with_device();
    for (name, answer) in [("a", 1), ("b", 2), ("c", 3)] {
        fleet.upload(name, &plain_wasm(answer));
        fleet.deploy(name);
    }
    let threads = |fleet: &Fleet| fleet.take().unwrap().1.threads;
    assert_eq!([threads(&fleet), threads(&fleet), threads(&fleet)], [8, 4, 2]);
}

#[test]
fn a_deployment_beyond_the_queue_is_refused_and_changes_nothing() {
    let (fleet, device) = fleet_with_device();
    let most = COMPILING.queue_max as u32;
    for number in 0..=most {
        fleet.upload(&format!("app-{number}"), &plain_wasm(number));
    }
    (0..most).for_each(|number| drop(fleet.deploy(&format!("app-{number}"))));
    let one_more = deployment_of(&format!("app-{most}"));
    let refusal = fleet.app.deploy(&one_more).unwrap_err();
    let AppError::QueueFull { detail, retry_after_s } = refusal else { panic!("{refusal}") };
    assert!(detail.contains("4 compile jobs wait") && detail.contains("compile_queue_max"));
    assert_eq!(retry_after_s, 30, "nothing is known yet");
    assert_eq!(fleet.app.deployments().len(), most as usize);
    assert_eq!(fleet.store().load().unwrap().deployments.len(), most as usize);
    // What needs no job goes through.
    fleet.deploy("app-0");
    // One is taken up, so there is room for one.
    let (job, _) = fleet.take().unwrap();
    fleet.app.deploy(&one_more).unwrap();
    fleet.finish(job, Ok(b"aot".to_vec()), 5);
    fleet.work(|target| Ok(target.as_bytes().to_vec()), |_| Ok(0));
    assert_eq!(fleet.manifest(&device).unwrap().apps.len(), most as usize + 1);
}

#[test]
fn a_deployment_for_several_targets_is_taken_whole_or_not_at_all() {
    let fleet = Fleet::new();
    for (number, target) in [(1, "x86_64-linux"), (2, "aarch64-linux"), (3, "riscv64-linux")] {
        fleet.enrol(&FakeDevice::new(number, target));
    }
    fleet.upload("a", &plain_wasm(1));
    fleet.upload("b", &plain_wasm(2));
    fleet.deploy("a");
    assert!(matches!(fleet.app.deploy(&deployment_of("b")), Err(AppError::QueueFull { .. })));
    assert!(fleet.app.module("b").unwrap().artifacts.is_empty());
}

#[test]
fn what_a_restart_needs_beyond_the_queue_is_taken_up_when_there_is_room() {
    let (mut fleet, device) = fleet_with_device();
    for number in 0..10 {
        fleet.upload(&format!("app-{number}"), &plain_wasm(number));
        fleet.deploy(&format!("app-{number}"));
        fleet.take();
    }
    fleet = fleet.restart();
    let mut compiled = 0;
    for _ in 0..10 {
        // The sum of what waits never passes the bound.
        let waiting = fleet.app.state().jobs.queued_count();
        assert!(waiting <= COMPILING.queue_max, "{waiting}");
        compiled += fleet.work(|_| Ok(vec![1]), |_| Ok(0)).len();
        fleet.app.tick();
    }
    assert_eq!(compiled, 10);
    assert_eq!(fleet.manifest(&device).unwrap().apps.len(), 10);
}

#[test]
fn progress_is_shown_where_the_artifact_and_where_the_device_is() {
    let (fleet, device) = fleet_with_device();
    fleet.upload("a", &plain_wasm(1));
    let deployment = fleet.deploy("a");
    assert_eq!(artifact(&fleet, "a").state, ArtifactState::Queued);
    assert_eq!(artifact(&fleet, "a").jobs_before, Some(0));
    let (job, _) = fleet.take().unwrap();
    fleet.pass_ms(2_000);
    let newest = *fleet.app.events().subscribe().borrow();
    fleet.app.note_compile_progress(job, 25, 100);
    let events = fleet.app.events().after(newest).unwrap();
    assert!(matches!(&*events[0].event, gateway_api::Event::Artifact { artifact }
        if artifact.functions_done == Some(25) && artifact.functions_total == Some(100)));
    let shown = artifact(&fleet, "a");
    assert_eq!(shown.state, ArtifactState::Compiling);
    // A quarter took two seconds.
    assert_eq!(shown.compile_left_ms, Some(6_000));
    assert_eq!(shown.detail, "25 of 100 functions, about 6 s left");
    let detail = fleet.progress(&deployment.id, &device).detail;
    assert_eq!(detail, "is being compiled: 25 of 100 functions, about 6 s left");
    fleet.finish(job, Ok(vec![1]), 8_000);
    let shown = artifact(&fleet, "a");
    assert_eq!((shown.functions_total, shown.detail.as_str()), (None, ""));
    assert_eq!(shown.stack_bytes, Some(64));
}

#[test]
fn an_estimate_is_from_the_records_counts_the_jobs_before_and_says_when_it_knows_nothing() {
    let (fleet, _) = fleet_with_device();
    fleet.upload("first", &wasm_of_bytes(1_000));
    fleet.deploy("first");
    assert_eq!(artifact(&fleet, "first").compile_left_ms, None, "nothing is known");
    let (job, input) = fleet.take().unwrap();
    let bytes = input.wasm.len() as u64;
    // One byte in a millisecond.
    fleet.finish(job, Ok(vec![1]), bytes);
    let names = ["a", "b", "c"];
    let mut whole_ms = Vec::new();
    for (name, bytes) in names.into_iter().zip([10_000, 20_000, 40_000]) {
        let wasm = wasm_of_bytes(bytes);
        whole_ms.push(wasm.len() as u64);
        fleet.upload(name, &wasm);
        fleet.deploy(name);
    }
    let left_ms = |name: &str| artifact(&fleet, name).compile_left_ms.unwrap();
    // Two workers are free: the first two jobs begin at once.
    assert_eq!([left_ms("a"), left_ms("b")], whole_ms[..2]);
    assert_eq!(left_ms("c"), (whole_ms[0] + whole_ms[1]) / 2 + whole_ms[2]);
    assert_eq!(artifact(&fleet, "c").jobs_before, Some(2));
    let (_, input) = fleet.take().unwrap();
    assert_eq!(input.wasm.len() as u64, whole_ms[0]);
    fleet.pass_ms(4_000);
    assert_eq!(left_ms("a"), whole_ms[0] - 4_000);
    // Of another target nothing is known.
    fleet.enrol(&FakeDevice::new(2, "riscv64-linux"));
    let unknown = fleet.app.module("c").unwrap().artifacts;
    let unknown = unknown.iter().find(|a| a.target == "riscv64-linux").unwrap();
    assert_eq!(unknown.compile_left_ms, None);
    // The median does not follow one slow job.
    let retry = |fleet: &Fleet| fleet.app.retry_after_s(&fleet.app.state());
    assert_eq!(retry(&fleet), 30, "one part of the sum is unknown");
}

#[test]
fn each_compilation_leaves_a_record_and_the_oldest_go() {
    let (fleet, _) = fleet_with_device();
    fleet.upload("a", &plain_wasm(1));
    for round in 0..40 {
        fleet.deploy("a");
        let (job, _) = fleet.take().unwrap();
        fleet.pass_ms(10);
        fleet.finish(job, Err(format!("no {round}")), 7);
    }
    fleet.deploy("a");
    let (job, _) = fleet.take().unwrap();
    fleet.finish(job, Ok(vec![1, 2]), 9);
    let fleet = fleet.restart();
    let records = fleet.app.compiles("a").unwrap();
    assert_eq!(records.len(), 32);
    assert_eq!(fleet.store().load().unwrap().compiles.len(), 32);
    let newest = &records[0];
    assert_eq!((newest.refusal.as_deref(), newest.artifact_bytes), (None, Some(2)));
    assert_eq!((newest.compile_ms, newest.threads, newest.code_bytes), (9, 2, Some(3)));
    assert_eq!((newest.log.as_str(), newest.stack_bytes), ("all well", Some(64)));
    assert_eq!(newest.compiler, aot_compiler::COMPILER_ID);
    assert!(newest.cpu_features.contains(&"sse4.2".to_owned()), "{newest:?}");
    assert_eq!(records[1].refusal.as_deref(), Some("no 39"));
    assert_eq!(records[31].refusal.as_deref(), Some("no 9"));
}

#[test]
fn a_job_that_nobody_wants_any_more_is_passed_over() {
    let (fleet, _) = fleet_with_device();
    fleet.upload("a", &plain_wasm(1));
    fleet.upload("b", &plain_wasm(2));
    let first = fleet.deploy("a");
    fleet.deploy("b");
    fleet.app.remove_deployment(&first.id).unwrap();
    assert_eq!(order(&fleet), ["b"]);
}

#[test]
fn limits_do_not_matter_to_the_queue() {
    let (fleet, _) = fleet_with_device();
    fleet.upload("a", &plain_wasm(1));
    fleet.deploy("a");
    let wider = NewDeployment { memory_bytes_max: Some(1 << 20), ..deployment_of("a") };
    fleet.app.deploy(&wider).unwrap();
    assert_eq!(order(&fleet), ["a"], "one job for both");
}
