//! Random histories: manifests, fetches, news of workers, power cuts before any
//! action. The world checks what must hold at every moment; at the end, after one
//! more start and some luck, every application must run its wanted version, or
//! its proven one where the wanted one is bad.

use super::super::*;
use super::world::{World, entry, version_of};
use device_protocol::RefusalCode;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    /// For each of two applications: its version, whether it shall run, and which
    /// deployment says so; version 0 is not listed.
    Manifest([(u32, bool, u64); 2]),
    Deliver(usize),
    Advance(usize),
    Trouble(usize, u8),
    Wait(u64),
    CutPower,
    /// The power goes while the next event is handled.
    CutSoon(usize),
    SlowStops(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let app = || (0u32..7, prop::bool::weighted(0.8), 1u64..3);
    prop_oneof![
        3 => (app(), app()).prop_map(|(a, b)| Step::Manifest([a, b])),
        6 => any::<usize>().prop_map(Step::Deliver),
        10 => any::<usize>().prop_map(Step::Advance),
        3 => (any::<usize>(), 0u8..6).prop_map(|(worker, kind)| Step::Trouble(worker, kind)),
        2 => (0u64..40).prop_map(Step::Wait),
        1 => Just(Step::CutPower),
        2 => (0usize..6).prop_map(Step::CutSoon),
        1 => any::<bool>().prop_map(Step::SlowStops),
    ]
}

fn take(world: &mut World, step: Step) {
    let pick = |count: usize, index: usize| (count > 0).then(|| index % count.max(1));
    let worker_at = |world: &World, index: usize| {
        let index = pick(world.workers.len(), index)?;
        world.workers.keys().nth(index).copied()
    };
    match step {
        Step::Manifest(apps) => {
            let listed = apps.iter().zip(["a", "b"]).filter(|((version, ..), _)| *version > 0);
            let entries = listed
                .map(|((version, run, deployment), app)| {
                    let (run, deployment) = (*run, *deployment);
                    AppEntry { run, deployment, ..entry(app, *version) }
                })
                .collect();
            world.accept(entries);
        }
        Step::Deliver(index) => {
            if let Some(index) = pick(world.pending.len(), index) {
                let blob = *world.pending.iter().nth(index).unwrap();
                world.deliver(blob);
            }
        }
        Step::Advance(index) => {
            if let Some(worker) = worker_at(world, index) {
                world.advance(worker);
            }
        }
        Step::Trouble(index, kind) => {
            let refusal = |code| Refusal::new(code, "test");
            let sick = Figures { health: Some((7, 3)), is_running: true, ..Figures::default() };
            let input = match kind {
                0 => WorkerInput::Refused(refusal(RefusalCode::KnownAnswer)),
                1 => WorkerInput::Overran(refusal(RefusalCode::TimeLimit)),
                2 => WorkerInput::NotStarted(refusal(RefusalCode::WorkerStart)),
                3 => WorkerInput::Trapped("tick".into()),
                4 => WorkerInput::Measured(sick),
                _ => WorkerInput::Ended("signal 9".into()),
            };
            if let Some(worker) = worker_at(world, index)
                // A worker that said hello cannot fail to start.
                && (kind != 2 || !world.workers[&worker].begun)
            {
                world.worker(worker, input);
            }
        }
        Step::Wait(seconds) => {
            world.now += Moment::from_secs(seconds);
            world.handle(Input::Clock);
        }
        Step::CutPower => world.cut_power(),
        Step::CutSoon(actions) => world.cut_after = Some(actions),
        Step::SlowStops(slow) => world.keep_stopped_workers = slow,
    }
}

proptest! {
    #[test]
    fn any_history_with_power_cuts_keeps_the_old_set_or_the_new_one(
        steps in prop::collection::vec(step(), 0..80)
    ) {
        let mut world = World::default();
        for step in steps {
            take(&mut world, step);
        }
        world.cut_power();
        world.settle();
        for wanted in world.disk.desired.clone() {
            let running = world.running(&wanted.app).map(|worker| world.entry_of(worker).clone());
            let attempts = &world.disk.installed.attempts;
            let given_up =
                attempts.iter().any(|a| a.entry == wanted && a.failure().is_some());
            let is_bad = given_up || matches!(version_of(&wanted), 3 | 4);
            let proven = world.disk.installed.proven.iter().find(|proven| proven.entry.app == wanted.app);
            match (wanted.run, is_bad) {
                (false, _) => prop_assert_eq!(running, None),
                (true, false) => prop_assert_eq!(running, Some(wanted)),
                (true, true) => prop_assert_eq!(running, proven.map(|p| p.entry.clone())),
            }
        }
    }
}
