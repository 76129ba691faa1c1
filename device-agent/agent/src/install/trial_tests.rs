//! Sets and trials: what takes another's place proves itself, or all go back.

use super::*;

/// Version 1 of `a` and `b` are proven and run; version 2 of both begins its trial.
fn on_trial() -> World {
    let mut world = World::default();
    world.accept(vec![entry("a", 1), entry("b", 1)]);
    world.settle();
    assert_eq!(world.disk.installed.proven.len(), 2);
    world.accept(vec![entry("a", 2), entry("b", 2)]);
    world.deliver_all();
    world.settle_without_fetches();
    assert_eq!(versions(&world), [Some(2), Some(2)]);
    world
}

fn versions(world: &World) -> [Option<u32>; 2] {
    ["a", "b"].map(|app| Some(world::version_of(world.entry_of(world.running(app)?))))
}

fn proven(world: &World) -> Vec<u32> {
    world.disk.installed.proven.iter().map(|p| world::version_of(&p.entry)).collect()
}

fn fail_health(world: &mut World, app: &str) {
    let worker = world.running(app).unwrap();
    world.measure(worker, Figures { health: Some((7, 3)), ..Figures::default() });
}

#[test]
fn no_version_takes_over_before_its_whole_set_is_staged() {
    let mut world = World::default();
    world.accept(vec![entry("a", 1), entry("b", 1)]);
    world.settle();
    world.accept(vec![entry("a", 2), entry("b", 2)]);
    let first = *world.pending.first().unwrap();
    world.deliver(first);
    let artifact = *world.pending.difference(&[first].into()).last().unwrap();
    world.deliver(artifact);
    world.settle_without_fetches();
    assert_eq!(versions(&world), [Some(1), Some(1)]);
    world.deliver_all();
    world.settle_without_fetches();
    assert_eq!(versions(&world), [Some(2), Some(2)]);
}

#[test]
fn what_is_staged_does_not_wait_for_ever_for_what_does_not_arrive() {
    let mut world = World::default();
    world.accept(vec![entry("a", 1), entry("b", 1)]);
    world.settle();
    world.accept(vec![entry("a", 2), entry("b", 2)]);
    let of_a = BlobId::from(entry("a", 2).release);
    world.deliver(of_a);
    let of_b = BlobId::from(entry("b", 2).release);
    let artifact = *world.pending.iter().find(|blob| **blob != of_b).unwrap();
    world.deliver(artifact);
    world.settle_without_fetches();
    assert_eq!(versions(&world), [Some(1), Some(1)]);
    let until = world.installer.deadline().unwrap();
    assert!(until - world.now <= STAGING_MAX);
    world.now = until;
    world.settle_without_fetches();
    assert_eq!(versions(&world), [Some(2), Some(1)]);
}

#[test]
fn a_set_is_committed_as_one_when_all_its_windows_are_over() {
    let mut world = on_trial();
    world.wait(SECS(29));
    assert_eq!(proven(&world), [1, 1]);
    world.wait(SECS(1));
    assert_eq!(proven(&world), [2, 2]);
    assert!(world.disk.installed.attempts.is_empty());
    assert_eq!(world.installer.deadline(), None, "nothing is left in progress");
}

#[test]
fn one_that_is_not_well_leads_the_set_back_and_the_rest_is_tried_again_without_it() {
    let mut world = on_trial();
    fail_health(&mut world, "a");
    world.settle_without_fetches();
    assert_eq!(versions(&world), [Some(1), Some(1)], "the last good set");
    assert!(matches!(stage(&world), Stage::Failed(why) if why.code == RefusalCode::Unhealthy
            && why.detail.contains("health export")));
    let of_b = world.installer.apps().nth(1).unwrap().1.wanted().unwrap();
    assert!(of_b.detail.contains("went back with a"), "{}", of_b.detail);
    world.settle();
    assert_eq!(versions(&world), [Some(1), Some(2)]);
    assert_eq!(proven(&world), [1, 2]);
}

#[test]
fn what_was_given_up_stays_so_over_a_restart_and_until_its_own_next_deployment() {
    let mut world = on_trial();
    fail_health(&mut world, "a");
    world.settle();
    world.cut_power();
    world.settle();
    assert_eq!(versions(&world), [Some(1), Some(2)]);
    world.accept(vec![entry("a", 2), entry("b", 5)]);
    world.settle();
    assert_eq!(versions(&world), [Some(1), Some(5)], "a failure blocks no other deployment");
    world.accept(vec![AppEntry { deployment: 2, ..entry("a", 2) }, entry("b", 5)]);
    world.settle();
    assert_eq!(versions(&world), [Some(2), Some(5)], "the same version again is tried again");
    assert_eq!(proven(&world), [2, 5]);
}

#[test]
fn a_cut_while_on_trial_runs_the_last_good_set_and_then_tries_again() {
    let mut world = on_trial();
    world.keep_stopped_workers = true;
    world.cut_power();
    assert_eq!(proven(&world), [1, 1]);
    world.keep_stopped_workers = false;
    world.settle();
    assert_eq!(proven(&world), [2, 2]);
}

#[test]
fn a_version_under_which_the_device_goes_down_again_and_again_is_given_up() {
    let mut world = on_trial();
    for _ in 0..3 {
        world.cut_power();
        world.settle_without_fetches();
    }
    world.settle();
    assert_eq!(versions(&world), [Some(1), Some(1)]);
    assert!(
        matches!(stage(&world), Stage::Failed(why) if why.detail.contains("went down 3 times"))
    );
}

#[test]
fn the_last_good_version_deployed_again_is_not_on_trial() {
    let mut world = on_trial();
    let again = |app| AppEntry { deployment: 3, ..entry(app, 1) };
    world.accept(vec![again("a"), again("b")]);
    for _ in 0..5 {
        world.settle_without_fetches();
        assert!(world.disk.installed.attempts.is_empty(), "{:?}", world.disk.installed.attempts);
        world.cut_power();
    }
    world.settle();
    let proven = world.disk.installed.proven.iter().map(|proven| &proven.entry);
    assert_eq!(proven.collect::<Vec<_>>(), [&again("a"), &again("b")]);
    assert_eq!(world.entry_of(world.running("a").unwrap()), &again("a"));
    let sensors = vec!["temperature".into()];
    world.accept(vec![AppEntry { sensors, deployment: 4, ..entry("a", 1) }, again("b")]);
    world.settle_without_fetches();
    assert_eq!(world.disk.installed.attempts.len(), 1, "other settings have to prove themselves");
}

#[test]
fn a_renewed_manifest_of_the_same_set_begins_no_other_trial() {
    let mut world = on_trial();
    let workers = ["a", "b"].map(|app| world.running(app));
    for _ in 0..5 {
        world.accept(vec![entry("a", 2), entry("b", 2)]);
        world.settle_without_fetches();
    }
    assert_eq!(["a", "b"].map(|app| world.running(app)), workers);
    assert!(world.disk.installed.attempts.iter().all(|attempt| attempt.starts == 1));
    world.wait(SECS(30));
    assert_eq!(proven(&world), [2, 2], "its window goes on from its begin");
}

#[test]
fn each_rule_of_the_health_window_has_its_words() {
    let well = Figures {
        calls: 10,
        gas_used: Some(10_000_000),
        memory_peak_bytes: 1 << 20,
        ..Figures::default()
    };
    let sick = |last, sick| Figures { health: Some((last, sick)), ..well };
    for (figures, words) in [
        (sick(3, 3), "answered other than 0 3 times"),
        (Figures { gas_used: Some(50_000_000), ..well }, "gas for each call"),
        (Figures { memory_peak_bytes: 5 << 20, ..well }, "bytes of memory"),
    ] {
        let (mut world, old) = running();
        world.measure(old, well);
        world.accept(vec![entry("a", 2)]);
        world.deliver_all();
        world.settle_without_fetches();
        let new = world.running("a").unwrap();
        world.measure(new, figures);
        let Stage::Failed(why) = stage(&world) else { panic!("{words}: {:?}", stage(&world)) };
        assert!(why.detail.contains(words), "{}", why.detail);
        world.settle();
        assert_eq!(world.entry_of(world.running("a").unwrap()), &entry("a", 1));
    }
}

#[test]
fn one_sick_answer_is_forgiven_but_not_at_the_end() {
    let (mut world, _) = running();
    world.accept(vec![AppEntry { health_window_ms: Some(5_000), ..entry("a", 2) }]);
    world.deliver_all();
    world.settle_without_fetches();
    let new = world.running("a").unwrap();
    world.measure(new, Figures { health: Some((1, 1)), ..Figures::default() });
    assert!(matches!(stage(&world), Stage::Running { .. }));
    world.wait(SECS(5));
    assert!(
        matches!(stage(&world), Stage::Failed(why) if why.detail.contains("answered 1 at the end"))
    );
}

#[test]
fn traps_and_deaths_on_trial_lead_back() {
    let mut world = on_trial();
    for _ in 0..3 {
        let worker = world.running("b").unwrap();
        world.worker(worker, WorkerInput::Trapped("tick: unreachable".into()));
        world.worker(world.running("b").unwrap_or(worker), WorkerInput::Trapped("x".into()));
        if world.told_to_stop(worker) {
            break;
        }
    }
    world.settle_without_fetches();
    assert_eq!(versions(&world)[1], Some(1));
    let mut world = on_trial();
    for _ in 0..2 {
        let worker = world.running("b").unwrap();
        world.worker(worker, WorkerInput::Ended("signal 11".into()));
        world.wait(SECS(1));
        world.settle_without_fetches();
    }
    assert_eq!(versions(&world)[1], Some(1));
}

#[test]
fn what_is_withdrawn_stops_and_is_no_version_to_go_back_to() {
    let (mut world, _) = running();
    let slot = world.installer.apps().next().unwrap().1.wanted().unwrap().id;
    world.handle(Input::Withdrawn(slot, refusal(RefusalCode::BelowFloor)));
    world.settle();
    assert_eq!(world.running("a"), None);
    assert!(world.disk.installed.proven.is_empty());
    world.accept(vec![entry("a", 5)]);
    world.settle();
    assert_eq!(world.entry_of(world.running("a").unwrap()), &entry("a", 5));
}
