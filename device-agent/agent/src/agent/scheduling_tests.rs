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
