//! Root documents from hand to hand, in files, as people would do it.

mod stub;

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use stub::{Ran, farrier, run};

fn in_folder(folder: &Path, args: &[&str]) -> Ran {
    run(farrier(args).current_dir(folder))
}

#[track_caller]
fn ok(ran: Ran) -> Ran {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

fn new_key(folder: &Path, role: &str, file: &str) -> String {
    let ran = ok(in_folder(folder, &["key", "new", "--role", role, "-o", file, "--json"]));
    let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
    shown["public_key"].as_str().unwrap().to_owned()
}

fn show(folder: &Path, args: &[&str]) -> Value {
    let ran = ok(in_folder(folder, &[&["root", "show", "--json"], args].concat()));
    serde_json::from_str(&ran.stdout).unwrap()
}

/// A folder with root-1.cbor, unsigned, and its three keys.
fn first_root() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let assign = new_key(folder.path(), "assign", "assign.key");
    new_key(folder.path(), "release", "release.key");
    let ran = ok(in_folder(
        folder.path(),
        &[
            "root",
            "init",
            "--keys-dir",
            ".",
            "--assign-key",
            &assign,
            "--release-key",
            "release.key",
            "-o",
            "root-1.cbor",
        ],
    ));
    assert!(ran.stderr.contains("unencrypted"), "{}", ran.stderr);
    folder
}

#[test]
fn two_of_three_people_sign_one_after_the_other() {
    let folder = first_root();
    let folder = folder.path();
    for name in ["root-1.key", "root-2.key", "root-3.key", "release.key"] {
        let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let shown = show(folder, &["root-1.cbor"]);
    assert_eq!((&shown["threshold"], &shown["complete"]), (&2.into(), &false.into()));
    let ran = ok(in_folder(folder, &["root", "sign", "root-1.cbor", "--key", "root-1.key"]));
    assert!(ran.stdout.contains("1 of the 2 signatures"), "{}", ran.stdout);
    // The same key again is still one.
    ok(in_folder(folder, &["root", "sign", "root-1.cbor", "--key", "root-1.key"]));
    assert_eq!(show(folder, &["root-1.cbor"])["complete"], false);
    let ran = ok(in_folder(folder, &["root", "sign", "root-1.cbor", "--key", "root-3.key"]));
    assert!(ran.stdout.contains("2 of the 2") && ran.stderr.contains("root publish"), "{ran:?}");
    assert_eq!(show(folder, &["root-1.cbor"])["complete"], true);

    let refused = in_folder(folder, &["root", "sign", "root-1.cbor", "--key", "release.key"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("a root key is needed"), "{}", refused.stderr);
    new_key(folder, "root", "strange.key");
    let refused = in_folder(folder, &["root", "sign", "root-1.cbor", "--key", "strange.key"]);
    assert!(refused.stderr.contains("no root key of this document"), "{}", refused.stderr);
}

#[test]
fn a_rotation_needs_both_thresholds_and_says_who_is_missing() {
    let folder = first_root();
    let folder = folder.path();
    for key in ["root-1.key", "root-2.key"] {
        ok(in_folder(folder, &["root", "sign", "root-1.cbor", "--key", key]));
    }
    let before = show(folder, &["root-1.cbor"]);
    let old_release = before["release_keys"][0]["id"].as_str().unwrap();
    // A role without a key is no role.
    let bare = ["root", "rotate", "root-1.cbor", "--revoke", old_release, "-o", "root-2.cbor"];
    let refused = in_folder(folder, &bare);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--release-key"), "{}", refused.stderr);

    new_key(folder, "release", "release-2.key");
    let keys: Vec<String> =
        (4..=6).map(|n| new_key(folder, "root", &format!("r{n}.key"))).collect();
    let rotate = [
        "root",
        "rotate",
        "root-1.cbor",
        "--revoke",
        old_release,
        "--release-key",
        "release-2.key",
        "--floor",
        "filter=7",
        "--next-epoch",
        "--root-key",
        &keys[0],
        "--root-key",
        &keys[1],
        "--root-key",
        &keys[2],
        "-o",
        "root-2.cbor",
    ];
    ok(in_folder(folder, &rotate));
    let with_previous = ["root-2.cbor", "--previous", "root-1.cbor"];
    let shown = show(folder, &with_previous);
    assert_eq!((&shown["root_version"], &shown["epoch"]), (&2.into(), &2.into()));
    assert_eq!(shown["revoked"][0], old_release);
    assert_eq!(shown["release_keys"].as_array().unwrap().len(), 1);
    assert_eq!(shown["floors"][0]["version_min"], 7);
    for (key, complete) in
        [("r4.key", false), ("r5.key", false), ("root-2.key", false), ("root-3.key", true)]
    {
        ok(in_folder(folder, &["root", "sign", "root-2.cbor", "--key", key]));
        assert_eq!(show(folder, &with_previous)["complete"], complete, "after {key}");
    }
    // What the command line calls complete is what a device takes.
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let first = read("root-1.cbor");
    let pin = module_package::RootId::of(&first);
    let first = module_package::TrustedRoot::pinned(&first, pin).unwrap();
    assert_eq!(first.step(&read("root-2.cbor")).unwrap().floor_of("filter"), 7);
    let refused =
        in_folder(folder, &["root", "rotate", "root-2.cbor", "--floor", "filter=6", "-o", "x"]);
    assert!(refused.stderr.contains("cannot go down"), "{}", refused.stderr);
}

#[test]
fn damaged_documents_and_wrong_counts_are_refused() {
    let folder = first_root();
    let folder = folder.path();
    std::fs::write(folder.join("bad.cbor"), b"no document").unwrap();
    let refused = in_folder(folder, &["root", "show", "bad.cbor"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("is no root document"), "{}", refused.stderr);
    let again = [
        "root",
        "init",
        "--keys-dir",
        ".",
        "--assign-key",
        "assign.key",
        "--release-key",
        "release.key",
        "-o",
        "root-1.cbor",
    ];
    let refused = in_folder(folder, &again);
    assert!(refused.stderr.contains("there already"), "{}", refused.stderr);
    let four = [&again[..again.len() - 1], &["x.cbor", "--threshold", "4"]].concat();
    let refused = in_folder(folder, &four);
    assert!(refused.stderr.contains("4 of 3 root keys"), "{}", refused.stderr);
    let wrong_role = [
        "root",
        "init",
        "--root-key",
        "release.key",
        "--threshold",
        "1",
        "--assign-key",
        "assign.key",
        "--release-key",
        "release.key",
        "-o",
        "x.cbor",
    ];
    let refused = in_folder(folder, &wrong_role);
    assert!(refused.stderr.contains("a root key is needed"), "{}", refused.stderr);
}
