//! The state machine against a world in the test's hand; `random.rs` drives the
//! same world through random histories with power cuts.

#[path = "random.rs"]
mod random;
#[path = "world.rs"]
mod world;

#[path = "trial_tests.rs"]
mod trial_tests;

use super::*;
use device_protocol::RefusalCode;
use world::{World, entry};

const SECS: fn(u64) -> Moment = Moment::from_secs;

fn refusal(code: RefusalCode) -> Refusal {
    Refusal::new(code, "test")
}

/// A world in which version 1 of `a` is proven and runs in the returned worker.
fn running() -> (World, WorkerId) {
    let mut world = World::default();
    world.accept(vec![entry("a", 1)]);
    world.settle();
    let worker = world.running("a").expect("version 1 runs");
    assert_eq!(world.disk.installed.proven.len(), 1);
    (world, worker)
}

fn stage(world: &World) -> &Stage {
    &world.installer.apps().next().unwrap().1.wanted().unwrap().stage
}

#[test]
fn an_application_is_fetched_checked_and_run() {
    let mut world = World::default();
    world.accept(vec![entry("a", 1)]);
    assert_eq!(world.pending.len(), 1, "the release");
    world.deliver_all();
    let worker = world.fresh_worker().unwrap();
    assert_eq!(world.running("a"), None);
    world.worker(worker, WorkerInput::Passed);
    assert_eq!(world.running("a"), Some(worker));
    assert!(world.disk.installed.proven.is_empty(), "not proven before init has returned");
    world.worker(worker, WorkerInput::Started);
    assert_eq!(world.disk.installed.proven[0].entry, entry("a", 1));
}

#[test]
fn the_old_version_runs_until_the_new_one_has_passed_and_the_new_one_waits_for_its_end() {
    let (mut world, old) = running();
    world.accept(vec![entry("a", 2)]);
    world.deliver_all();
    let new = world.fresh_worker().unwrap();
    assert_eq!(world.running("a"), Some(old));
    world.keep_stopped_workers = true;
    world.worker(new, WorkerInput::Passed);
    assert!(world.told_to_stop(old));
    assert_eq!(world.running("a"), Some(old), "the new one may not tick beside it");
    world.worker(old, WorkerInput::Ended("as told".into()));
    assert_eq!(world.running("a"), Some(new));
    world.worker(new, WorkerInput::Started);
    assert_eq!(world.disk.installed.proven[0].entry, entry("a", 1), "it is on trial");
    world.wait(SECS(30));
    assert_eq!(world.disk.installed.proven[0].entry, entry("a", 2));
    assert!(!world.disk.blobs.contains(&entry("a", 1).release.into()), "the old one is collected");
}

#[test]
fn a_refused_new_version_leaves_the_old_one_running() {
    let (mut world, old) = running();
    world.accept(vec![entry("a", 2)]);
    world.deliver_all();
    let new = world.fresh_worker().unwrap();
    world.worker(new, WorkerInput::Refused(refusal(RefusalCode::KnownAnswer)));
    world.settle();
    assert_eq!(world.running("a"), Some(old));
    assert_eq!(*stage(&world), Stage::Failed(refusal(RefusalCode::KnownAnswer)));
    assert_eq!(world.disk.installed.proven[0].entry, entry("a", 1));
    assert!(world.disk.blobs.contains(&entry("a", 1).release.into()));
}

#[test]
fn a_new_version_whose_init_never_returns_leads_back_to_the_old_one() {
    let (mut world, _) = running();
    world.accept(vec![entry("a", 2)]);
    world.deliver_all();
    let new = world.fresh_worker().unwrap();
    world.worker(new, WorkerInput::Passed);
    assert_eq!(world.running("a"), Some(new));
    world.worker(new, WorkerInput::Overran(refusal(RefusalCode::TimeLimit)));
    world.settle();
    let back = world.running("a").unwrap();
    assert_eq!(world.entry_of(back), &entry("a", 1));
}

#[test]
fn a_new_version_whose_init_traps_again_and_again_leads_back_to_the_old_one() {
    let (mut world, _) = running();
    world.accept(vec![entry("a", 2)]);
    world.deliver_all();
    let new = world.fresh_worker().unwrap();
    world.worker(new, WorkerInput::Passed);
    for _ in 0..3 {
        assert_eq!(world.running("a"), Some(new));
        world.worker(new, WorkerInput::Trapped("init: unreachable".into()));
    }
    world.settle();
    assert_eq!(world.entry_of(world.running("a").unwrap()), &entry("a", 1));
    assert!(
        matches!(stage(&world), Stage::Failed(refusal) if refusal.detail.contains("init: unreach"))
    );
}

#[test]
fn a_first_version_whose_init_traps_again_and_again_is_quarantined() {
    let mut world = World::default();
    world.accept(vec![entry("a", 1)]);
    world.deliver_all();
    let worker = world.fresh_worker().unwrap();
    world.worker(worker, WorkerInput::Passed);
    for _ in 0..7 {
        world.worker(worker, WorkerInput::Trapped("init: unreachable".into()));
    }
    assert_eq!(world.running("a"), Some(worker));
    world.worker(worker, WorkerInput::Trapped("init: unreachable".into()));
    assert_eq!(world.running("a"), None);
    let Stage::Failed(why) = stage(&world) else { panic!("{:?}", stage(&world)) };
    assert_eq!(why.code, RefusalCode::CrashLoop);
    assert!(why.detail.contains("8 traps within a minute: init: unreachable"), "{}", why.detail);
    // Also not after a restart, which forgets its release and opens it for the report.
    world.cut_power();
    world.settle();
    assert_eq!(world.running("a"), None);
    let wanted = world.installer.apps().next().unwrap().1.wanted().unwrap();
    assert_eq!(wanted.release.as_ref().map(|release| release.app_version), Some(1));
    world.accept(vec![AppEntry { deployment: 2, ..entry("a", 1) }]);
    world.settle();
    assert!(world.running("a").is_some(), "its next deployment tries it again");
    assert!(world.disk.installed.attempts.is_empty());
}

#[test]
fn traps_far_apart_are_no_crash_loop() {
    let (mut world, worker) = running();
    for _ in 0..30 {
        world.worker(worker, WorkerInput::Trapped("tick: unreachable".into()));
        world.wait(SECS(9));
    }
    assert_eq!(world.running("a"), Some(worker));
}

#[test]
fn what_was_stopped_for_its_own_fault_stays_so_over_restarts_and_its_neighbour_runs() {
    let mut world = World::default();
    world.accept(vec![entry("a", 1), entry("b", 1)]);
    world.settle();
    let worker = world.running("a").unwrap();
    world.worker(worker, WorkerInput::Overran(refusal(RefusalCode::TimeLimit)));
    for _ in 0..3 {
        world.cut_power();
        world.settle();
        assert_eq!(world.running("a"), None);
        assert!(world.running("b").is_some());
    }
    // It is not what a later version goes back to either.
    world.accept(vec![entry("a", 4), entry("b", 1)]); // version 4 does not load
    world.settle();
    assert_eq!(world.running("a"), None);
    world.accept(vec![entry("a", 2), entry("b", 1)]);
    world.settle();
    assert_eq!(world.entry_of(world.running("a").unwrap()), &entry("a", 2));
}

#[test]
fn one_refused_application_does_not_block_another() {
    let mut world = World::default();
    world.accept(vec![entry("a", 3), entry("b", 1)]); // version 3 is for another target
    world.settle();
    assert_eq!(world.running("a"), None);
    assert!(world.running("b").is_some());
}

#[test]
fn a_repeated_entry_changes_nothing_and_a_stopped_one_waits_for_its_own_deployment() {
    let (mut world, worker) = running();
    world.accept(vec![entry("a", 1), entry("b", 1)]);
    world.settle();
    assert_eq!(world.running("a"), Some(worker));
    world.worker(worker, WorkerInput::Overran(refusal(RefusalCode::TimeLimit)));
    world.settle();
    assert_eq!(world.running("a"), None, "it stays stopped");
    world.accept(vec![entry("a", 1), entry("b", 2)]);
    world.settle();
    assert_eq!(world.running("a"), None, "that deployment was about b");
    world.accept(vec![AppEntry { deployment: 2, ..entry("a", 1) }, entry("b", 2)]);
    world.settle();
    assert!(world.running("a").is_some(), "a deployment of its own tries it again");
}

#[test]
fn dying_workers_are_restarted_with_growing_delays_and_then_no_more() {
    let (mut world, mut worker) = running();
    for death in 1..=4 {
        world.worker(worker, WorkerInput::Ended("signal 11".into()));
        let until = world.installer.deadline().unwrap();
        let delay = until - world.now;
        let least = Moment::from_millis(100 << (death - 1));
        assert!(delay >= least && delay <= 2 * least, "death {death}: {delay:?}");
        world.now = until;
        world.settle_without_fetches();
        worker = world.running("a").unwrap();
    }
    world.worker(worker, WorkerInput::Ended("signal 11".into()));
    assert!(
        matches!(stage(&world), Stage::Failed(refusal) if refusal.code == RefusalCode::CrashLoop)
    );
    assert_eq!(world.installer.deadline(), None);
}

#[test]
fn deaths_far_apart_are_no_crash_loop() {
    let (mut world, _) = running();
    for _ in 0..20 {
        let worker = world.running("a").unwrap();
        world.worker(worker, WorkerInput::Ended("signal 9".into()));
        world.now = world.installer.deadline().unwrap() + SECS(16);
        world.settle_without_fetches();
    }
    assert!(world.running("a").is_some());
}

#[test]
fn deaths_by_the_fault_of_a_neighbour_are_no_crash_loop_and_are_not_waited_for() {
    let (mut world, _) = running();
    for count in 1..=20 {
        let worker = world.running("a").unwrap();
        world.worker(worker, WorkerInput::Displaced { by: "b".into() });
        // In the same moment.
        world.settle_without_fetches();
        assert!(world.running("a").is_some_and(|again| again != worker));
        let (_, app) = world.installer.apps().next().unwrap();
        let slot = app.serving().unwrap();
        assert_eq!((slot.displaced, slot.displaced_by.as_deref()), (count, Some("b")));
        assert!(slot.detail.contains("which b brought down"), "{}", slot.detail);
    }
}

#[test]
fn a_runtime_that_does_not_start_is_tried_for_ever_beside_the_old_version() {
    let (mut world, old) = running();
    world.accept(vec![entry("a", 2)]);
    world.deliver_all();
    for _ in 0..30 {
        let new = world.fresh_worker().unwrap();
        world.worker(new, WorkerInput::NotStarted(refusal(RefusalCode::WorkerStart)));
        assert_eq!(world.running("a"), Some(old));
        let until = world.installer.deadline().unwrap();
        assert!(until - world.now <= SECS(60));
        world.now = until;
        world.handle(Input::Clock);
    }
    world.settle();
    assert_eq!(world.entry_of(world.running("a").unwrap()), &entry("a", 2));
}

#[test]
fn a_damaged_artifact_is_fetched_again_and_then_runs() {
    let (mut world, worker) = running();
    world.worker(worker, WorkerInput::Ended("signal 9".into()));
    world.now = world.installer.deadline().unwrap();
    world.handle(Input::Clock);
    let worker = world.fresh_worker().unwrap();
    world.damage_artifact("a", 1);
    world.worker(worker, WorkerInput::Damaged(refusal(RefusalCode::DamagedArtifact)));
    assert_eq!(*stage(&world), Stage::Artifact);
    assert_eq!(world.pending.len(), 1);
    world.settle();
    assert!(world.running("a").is_some());
}

#[test]
fn stopping_keeps_the_application_installed_and_removing_does_not() {
    let (mut world, worker) = running();
    world.accept(vec![AppEntry { run: false, ..entry("a", 1) }]);
    world.settle();
    assert!(world.told_to_stop(worker));
    assert_eq!((world.running("a"), stage(&world)), (None, &Stage::Held));
    assert!(world.disk.blobs.contains(&entry("a", 1).release.into()));
    world.accept(vec![entry("a", 1)]);
    assert!(world.pending.is_empty(), "nothing is fetched again");
    world.settle();
    assert!(world.running("a").is_some());
    world.accept(vec![]);
    world.settle();
    assert_eq!(world.running("a"), None);
    assert!(world.disk.blobs.is_empty() && world.disk.installed.proven.is_empty());
}

#[test]
fn changed_settings_of_a_release_are_tried_beside_the_running_ones() {
    let (mut world, old) = running();
    world.accept(vec![AppEntry { interval_ms: 7, ..entry("a", 1) }]);
    assert_eq!(world.running("a"), Some(old));
    world.settle();
    assert_ne!(world.running("a"), Some(old));
    assert_eq!(world.disk.installed.proven[0].entry.interval_ms, 7);
}

#[test]
fn going_back_to_the_running_version_drops_the_new_one_at_once() {
    let (mut world, old) = running();
    world.accept(vec![entry("a", 2)]);
    world.deliver_all();
    let new = world.fresh_worker().unwrap();
    world.accept(vec![entry("a", 1)]);
    assert!(world.told_to_stop(new));
    world.settle();
    assert_eq!(world.running("a"), Some(old));
}

#[test]
fn a_restart_in_the_middle_of_an_upgrade_runs_the_old_version_meanwhile() {
    let (mut world, _) = running();
    world.accept(vec![entry("a", 2)]);
    world.cut_power();
    world.settle_without_fetches();
    let worker = world.running("a").unwrap();
    assert_eq!(world.entry_of(worker), &entry("a", 1));
    world.settle();
    let worker = world.running("a").unwrap();
    assert_eq!(world.entry_of(worker), &entry("a", 2));
}

#[test]
fn a_newer_manifest_while_the_new_version_begins_wakes_the_old_one() {
    let (mut world, _) = running();
    world.accept(vec![entry("a", 2)]);
    world.deliver_all();
    let second = world.fresh_worker().unwrap();
    world.worker(second, WorkerInput::Passed);
    world.accept(vec![entry("a", 5)]);
    world.settle_without_fetches();
    let worker = world.running("a").unwrap();
    assert_eq!(world.entry_of(worker), &entry("a", 1), "while version 5 is fetched");
    world.settle();
    assert_eq!(world.entry_of(world.running("a").unwrap()), &entry("a", 5));
}
