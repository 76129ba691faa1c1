use super::*;
use module_package::{Provisions, ReleaseId, WasiProvisions};

fn entry(app: &str, places: &[(&str, WasiPlace)]) -> AppEntry {
    let directory = |(guest, place): &(&str, WasiPlace)| WasiDirectory {
        guest: (*guest).into(),
        place: place.clone(),
    };
    let directories = places.iter().map(directory).collect();
    let wasi = Some(WasiProvisions { directories, ..WasiProvisions::default() });
    AppEntry {
        app: app.into(),
        release: ReleaseId([1; 32]),
        run: true,
        interval_ms: 1_000,
        sensors: vec![],
        channels: vec![],
        class: "best-effort".into(),
        deployment: 1,
        health_window_ms: None,
        provisions: Some(Provisions { wasi, ..Provisions::default() }),
        scheduling: None,
        sharing: None,
    }
}

fn config(data_dir: &Path, more: &str) -> Config {
    Config::parse(&format!(
        "data_dir = {data_dir:?}\ngateway_url = \"http://x\"\nname = \"n\"\n{more}\n\
         [runtime]\npath = \"/r\"\n\
         [[directory]]\nname = \"site\"\npath = {data_dir:?}\n\
         [[directory]]\nname = \"out\"\npath = {data_dir:?}\nwritable = true\nbytes_max = 77\n"
    ))
    .unwrap()
}

fn private(bytes_max: u32) -> WasiPlace {
    WasiPlace::Private { bytes_max }
}

fn host(name: &str, read_only: bool) -> WasiPlace {
    WasiPlace::Host { name: name.into(), read_only }
}

#[test]
fn a_program_s_own_files_survive_until_its_application_leaves() {
    let data = tempfile::tempdir().unwrap();
    let config = config(data.path(), "");
    let report = entry("report", &[("/data", private(1_000)), ("/site", host("site", true))]);
    let opened = open(&report, &config).unwrap();
    assert_eq!(opened.iter().map(|o| o.is_writable).collect::<Vec<_>>(), [true, false]);
    let own = data.path().join(FOLDER).join(hashed("report")).join(hashed("/data"));
    std::fs::write(own.join("kept"), "x").unwrap();
    let mode = std::fs::metadata(data.path().join(FOLDER)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "others do not even get there");
    open(&report, &config).unwrap();
    open(&entry("other", &[("/data", private(1))]), &config).unwrap();
    keep_only(data.path(), &["report"]).unwrap();
    assert!(own.join("kept").exists());
    assert!(!data.path().join(FOLDER).join(hashed("other")).exists());
    // A link that the program made is removed, and not what it names.
    let outside = data.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "x").unwrap();
    std::os::unix::fs::symlink(&outside, own.join("link")).unwrap();
    keep_only(data.path(), &[]).unwrap();
    assert!(!own.exists() && outside.join("precious").exists());
}

#[test]
fn what_the_owner_did_not_name_or_allow_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let config = config(data.path(), "app_files_bytes_max = 1000");
    let refused = |entry: &AppEntry, all: &[AppEntry]| check(entry, all, &config).unwrap_err();
    let unknown = refused(&entry("a", &[("/x", host("keys", true))]), &[]);
    assert_eq!(unknown.code, RefusalCode::NotGranted);
    assert!(unknown.detail.contains("no directory keys") && unknown.detail.contains("site, out"));
    let written = refused(&entry("a", &[("/x", host("site", false))]), &[]);
    assert!(written.detail.contains("read_only = true"), "{}", written.detail);
    let good = entry("b", &[("/x", host("out", false)), ("/y", private(600))]);
    assert!(check(&good, &[], &config).is_ok());
    let before = entry("a", &[("/data", private(401))]);
    let full = refused(&good, &[before, good.clone()]);
    assert_eq!(full.code, RefusalCode::FilesNotGranted);
    assert!(full.detail.contains("1001 together"), "{}", full.detail);
    let of = |place: WasiPlace| {
        let directory = WasiDirectory { guest: "/x".into(), place };
        let Granted { bytes_max, is_private, .. } = granted(&directory, &config);
        (bytes_max, is_private)
    };
    assert_eq!(of(private(5)), (Some(5), true));
    assert_eq!(of(host("out", false)), (Some(77), false));
    assert_eq!((of(host("out", true)), of(host("gone", false))), ((None, false), (None, false)));
}
