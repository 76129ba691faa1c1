//! A little of every kind: the part of `cargo xtask test`. One at a time, because two
//! cores hold one fleet, with the kit of `FARRIER_KIT`.

use faults::{Limits, find, run};
use std::io::Write;
use std::path::PathBuf;

#[track_caller]
fn check(name: &str) {
    let kind = find(name).expect("a kind of this name");
    if let Some(why) = (kind.missing)() {
        skip(name, &why);
        return;
    }
    let limits = Limits {
        goal: kind.short_goal,
        seeds: None,
        until: None,
        folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults"),
        commit: String::new(),
        any_commit: true,
        date: String::new(),
    };
    match run(&kind, &limits, None) {
        Ok(ran) => {
            assert_eq!(ran.violations, Vec::<String>::new());
            assert!(ran.complete && ran.faults >= kind.short_goal, "{ran:?}");
            println!("{ran:?}");
        }
        Err(error) => panic!("{error:#}"),
    }
}

/// As CONTRIBUTING.md says.
fn skip(name: &str, why: &str) {
    println!("{name} is skipped: {why}");
    if let Some(path) = std::env::var_os("FARRIER_SKIPS") {
        let file = std::fs::File::options().append(true).create(true).open(path);
        let line = format!("faults: {name}: {why}\n");
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("write FARRIER_SKIPS");
    }
}

#[test]
fn a_fleet_converges_after_agents_are_killed() {
    check("agent-kills");
}

#[test]
fn what_a_killed_gateway_acknowledged_is_there() {
    check("gateway-kills");
}

#[test]
fn what_a_gateway_acknowledged_survives_power_cuts() {
    check("gateway-cuts");
}

#[test]
fn a_device_survives_power_cuts() {
    check("device-cuts");
}

#[test]
fn no_flipped_bit_of_a_signed_document_is_accepted() {
    check("manifest-bits");
}

#[test]
fn no_flipped_bit_of_an_artifact_is_accepted() {
    check("artifact-bits");
}

#[test]
fn what_a_device_promised_survives_a_cut_after_any_write() {
    check("device-prefixes");
}

#[test]
fn what_a_gateway_acknowledged_survives_a_cut_after_any_write() {
    check("gateway-prefixes");
}

#[test]
fn a_fleet_converges_on_bad_links_and_after_partitions() {
    check("partitions");
}

#[test]
fn a_cloned_device_raises_an_alarm() {
    check("clones");
}

#[test]
fn a_fleet_converges_while_clocks_jump() {
    check("clock-jumps");
}

#[test]
fn a_fleet_converges_after_its_broker_has_lost_everything() {
    check("broker-kills");
}

#[test]
fn a_revoked_device_gets_nothing_more() {
    check("revoked-devices");
}

#[test]
fn a_gateway_whose_disk_is_full_loses_nothing_and_heals() {
    check("full-disks");
}

#[test]
fn a_device_runs_nothing_of_what_was_damaged_on_its_disk() {
    check("stored-bits");
}

/// A kind that is in the table and not here would only ever run by hand.
#[test]
fn every_kind_has_a_short_run() {
    let source = include_str!("short.rs");
    for kind in faults::KINDS {
        assert!(source.contains(&format!("check(\"{}\")", kind.name)), "{}", kind.name);
        assert!(kind.short_goal > 0 && kind.short_goal <= kind.goal, "{}", kind.name);
    }
}
