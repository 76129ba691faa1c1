//! WASI: what is taken in, what has to be said, and what a device is told.

use super::fleet::{FakeDevice, Fleet, app_report, deployment_of, refusal};
use device_protocol::{AppState, ProgramReport};
use gateway_api::{
    NewApplication, NewDeployment, ProblemCode, Provisions, Wasi, WasiRestart, WasiStdout,
};
use worker_protocol::WasiCall;

/// A program that imports these functions, with the types that they have.
fn program(calls: &[WasiCall]) -> Vec<u8> {
    let import = |call: &WasiCall| {
        let params: Vec<&str> = call.params().iter().map(|t| t.name()).collect();
        let result = call.result().map_or("", |_| "(result i32)");
        let params =
            if params.is_empty() { String::new() } else { format!("(param {})", params.join(" ")) };
        format!("(import \"wasi_snapshot_preview1\" \"{}\" (func {params} {result}))", call.name())
    };
    let imports: String = calls.iter().map(import).collect();
    wat::parse_str(format!("(module {imports} (func (export \"_start\")))")).unwrap()
}

fn device_with_wasi() -> FakeDevice {
    let mut device = FakeDevice::new(1, "x86_64-linux");
    device.imports.extend(WasiCall::ALL.iter().map(|call| call.import_name()));
    device
}

fn given(wasi: Wasi) -> NewDeployment {
    let provisions = Provisions { wasi: Some(wasi), ..Provisions::default() };
    NewDeployment { provisions, ..deployment_of("report") }
}

#[test]
fn every_function_of_preview_1_is_taken_with_its_type_alone() {
    let fleet = Fleet::new();
    assert!(fleet.app.upload_module("all", &program(WasiCall::ALL)).is_ok());
    let upload = |import: &str| {
        let text = format!("(module (import \"wasi_snapshot_preview1\" {import}))");
        refusal(fleet.app.upload_module("wrong", &wat::parse_str(text).unwrap()))
    };
    let (code, detail) = upload("\"fd_seek\" (func (param i32 i32 i32 i32) (result i32))");
    assert_eq!(code, ProblemCode::UnknownImport);
    assert!(detail.contains("WASI preview 1 has it as (i32, i64, i32, i32) -> i32"), "{detail}");
    let (_, detail) = upload("\"sock_open\" (func (param i32) (result i32))");
    assert!(detail.contains("wasi_snapshot_preview1.sock_open"), "{detail}");
    assert!(detail.contains("those of wasi_snapshot_preview1"), "{detail}");
    let of_before = "(module (import \"wasi_unstable\" \"fd_write\" (func)))";
    let unknown = fleet.app.upload_module("old", &wat::parse_str(of_before).unwrap());
    assert_eq!(refusal(unknown).0, ProblemCode::UnknownImport);
}

#[test]
fn clocks_and_random_bytes_are_given_or_denied_by_name() {
    let fleet = Fleet::new();
    fleet.enrol(&device_with_wasi());
    fleet.upload("report", &program(&[WasiCall::ClockTimeGet, WasiCall::RandomGet]));
    let (code, detail) = refusal(fleet.app.deploy(&deployment_of("report")));
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("clock_time_get") && detail.contains("clock = true"), "{detail}");
    let clock = Wasi { clock: Some(true), ..Wasi::default() };
    let (_, detail) = refusal(fleet.app.deploy(&given(clock.clone())));
    assert!(detail.contains("random_get") && detail.contains("random = false"), "{detail}");
    let said = Wasi { random: Some(false), ..clock };
    let deployed = fleet.app.deploy(&given(said)).unwrap();
    assert_eq!(deployed.call_ms_max, 60_000, "all of a program is one call");
    let shown = deployed.provisions.wasi.unwrap();
    assert_eq!((shown.clock, shown.random), (Some(true), None), "what is denied takes no room");
    let too_many = Wasi { arguments: vec![String::new(); 33], ..Wasi::default() };
    let (code, detail) = refusal(fleet.app.deploy(&given(Wasi {
        clock: Some(false),
        random: Some(false),
        ..too_many
    })));
    assert_eq!(code, ProblemCode::BadRequest);
    assert!(detail.contains("33 arguments"), "{detail}");
}

#[test]
fn sockets_are_denied_by_name_or_the_module_is_not_deployed() {
    let fleet = Fleet::new();
    fleet.enrol(&device_with_wasi());
    fleet.upload("report", &program(&[WasiCall::FdWrite, WasiCall::SockRecv]));
    let needs = fleet.app.eligibility("report", None, &Default::default()).unwrap().needs;
    assert_eq!(needs.wasi, ["stdout", "sockets"]);
    let (code, detail) = refusal(fleet.app.deploy(&deployment_of("report")));
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("imports wasi_snapshot_preview1.sock_recv"), "{detail}");
    assert!(detail.contains("no network") && detail.contains("sockets = false"), "{detail}");
    let sockets = |sockets| given(Wasi { sockets: Some(sockets), ..Wasi::default() });
    let (code, detail) = refusal(fleet.app.deploy(&sockets(true)));
    assert_eq!(code, ProblemCode::BadRequest);
    assert!(detail.contains("sockets = true, and there are none"), "{detail}");
    fleet.app.deploy(&sockets(false)).unwrap();
}

#[test]
fn a_device_is_told_what_is_granted_and_tells_how_the_program_ended() {
    let fleet = Fleet::new();
    let device = device_with_wasi();
    fleet.enrol(&device);
    fleet.upload("report", &program(&[WasiCall::FdWrite]));
    let wasi = Wasi {
        arguments: vec!["-v".into()],
        environment: [("LANG".to_owned(), "de".to_owned())].into(),
        stdout: Some(WasiStdout::Log),
        restart: Some(WasiRestart::Never),
        ..Wasi::default()
    };
    fleet.app.deploy(&given(wasi)).unwrap();
    fleet.work_well();
    let manifest = fleet.manifest(&device).unwrap();
    let signed = manifest.apps[0].provisions.clone().unwrap().wasi.unwrap();
    assert_eq!((signed.arguments, signed.log, signed.clock), (vec!["-v".into()], Some(true), None));
    assert_eq!(signed.environment[0].key, "LANG");
    assert_eq!(signed.restart, Some(module_package::WasiRestart::Never));
    let state = |counter, exit_code, is_finished| {
        let mut app = app_report("report", manifest.apps[0].release, AppState::Running);
        app.program = Some(ProgramReport { runs: 2, exit_code, is_finished });
        fleet.report(&device, &device.report(counter, manifest.seq, vec![app]));
        let status = fleet.app.ps();
        let [status] = status.as_slice() else { panic!("{status:?}") };
        assert_eq!(status.program.unwrap().runs, 2);
        status.state.clone()
    };
    assert_eq!(state(1, None, false), "running");
    assert_eq!(state(2, Some(0), true), "finished");
    assert_eq!(state(3, Some(4), true), "failed");
}

#[test]
fn each_capability_that_is_new_asks_for_more() {
    let fleet = Fleet::new();
    fleet.enrol(&device_with_wasi());
    fleet.upload("report", &program(&[WasiCall::FdWrite]));
    let file = |wasi: &str| NewApplication {
        file: format!(
            "format = 1\nname = \"reports\"\ndevices = \"all\"\n[[module]]\nname = \"report\"\n\
             version = 1\n[module.wasi]\n{wasi}"
        ),
        ..NewApplication::default()
    };
    fleet.app.apply_application(&file("arguments = [\"a\"]\nrestart = \"never\"")).unwrap();
    let plan = fleet.app.plan_application(&file(
        "arguments = [\"b\"]\nenvironment = { A = \"1\" }\nclock = true\nrandom = true\n\
         stdout = \"log\"\nrestart = \"always\"\n\
         directories = [{ guest = \"/data\", private_bytes = 5 }, { guest = \"/s\", host = \"site\" }]",
    ));
    let plan = plan.unwrap();
    let differences: Vec<(String, bool)> = plan.modules[0]
        .differences
        .iter()
        .map(|d| (format!("{} {}", d.what, d.after.clone().unwrap_or_default()), d.is_more))
        .collect();
    let expected = [
        ("wasi environment", true),
        ("wasi stdout to the log", true),
        ("wasi clock", true),
        ("wasi random", true),
        ("wasi directory /data of its own, 5 bytes", true),
        ("wasi directory /s, the device's site to write", true),
        ("wasi.arguments b", false),
        ("wasi.environment.A 1", false),
        ("wasi.restart always", false),
    ];
    let expected: Vec<_> = expected.map(|(what, is_more)| (what.to_owned(), is_more)).into();
    assert_eq!(differences, expected);
    assert!(plan.asks_for_more);
}
