//! The whole loop against a gateway, a broker and workers in the test's hand.

#[path = "bench.rs"]
mod bench;
#[path = "bench_workers.rs"]
mod bench_workers;

#[path = "actuator_tests.rs"]
mod actuator_tests;
#[path = "channel_tests.rs"]
mod channel_tests;
#[path = "log_tests.rs"]
mod log_tests;
#[path = "scheduling_tests.rs"]
mod scheduling_tests;
#[path = "storage_tests.rs"]
mod storage_tests;
#[path = "trust_tests.rs"]
mod trust_tests;

use bench::{Bench, entry, sealed_manifest, sealed_release};
use device_protocol::{AppReport, AppState, Block, RefusalCode};
use module_limits::LimitAction;
use module_package::{AppEntry, BlobId, DeviceId, Manifest, ReleaseId};
use worker_protocol::{Event as Message, GuestCall, LogLevel, LogLine};

fn number(code: Option<RefusalCode>) -> Option<u16> {
    code.map(RefusalCode::number)
}

/// A bench on which version 1 of `filter` runs.
fn running() -> Bench {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy(1, &[("filter", "ok 1")]);
    assert_eq!(bench.app("filter").state, AppState::Running);
    bench
}

/// What must hold after each refused document: everything is as it was.
fn assert_untouched(bench: &mut Bench, before: &AppReport, code: u16) {
    let report = bench.report();
    assert_eq!(report.refused.as_ref().map(|refused| refused.code.number()), Some(code));
    assert_eq!(report.seq, 1);
    let after = bench.app("filter");
    assert_eq!((after.state, after.release), (AppState::Running, before.release));
    assert!(after.calls > before.calls, "the module goes on");
    assert_eq!(bench.spawned(), 1, "nothing was started or restarted");
    bench.restart();
    bench.connect();
    assert_eq!(bench.report().seq, 1, "nothing was persisted");
}

fn refused_manifest(code: u16, forge: impl FnOnce(&Bench) -> Vec<u8>) {
    let mut bench = running();
    let before = bench.app("filter");
    let forged = forge(&bench);
    bench.give_manifest(forged);
    assert_untouched(&mut bench, &before, code);
}

#[test]
fn a_manifest_is_fetched_run_and_reported() {
    let bench = running();
    let report = bench.report();
    assert_eq!((report.epoch, report.seq, report.refused), (1, 1, None));
    let app = bench.app("filter");
    assert_eq!((app.app_version, app.checks_passed), (1, 1));
    assert_eq!(app.fetched_bytes, app.fetch_total_bytes);
    assert!(app.artifact.is_some() && app.module.is_some() && !app.fallback);
    assert!(report.usage.store_bytes > 0 && report.usage.agent_rss_bytes > 0);
    assert!(bench.subscriptions().is_empty(), "blob topics are left after the fetch");
}

#[test]
fn a_manifest_by_a_strange_key_is_refused() {
    refused_manifest(4, |bench| sealed_manifest(bench.manifest(2, &[]), 9));
}

#[test]
fn a_manifest_by_the_release_key_is_refused() {
    refused_manifest(6, |bench| sealed_manifest(bench.manifest(2, &[]), 2));
}

#[test]
fn a_changed_manifest_is_refused() {
    refused_manifest(7, |bench| {
        let mut sealed = sealed_manifest(bench.manifest(2, &[]), 3);
        *sealed.last_mut().unwrap() ^= 1;
        sealed
    });
}

#[test]
fn a_manifest_for_another_device_is_refused() {
    refused_manifest(8, |bench| {
        let device = DeviceId::of_key(&[5; 32]);
        sealed_manifest(Manifest { device, ..bench.manifest(2, &[]) }, 3)
    });
}

#[test]
fn a_manifest_that_is_too_long_or_no_manifest_is_refused() {
    refused_manifest(1, |_| vec![0; module_package::MANIFEST_BYTES_MAX + 1]);
    refused_manifest(2, |_| b"hello".to_vec());
}

#[test]
fn a_manifest_of_another_version_is_refused() {
    refused_manifest(3, |bench| {
        sealed_manifest(Manifest { version: 2, ..bench.manifest(2, &[]) }, 3)
    });
}

#[test]
fn an_older_manifest_is_refused() {
    refused_manifest(9, |bench| sealed_manifest(bench.manifest(0, &[]), 3));
}

#[test]
fn another_manifest_of_the_same_number_is_refused() {
    refused_manifest(10, |bench| sealed_manifest(bench.manifest(1, &[]), 3));
}

#[test]
fn an_ended_manifest_is_refused_where_the_clock_is_trusted() {
    refused_manifest(11, |bench| {
        sealed_manifest(Manifest { not_after_ms: Some(10), ..bench.manifest(2, &[]) }, 3)
    });
}

#[test]
fn the_same_manifest_again_is_answered_with_the_present_state_and_changes_nothing() {
    let mut bench = running();
    let reports = bench.reports();
    bench.give_manifest_again();
    assert!(bench.reports() > reports);
    assert_eq!((bench.spawned(), bench.report().refused), (1, None));
}

#[test]
fn a_refused_document_is_counted_until_a_newer_manifest_comes() {
    let mut bench = running();
    for _ in 0..3 {
        bench.give_manifest(b"hello".to_vec());
    }
    assert_eq!(bench.report().refused.unwrap().count, 3);
    bench.deploy(2, &[("filter", "ok 1")]);
    assert_eq!(bench.report().refused, None);
}

#[test]
fn a_refusal_is_told_at_least_once_and_cleared_by_the_good_manifest() {
    let mut bench = running();
    bench.give_manifest(b"hello".to_vec());
    let told = bench.reports_with_refusal();
    assert!(told >= 1);
    bench.give_manifest_again();
    assert_eq!(bench.report().refused, None);
}

/// Deploys `filter` anew so that it must be refused while version 1 goes on.
fn refused_release(code: u16, deploy: impl FnOnce(&mut Bench)) -> Bench {
    let mut bench = running();
    deploy(&mut bench);
    let app = bench.app("filter");
    assert_eq!(number(app.refusal), Some(code), "{}", app.detail);
    assert_eq!((app.state, app.fallback), (AppState::Refused, true));
    assert!(app.detail.ends_with("version 1 goes on running"), "{}", app.detail);
    let calls = app.calls;
    bench.advance(1_000);
    assert!(bench.app("filter").calls > calls, "version 1 goes on");
    bench
}

#[test]
fn a_release_for_another_target_is_refused() {
    refused_release(13, |bench| {
        bench.deploy_release(2, "ok 2", |release| release.target.id = "riscv64-linux".into());
    });
    refused_release(13, |bench| {
        bench.deploy_release(2, "ok 2", |release| release.target.bounds_checks = "hardware".into());
    });
    refused_release(13, |bench| {
        bench.deploy_release(2, "ok 2", |release| release.target.aot_version = 7);
    });
}

#[test]
fn a_release_with_an_import_that_nothing_offers_is_refused() {
    let bench = refused_release(18, |bench| {
        bench.deploy_release(2, "ok 2", |release| release.imports.push("farrier.fly".into()));
    });
    assert!(bench.app("filter").detail.contains("farrier.fly"));
}

#[test]
fn a_release_below_the_floor_or_of_another_application_is_refused() {
    refused_release(12, |bench| {
        bench.deploy_release(2, "ok 2", |release| release.app_version = 0);
    });
    refused_release(27, |bench| {
        bench.deploy_release(2, "ok 2", |release| release.app = "other".into());
    });
}

#[test]
fn a_release_by_a_strange_key_is_refused() {
    refused_release(4, |bench| {
        let release = bench.release("filter", 2, "ok 2");
        let sealed = sealed_release(&release, 9);
        bench.offer(&sealed);
        let entry = AppEntry { release: ReleaseId::of(&sealed), ..entry("filter") };
        bench.give(2, vec![entry]);
    });
}

#[test]
fn a_sensor_that_the_device_does_not_have_is_refused() {
    let bench = refused_release(19, |bench| {
        let release = bench.release("filter", 2, "ok 2");
        let release = bench.offer_release(&release);
        let sensors = vec!["temperature".into(), "radar".into()];
        bench.give(2, vec![AppEntry { release, sensors, ..entry("filter") }]);
    });
    assert!(bench.app("filter").detail.contains("radar"));
}

#[test]
fn an_artifact_that_does_not_fit_into_the_store_is_refused() {
    refused_release(15, |bench| {
        let large = "ok ".repeat(100_000);
        bench.deploy(2, &[("filter", &large)]);
    });
}

#[test]
fn what_a_worker_refuses_to_load_has_its_numbers() {
    for (artifact, code) in [
        ("malformed", 21),
        ("wrong-profile", 13),
        ("unknown-import", 18),
        ("over-limit", 20),
        ("wrong-answer", 22),
    ] {
        refused_release(code, |bench| bench.deploy(2, &[("filter", artifact)]));
    }
}

#[test]
fn one_refused_application_does_not_hold_up_another() {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy(1, &[("filter", "malformed"), ("other", "ok")]);
    assert_eq!(bench.app("filter").state, AppState::Refused);
    assert_eq!(bench.app("other").state, AppState::Running);
}

#[test]
fn an_upgrade_starts_the_new_version_before_it_stops_the_old_one() {
    let mut bench = running();
    bench.deploy(2, &[("filter", "ok 2")]);
    let app = bench.app("filter");
    assert_eq!((app.state, app.app_version), (AppState::Running, 2));
    assert_eq!(
        bench.history(),
        ["spawn 1", "begin 1", "spawn 2", "stop 1", "begin 2"].map(String::from)
    );
}

#[test]
fn a_block_changed_on_the_wire_is_refused_and_fetched_again() {
    let mut bench = running();
    bench.deploy_after_a_change_on_the_wire(2, "ok 2");
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Fetching, Some(14)));
    assert!(app.fallback && app.detail.ends_with("version 1 goes on running"));
    bench.advance(20_000);
    assert_eq!(bench.report().refused.unwrap().code.number(), 14);
    assert_eq!(bench.app("filter").app_version, 2);
    assert_eq!(bench.app("filter").state, AppState::Running);
}

#[test]
fn blocks_that_nobody_asked_for_are_ignored() {
    let mut bench = running();
    let block = Block::plain(0, 3, vec![1, 2, 3]);
    bench.give_block(BlobId::of(b"nobody's"), &block);
    assert_eq!(bench.report().refused, None);
}

#[test]
fn a_fetch_without_an_answer_is_reported_as_stalled_and_goes_on() {
    let mut bench = running();
    bench.set_deaf(true);
    bench.deploy(2, &[("filter", "ok 2")]);
    bench.advance(30_000);
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Fetching, None));
    bench.advance(60_000);
    assert_eq!(number(bench.app("filter").refusal), Some(28));
    assert!(bench.wants() >= 4, "it asks again");
    bench.set_deaf(false);
    bench.advance(61_000);
    assert_eq!(bench.app("filter").state, AppState::Running);
    assert_eq!(bench.app("filter").app_version, 2);
}

#[test]
fn a_fetch_that_nobody_answers_ends_and_the_next_deployment_tries_again() {
    let mut bench = running();
    bench.set_deaf(true);
    bench.deploy(2, &[("filter", "ok 2")]);
    bench.advance(605_000);
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(37)));
    assert!(app.fallback && app.detail.ends_with("version 1 goes on running"), "{}", app.detail);
    let wants = bench.wants();
    bench.advance(600_000);
    assert_eq!(bench.wants(), wants, "it has ended");
    bench.set_deaf(false);
    bench.deploy(3, &[("filter", "ok 2")]);
    assert_eq!(bench.app("filter").state, AppState::Running);
    assert_eq!(bench.app("filter").app_version, 3);
}

#[test]
fn a_deployment_that_cannot_be_fetched_does_not_hold_up_another() {
    let mut bench = running();
    bench.lose_blob(b"gone");
    bench.deploy(2, &[("filter", "ok 1"), ("other", "ok 2"), ("lost", "gone")]);
    assert_eq!(bench.app("lost").state, AppState::Fetching);
    assert_eq!(bench.app("other").state, AppState::Running);
    bench.deploy(3, &[("filter", "ok 1"), ("third", "ok 3"), ("lost", "gone")]);
    assert_eq!(bench.app("third").state, AppState::Running);
}

#[test]
fn an_artifact_changed_on_the_disk_is_noticed_at_the_next_start_and_fetched_again() {
    let mut bench = running();
    bench.damage_artifact("ok 1");
    let calls = bench.app("filter").calls;
    bench.advance(1_000);
    assert!(bench.app("filter").calls > calls, "the running worker has its own copy");
    bench.kill_worker();
    bench.advance(1_000);
    assert_eq!(bench.report().refused.unwrap().code.number(), 17);
    let app = bench.app("filter");
    assert_eq!((app.state, app.restarts), (AppState::Running, 1));
}

#[test]
fn a_damaged_release_is_fetched_again_after_a_restart() {
    let mut bench = running();
    bench.damage_release();
    bench.restart();
    bench.connect();
    bench.advance(3_000);
    assert_eq!(bench.app("filter").state, AppState::Running);
    assert_eq!(bench.report().refused.unwrap().code.number(), 17);
}

#[test]
fn a_restarted_agent_runs_what_it_had_before_there_is_a_connection() {
    let mut bench = running();
    bench.restart();
    assert_eq!(bench.spawned(), 1);
    bench.advance(1_000);
    bench.connect();
    assert_eq!(bench.wants(), 0, "nothing is fetched again");
    let report = bench.report();
    assert_eq!((report.seq, bench.app("filter").state), (1, AppState::Running));
}

#[test]
fn counters_do_not_go_back_when_a_worker_dies() {
    let mut bench = running();
    bench.advance(5_000);
    let before = bench.app("filter");
    bench.kill_worker();
    bench.advance(2_000);
    let after = bench.app("filter");
    assert!(after.calls > before.calls && after.cpu_us > before.cpu_us);
    assert_eq!(after.restarts, 1);
}

#[test]
fn a_call_that_runs_too_long_ends_the_worker_until_the_next_deployment() {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy(1, &[("filter", "overruns"), ("other", "ok")]);
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::StoppedTimeLimit, Some(25)));
    bench.advance(120_000);
    assert_eq!(bench.app("filter").state, AppState::StoppedTimeLimit);
    assert_eq!(bench.app("other").state, AppState::Running);
    bench.deploy(2, &[("filter", "ok"), ("other", "ok")]);
    assert_eq!(bench.app("filter").state, AppState::Running);
}

#[test]
fn what_was_stopped_at_a_limit_stays_so_over_a_restart_and_is_reported_with_its_hits() {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy(1, &[("filter", "too-much-gas"), ("other", "ok")]);
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(55)));
    assert_eq!(app.detail, "gas-per-call: tick: out of gas");
    let hits = app.limits.unwrap();
    assert_eq!((hits.gas_per_call, hits.last_action), (1, Some(LimitAction::Stop)));
    bench.restart();
    bench.connect();
    bench.advance(60_000);
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(55)));
    assert_eq!((app.detail.as_str(), app.app_version), ("gas-per-call: tick: out of gas", 1));
    assert_eq!(bench.app("other").state, AppState::Running);
    assert_eq!(bench.spawned(), 1, "only the other was started");
    bench.deploy(2, &[("filter", "ok"), ("other", "ok")]);
    assert_eq!(bench.app("filter").state, AppState::Running);
}

#[test]
fn a_worker_that_dies_again_and_again_is_left_alone() {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy(1, &[("filter", "dies")]);
    bench.advance(60_000);
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(26)));
    assert_eq!(bench.spawned(), 5);
}

#[test]
fn a_trap_is_reported_until_a_fresh_instance_runs() {
    let mut bench = Bench::new();
    bench.connect();
    bench.deploy(1, &[("filter", "traps")]);
    let app = bench.app("filter");
    assert_eq!((app.state, app.detail.as_str()), (AppState::BackingOff, "tick: unreachable"));
    bench.advance(10_000);
    assert_eq!(bench.app("filter").state, AppState::Running);
}

#[test]
fn without_a_runtime_the_manifest_is_kept_and_the_reason_told() {
    let mut bench = Bench::new();
    bench.lose_runtime();
    bench.connect();
    bench.deploy(1, &[("filter", "ok")]);
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(23)));
    assert_eq!(bench.report().seq, 1);
    bench.find_runtime();
    bench.advance(1_000);
    assert_eq!(bench.app("filter").state, AppState::Running);
    assert_eq!(bench.report().refused, None);
}

#[test]
fn a_runtime_that_was_replaced_behind_the_agents_back_gets_no_module() {
    let mut bench = running();
    bench.replace_runtime("riscv64-linux");
    bench.kill_worker();
    bench.advance(5_000);
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(23)));
    assert!(app.detail.contains("restart the agent"), "{}", app.detail);
}

#[test]
fn logs_and_granted_values_go_out_and_others_are_dropped() {
    let mut bench = running();
    bench.advance(1_000);
    assert_eq!(bench.published(), ["filter average 20.5"]);
    assert_eq!(bench.log_lines(), ["filter info started"]);
    assert_eq!(bench.app("filter").publishes_dropped, 1, "a channel that is not granted");
}

#[test]
fn a_device_that_is_offline_keeps_the_newest_lines_and_sends_them_when_it_is_back() {
    let mut bench = running();
    bench.advance(1_000);
    let before = bench.log_lines().len();
    bench.disconnect();
    for number in 0..1_000 {
        let line = LogLine { level: LogLevel::Info, text: number.to_string() };
        bench.say(0, Message::Log(line));
        bench.advance(10);
    }
    assert_eq!(bench.log_lines().len(), before, "nothing goes out without a connection");
    bench.connect();
    let [gap, kept @ ..] = &bench.log_lines()[before..] else { panic!("nothing came") };
    assert_eq!(gap, " warn dropped 744 log lines, because more came than could be sent");
    assert!(kept.iter().cloned().eq((744..1_000).map(|number| format!("filter info {number}"))));
    assert_eq!(bench.app("filter").state, AppState::Running);
}

#[test]
fn a_removed_application_leaves_nothing_behind() {
    let mut bench = running();
    bench.deploy(2, &[]);
    let report = bench.report();
    assert!(report.apps.is_empty() && report.usage.store_bytes == 0);
}

#[test]
fn a_stopped_application_stays_installed() {
    let mut bench = running();
    let release = bench.app("filter").release;
    bench.give(2, vec![AppEntry { release, run: false, ..entry("filter") }]);
    assert_eq!(bench.app("filter").state, AppState::Stopped);
    bench.give(3, vec![AppEntry { release, ..entry("filter") }]);
    assert_eq!(bench.app("filter").state, AppState::Running);
}

#[test]
fn a_full_disk_refuses_the_manifest_and_changes_nothing() {
    let mut bench = running();
    bench.fail_writes(true);
    bench.deploy(2, &[("filter", "ok 2")]);
    let report = bench.report();
    assert_eq!((report.seq, report.refused.unwrap().code.number()), (1, 16));
    assert_eq!(bench.app("filter").state, AppState::Running);
    bench.fail_writes(false);
    bench.deploy(2, &[("filter", "ok 2")]);
    assert_eq!(bench.report().seq, 2);
}

#[test]
fn power_cut_at_any_disk_operation_of_an_upgrade_leaves_a_running_module() {
    let operations = {
        let mut bench = running();
        let before = bench.disk_operations();
        bench.deploy(2, &[("filter", "ok 2")]);
        bench.disk_operations() - before
    };
    assert!(operations > 10, "{operations}");
    for cut in 0..operations {
        let mut bench = running();
        bench.cut_disk_after(cut);
        bench.deploy(2, &[("filter", "ok 2")]);
        bench.power_back(cut);
        bench.advance(100);
        assert_eq!(bench.running_versions(), 1, "before there is a connection, cut {cut}");
        bench.connect();
        bench.deploy(3, &[("filter", "ok 2")]);
        assert_eq!(bench.app("filter").state, AppState::Running, "cut {cut}");
        assert_eq!(bench.app("filter").app_version, 3);
    }
}

#[test]
fn stopping_tells_the_workers_and_ends_when_they_are_gone() {
    let mut bench = running();
    assert!(bench.stop());
    assert_eq!(bench.history().last().unwrap(), "stop 1");
}

#[test]
fn figures_for_which_a_report_has_no_room_are_left_out_and_the_rest_is_told() {
    let names: Vec<String> = (0..40).map(|number| format!("app-{number}")).collect();
    let deploy = |count: usize| {
        let mut bench = Bench::new();
        bench.connect();
        let apps: Vec<_> = names[..count].iter().map(|app| (app.as_str(), "talkative")).collect();
        bench.deploy(1, &apps);
        bench.advance(2_000);
        bench
    };
    let few = deploy(10);
    let guest = few.app("app-3").guest.expect("there is room");
    assert_eq!((guest.metrics.len(), guest.inboxes.len()), (16, 16));
    let many = deploy(40);
    let app = many.app("app-39");
    assert_eq!((app.state, app.guest), (AppState::Running, None));
    assert_eq!(many.report().apps.len(), 40);
}

/// A brief report leaves out what a full one has told, and not what there was no room for.
#[test]
fn what_a_full_report_had_no_room_for_is_not_taken_for_told() {
    let names: Vec<String> = (0..24).map(|number| format!("app-{number}")).collect();
    let mut was_too_long = false;
    // Around what a report has room for.
    for count in 18..=24 {
        let mut bench = Bench::new();
        bench.connect();
        let apps: Vec<_> = names[..count].iter().map(|app| (app.as_str(), "talkative")).collect();
        bench.deploy(1, &apps);
        bench.advance(6_000);
        match bench.app("app-0").guest {
            Some(guest) => assert_eq!(guest.host_calls.len(), GuestCall::ALL.len(), "of {count}"),
            None => was_too_long = true,
        }
    }
    assert!(was_too_long);
}

/// The budget of docs/reports.md. Printed with `--nocapture`.
#[test]
fn the_bytes_of_a_minutes_reports_stay_within_their_budget() {
    for (count, bytes_max) in [(1, 8_000), (10, 42_000), (50, 195_000)] {
        let mut bench = Bench::with_report_interval(5_000);
        bench.connect();
        let names: Vec<String> = (0..count).map(|number| format!("module-{number:02}")).collect();
        let apps: Vec<_> = names.iter().map(|app| (app.as_str(), "typical")).collect();
        bench.deploy(1, &apps);
        bench.advance(10_000);
        assert_eq!(bench.running_versions(), count);
        let (bytes_before, reports_before) = (bench.report_bytes, bench.reports());
        bench.advance(60_000);
        let (bytes, reports) =
            (bench.report_bytes - bytes_before, bench.reports() - reports_before);
        println!("{count} modules: {bytes} B a minute in {reports} reports");
        assert_eq!(reports, 12);
        assert!(bytes <= bytes_max, "{bytes} B, the budget is {bytes_max} B");
        // What a brief report leaves out is still known.
        let app = bench.app("module-00");
        assert!(app.module.is_some() && app.confinement.is_some());
        assert_eq!(app.guest.unwrap().host_calls.len(), 6);
    }
}
