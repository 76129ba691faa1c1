//! Who gets which class.

use super::{Bench, entry};
use device_protocol::{AppReport, AppState};
use module_package::AppEntry;
use scheduling::{Policy, RealTime, Scheduling};

const ALLOWS: &str = "[scheduling]\npolicies = [\"fifo\", \"deadline\"]\n\
                      utilization_percent_max = 60\npriority_max = 20\ncpus = [1]\n";

fn real_time(policy: Policy, runtime_us: u32) -> Scheduling {
    let (deadline_us, period_us, priority) = (None, None, None);
    let real_time = RealTime { policy, runtime_us, deadline_us, period_us, priority };
    Scheduling { real_time: Some(real_time), ..Scheduling::default() }
}

/// Of a tick every 10 ms.
fn asking(bench: &mut Bench, app: &str, scheduling: Scheduling) -> AppEntry {
    let release = bench.release(app, 1, "ok");
    let release = bench.offer_release(&release);
    let class = scheduling.class().to_owned();
    let scheduling = Some(scheduling);
    AppEntry { release, interval_ms: 10, class, scheduling, ..entry(app) }
}

fn refused(app: &AppReport) -> (u16, &str) {
    assert_eq!(app.state, AppState::Refused, "{}", app.detail);
    (app.refusal.map_or(0, |code| code.number()), &app.detail)
}

#[test]
fn a_real_time_module_is_scheduled_before_it_begins_and_the_report_says_how() {
    let mut bench = Bench::with_config(true, ALLOWS.into());
    bench.connect();
    let asked = asking(&mut bench, "filter", real_time(Policy::Deadline, 5_000));
    bench.give(1, vec![asked]);
    let done = bench.history();
    let at = |what: &str| done.iter().position(|done| done == what);
    assert!(at("schedule 1").unwrap() < at("begin 1").unwrap(), "{done:?}");
    let app = bench.app("filter");
    assert_eq!(app.state, AppState::Running);
    assert_eq!(app.scheduling.unwrap().policy, Some(Policy::Deadline));
    assert_eq!(bench.report().scheduling.unwrap().utilization_percent_max, 60);
}

#[test]
fn nothing_is_given_that_the_owner_does_not_allow() {
    let mut bench = Bench::new();
    bench.connect();
    let asked = asking(&mut bench, "filter", real_time(Policy::Fifo, 100));
    bench.give(1, vec![asked]);
    assert_eq!(bench.report().scheduling, None);
    let app = bench.app("filter");
    let (code, detail) = refused(&app);
    assert!(code == 65 && detail.contains("allows [] (scheduling.policies"), "{code} {detail}");
    assert!(bench.history().iter().all(|done| !done.starts_with("spawn")));

    let mut bench = Bench::with_config(true, ALLOWS.into());
    bench.connect();
    let pinned = Scheduling { cpus: vec![0], ..Scheduling::default() };
    let asked = asking(&mut bench, "filter", pinned);
    bench.give(1, vec![asked]);
    let app = bench.app("filter");
    assert_eq!(refused(&app).0, 65);
}

#[test]
fn a_sum_that_does_not_fit_is_refused_in_numbers_and_takes_nothing_from_the_others() {
    let mut bench = Bench::with_config(true, ALLOWS.into());
    bench.connect();
    let entries = [("a", 4_000), ("b", 2_500), ("c", 2_000)];
    let entries = entries.map(|(app, us)| asking(&mut bench, app, real_time(Policy::Fifo, us)));
    bench.give(1, entries.to_vec());
    assert_eq!(bench.app("a").state, AppState::Running);
    let app = bench.app("b");
    let (code, detail) = refused(&app);
    assert_eq!(code, 66);
    for part in ["25.0 % of a processor is asked for", "40.0 % is in use", "allows 60.0 %"] {
        assert!(detail.contains(part), "{detail}");
    }
    // What was refused may still count: the sum goes by the manifest.
    assert_eq!(refused(&bench.app("c")).0, 66);
}

#[test]
fn what_the_kernel_does_not_give_is_a_refusal_and_no_silent_best_effort() {
    let allows = ALLOWS.replace("60", "200");
    let mut bench = Bench::with_config(true, allows);
    bench.connect();
    let asked = asking(&mut bench, "filter", real_time(Policy::Deadline, 10_000));
    bench.give(1, vec![asked]);
    let app = bench.app("filter");
    assert_eq!(refused(&app), (67, "EBUSY"));
    assert_eq!(app.scheduling, None);
    assert!(bench.history().iter().all(|done| !done.starts_with("begin")));
}

/// Whether the last report says that it gets what others leave.
fn is_lowered(bench: &Bench, app: &str) -> bool {
    bench.app(app).scheduling.is_some_and(|in_force| in_force.lowered == Some(true))
}

/// Until the history says it of a worker, or not.
fn spins_until(bench: &mut Bench, number: usize, ms: u64, what: &str) -> bool {
    let said = |bench: &Bench| bench.history().iter().filter(|done| *done == what).count();
    let before = said(bench);
    (0..20).any(|_| {
        bench.spin(number, ms);
        said(bench) > before
    })
}

#[test]
fn a_module_that_never_waits_gets_what_others_leave_until_it_waits() {
    let config = format!("{ALLOWS}[workers]\nlower_spinning = true\n");
    let mut bench = Bench::with_config(true, config);
    bench.connect();
    let usual = |bench: &mut Bench, app: &str| asking(bench, app, Scheduling::default());
    let (a, b) = (usual(&mut bench, "a"), usual(&mut bench, "b"));
    let (a, b) = (AppEntry { scheduling: None, ..a }, AppEntry { scheduling: None, ..b });
    let c = asking(&mut bench, "c", real_time(Policy::Fifo, 4_000));
    bench.give(1, vec![a, b, c]);
    assert!(spins_until(&mut bench, 1, 1_000, "lower 1"));
    bench.spin(1, 1_000);
    assert!(is_lowered(&bench, "a") && !is_lowered(&bench, "b"));
    assert!(!spins_until(&mut bench, 2, 800, "lower 2"), "it waits now and then");
    assert!(bench.history().contains(&"raise 1".into()), "it wanted nothing meanwhile");
    assert!(!is_lowered(&bench, "a"));
    assert!(!spins_until(&mut bench, 3, 1_000, "lower 3"), "it has the class that it asked for");
    assert_eq!(bench.app("c").scheduling.unwrap().policy, Some(Policy::Fifo));
}

#[test]
fn a_device_whose_owner_does_not_say_so_lowers_nothing() {
    let mut bench = Bench::new();
    bench.connect();
    let a = asking(&mut bench, "a", Scheduling::default());
    bench.give(1, vec![AppEntry { scheduling: None, ..a }]);
    assert!(!spins_until(&mut bench, 1, 1_000, "lower 1"));
}
