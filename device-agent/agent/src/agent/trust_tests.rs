//! Root documents, heartbeats and trials through the whole loop.

use super::bench::{public, root_document, sealed_root};
use super::*;
use device_protocol::ClockTrust;
use module_package::{Floor, Heartbeat, Root};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn second_root(change: impl FnOnce(&mut Root)) -> Root {
    let mut root = Root { root_version: 2, ..root_document() };
    change(&mut root);
    root
}

fn refused(bench: &Bench) -> Option<u16> {
    bench.report().refused.map(|refused| refused.code.number())
}

#[test]
fn a_signed_step_is_taken_kept_and_followed_by_the_next() {
    let mut bench = running();
    assert!(bench.is_subscribed("farrier/1/root/2"));
    // A new assign key, by which the next manifest is signed.
    let second = second_root(|root| root.assign_keys = vec![public(5)]);
    bench.give_root(2, sealed_root(&second, &[1]));
    assert_eq!((bench.report().root_version, refused(&bench)), (Some(2), None));
    assert!(bench.is_subscribed("farrier/1/root/3") && !bench.is_subscribed("farrier/1/root/2"));
    assert_eq!(bench.app("filter").state, AppState::Running, "what is installed goes on");
    bench.give_manifest(sealed_manifest(bench.manifest(2, &[]), 3));
    assert_eq!(refused(&bench), Some(4), "the key of before");
    bench.restart();
    bench.connect();
    bench.advance(1_000);
    assert_eq!(bench.report().root_version, Some(2));
    assert_eq!(bench.app("filter").state, AppState::Running, "also after a restart");
    bench.give_manifest(sealed_manifest(bench.manifest(2, &[]), 5));
    assert_eq!((bench.report().seq, refused(&bench)), (2, None));
}

#[test]
fn skipped_older_forged_and_half_signed_roots_are_refused() {
    let third = Root { root_version: 3, ..root_document() };
    let new_root_key = second_root(|root| root.root_keys = vec![public(6)]);
    for (version, sealed) in [
        (3, sealed_root(&third, &[1])),
        (2, sealed_root(&third, &[1])),
        (1, sealed_root(&Root { floors: vec![], ..root_document() }, &[1])),
        (2, sealed_root(&second_root(|_| ()), &[9])),
        (2, sealed_root(&second_root(|_| ()), &[])),
        (2, sealed_root(&new_root_key, &[6])),
        (2, sealed_root(&new_root_key, &[1])),
        (2, sealed_root(&second_root(|root| root.epoch = 0), &[1])),
        (2, b"hello".to_vec()),
        (2, vec![0; module_package::ROOT_BYTES_MAX + 1]),
    ] {
        let mut bench = running();
        bench.give_root(version, sealed);
        assert_eq!((refused(&bench), bench.report().root_version), (Some(30), Some(1)));
        bench.restart();
        bench.connect();
        assert_eq!(bench.report().root_version, Some(1), "nothing was persisted");
    }
}

#[test]
fn power_cut_at_any_disk_operation_of_a_root_step_leaves_the_old_or_the_new_root() {
    let sealed = sealed_root(&second_root(|_| ()), &[1]);
    let (mut old, mut new) = (0, 0);
    for cut in 0..8 {
        for seed in 0..8 {
            let mut bench = running();
            bench.cut_disk_after(cut);
            bench.give_root(2, sealed.clone());
            bench.power_back(seed);
            bench.connect();
            let version = bench.report().root_version.unwrap();
            old += u32::from(version == 1);
            new += u32::from(version == 2);
            bench.give_root(2, sealed.clone());
            assert_eq!(bench.report().root_version, Some(2), "cut {cut}");
        }
    }
    assert!(old > 0 && new > 0, "{old} old, {new} new");
}

#[test]
fn what_is_below_a_new_floor_or_signed_by_a_revoked_release_key_is_stopped() {
    let floor = Floor { app: "filter".into(), app_version_min: 2 };
    let below = second_root(|root| root.floors = vec![floor]);
    let revoked = second_root(|root| {
        root.release_keys = vec![public(7)];
        root.revoked = vec![public(2).id()];
    });
    for (root, code) in [(below, 12), (revoked, 5)] {
        let mut bench = running();
        bench.give_root(2, sealed_root(&root, &[1]));
        let app = bench.app("filter");
        assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(code)));
        assert_eq!(bench.running_versions(), 0);
        bench.restart();
        bench.connect();
        bench.advance(1_000);
        assert_eq!(bench.running_versions(), 0);
        assert_eq!(number(bench.app("filter").refusal), Some(code));
    }
}

#[test]
fn a_stolen_assign_key_cannot_take_the_device_beyond_its_root_and_a_new_epoch_leads_back() {
    let mut bench = running();
    let far = Manifest { seq: u64::MAX, ..bench.manifest(2, &[]) };
    bench.give_manifest(sealed_manifest(Manifest { epoch: 9, ..far.clone() }, 3));
    assert_eq!(refused(&bench), Some(27), "an epoch that the root does not have");
    bench.give_manifest(sealed_manifest(far, 3));
    assert_eq!(bench.report().seq, u64::MAX);
    let second = second_root(|root| {
        root.epoch = 2;
        root.assign_keys = vec![public(5)];
        root.revoked = vec![public(3).id()];
    });
    bench.give_root(2, sealed_root(&second, &[1]));
    bench.give_manifest(sealed_manifest(Manifest { epoch: 2, ..bench.manifest(3, &[]) }, 5));
    assert_eq!((bench.report().epoch, bench.report().seq), (2, 3));
}

#[test]
fn a_clockless_device_learns_the_time_by_its_nonce_and_then_refuses_what_has_ended() {
    let mut bench = Bench::with_clock(false);
    bench.connect();
    assert_eq!(bench.report().clock, Some(ClockTrust::Unknown));
    let ended = Manifest { not_after_ms: Some(DAY_MS), ..bench.manifest(1, &[]) };
    bench.give_heartbeat(Heartbeat { nonce: Some([9; 16]), ..bench.heartbeat(1, 0) }, 3);
    bench.advance(1_000);
    assert_eq!(bench.report().clock, Some(ClockTrust::Unknown), "another's nonce");
    let nonce = Some(bench.nonce());
    bench.give_heartbeat(Heartbeat { nonce, ..bench.heartbeat(2 * DAY_MS, 0) }, 2);
    assert_eq!(refused_after(&mut bench), Some(6), "not by an assign key");
    bench.advance(12_000);
    let nonce = Some(bench.nonce());
    bench.give_heartbeat(Heartbeat { nonce, ..bench.heartbeat(2 * DAY_MS, 0) }, 3);
    bench.advance(1_000);
    assert_eq!(bench.report().clock, Some(ClockTrust::Heartbeat));
    assert_eq!(bench.report().nonce, None, "it knows");
    bench.give_manifest(sealed_manifest(ended.clone(), 3));
    assert_eq!((refused(&bench), bench.report().seq), (Some(11), 0));
    bench.restart();
    bench.connect();
    bench.give_manifest(sealed_manifest(ended, 3));
    assert_eq!((refused(&bench), bench.report().seq), (Some(11), 0), "the bound is kept");
}

fn refused_after(bench: &mut Bench) -> Option<u16> {
    bench.advance(1_000);
    refused(bench)
}

#[test]
fn a_device_that_hears_of_a_newer_manifest_and_gets_none_says_that_it_is_frozen() {
    let mut bench = running();
    bench.give_heartbeat(bench.heartbeat(1_000, 2), 3);
    bench.advance(59_000);
    assert_eq!(refused(&bench), None);
    bench.advance(2_000);
    assert_eq!(refused(&bench), Some(31));
    assert_eq!(bench.app("filter").state, AppState::Running);
    bench.deploy(2, &[("filter", "ok 2")]);
    bench.advance(120_000);
    assert_eq!((refused(&bench), bench.report().seq), (None, 2));
}

#[test]
fn a_device_that_hears_nothing_any_more_says_that_it_is_frozen() {
    let mut bench = running();
    bench.give_heartbeat(bench.heartbeat(1_000, 1), 3);
    bench.advance(301_000);
    assert_eq!(refused(&bench), Some(31));
}

#[test]
fn a_time_that_a_stolen_key_set_ahead_does_not_make_the_gateway_look_silent_for_long() {
    let mut bench = Bench::with_clock(false);
    bench.connect();
    let first = Some(bench.nonce());
    bench.give_heartbeat(Heartbeat { nonce: first, ..bench.heartbeat(DAY_MS, 0) }, 3);
    bench.give_heartbeat(bench.heartbeat(3 * DAY_MS, 0), 3);
    for minute in 1..6 {
        bench.advance(60_000);
        bench.give_heartbeat(bench.heartbeat(DAY_MS + minute * 60_000, 0), 3);
    }
    assert_eq!(refused_after(&mut bench), Some(31), "none is newer than three days");
    let nonce = Some(bench.nonce());
    assert_ne!(nonce, first, "it asks again");
    bench.give_heartbeat(Heartbeat { nonce, ..bench.heartbeat(DAY_MS + 300_000, 0) }, 3);
    bench.give_manifest(sealed_manifest(bench.manifest(1, &[]), 3));
    for minute in 6..20 {
        bench.give_heartbeat(bench.heartbeat(DAY_MS + minute * 60_000, 0), 3);
        bench.advance(60_000);
    }
    assert_eq!(refused(&bench), None);
}

#[test]
fn a_version_that_is_not_well_in_its_window_is_reported_and_the_old_one_runs() {
    let mut bench = running();
    bench.deploy(2, &[("filter", "sick 2")]);
    bench.advance(10_000);
    let app = bench.app("filter");
    assert_eq!((app.state, number(app.refusal)), (AppState::Refused, Some(29)), "{}", app.detail);
    assert!(app.fallback && app.detail.ends_with("version 1 goes on running"), "{}", app.detail);
    assert_eq!(app.health, None, "that of what runs");
    bench.restart();
    bench.connect();
    bench.advance(40_000);
    assert_eq!(number(bench.app("filter").refusal), Some(29), "also after a restart");
    bench.deploy(3, &[("filter", "ok 3")]);
    assert!(bench.app("filter").trial_left_ms.is_some());
    bench.advance(40_000);
    let app = bench.app("filter");
    assert_eq!((app.state, app.app_version, app.trial_left_ms), (AppState::Running, 3, None));
}
