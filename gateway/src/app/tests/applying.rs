//! Application files: what becomes of them, what is refused, and that all is one commit.

use super::fleet::{FakeDevice, Fleet, deployment_of, plain_wasm, refusal};
use super::uploading::parts;
use crate::app::{AppError, Applied, PageRequest};
use gateway_api::{
    Application, ApplicationPlan, FileProblem, NewApplication, NewDeployment, PlanAction,
    ProblemCode, ProgressState,
};
use module_package::{ModuleId, SharedWith, Sharing};

const HEAD: &str = "format = 1\nname = \"climate\"\ndevices = \"all\"\n";

fn module(name: &str, rest: &str) -> String {
    format!("[[module]]\nname = \"{name}\"\n{rest}\n")
}

fn file_of(modules: &[String]) -> NewApplication {
    NewApplication { file: format!("{HEAD}{}", modules.concat()), ..NewApplication::default() }
}

/// Two modules, each of one version.
fn two() -> NewApplication {
    file_of(&[module("one", "version = 1"), module("two", "version = 1")])
}

/// A module with vectors, which RISC-V does not have here.
fn vector_wasm() -> Vec<u8> {
    let text = "(module (func (export \"answer\") (result i32) \
                (i32x4.extract_lane 0 (i32x4.splat (i32.const 1)))))";
    wat::parse_str(text).unwrap()
}

fn applications(fleet: &Fleet) -> Vec<Application> {
    fleet.app.applications_page(&PageRequest::default()).unwrap().items
}

fn fleet_with(devices: &[&FakeDevice], modules: &[&str]) -> Fleet {
    let fleet = Fleet::new();
    devices.iter().for_each(|device| fleet.enrol(device));
    for (index, name) in modules.iter().enumerate() {
        fleet.upload(name, &plain_wasm(index as u32 + 1));
    }
    fleet
}

fn problems(result: Result<impl std::fmt::Debug, AppError>) -> Vec<String> {
    match result.unwrap_err() {
        AppError::InvalidFile { errors, .. } => errors
            .into_iter()
            .map(|FileProblem { line, column, what }| format!("{line}:{column}: {what}"))
            .collect(),
        other => panic!("another refusal: {other}"),
    }
}

fn actions(plan: &ApplicationPlan) -> Vec<(&str, PlanAction)> {
    plan.modules.iter().map(|module| (module.module.as_str(), module.action)).collect()
}

fn more(plan: &ApplicationPlan) -> Vec<String> {
    let all = plan.modules.iter().flat_map(|module| &module.differences);
    all.filter(|d| d.is_more).map(|d| d.what.clone()).collect()
}

fn apps_on(fleet: &Fleet, device: &FakeDevice) -> Vec<String> {
    let manifest = fleet.manifest(device);
    manifest.map(|m| m.apps.into_iter().map(|app| app.app).collect()).unwrap_or_default()
}

#[test]
fn a_file_becomes_a_deployment_for_each_module_in_one_commit() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one", "two"]);
    let plan = fleet.app.plan_application(&two()).unwrap();
    assert_eq!((plan.from_version, plan.to_version, plan.asks_for_more), (0, 1, false));
    assert_eq!(actions(&plan), [("one", PlanAction::Add), ("two", PlanAction::Add)]);
    assert!(applications(&fleet).is_empty(), "a plan changes nothing");

    let before = fleet.app.audit(0, Some(500)).unwrap().records.len();
    let (applied, answer) = fleet.app.apply_application(&two()).unwrap();
    assert_eq!((applied, answer.plan), (Applied::Changed, plan));
    let records = fleet.app.audit(0, Some(500)).unwrap().records;
    let of_commit: Vec<&str> =
        records[before].actions.iter().map(|action| action.subject.as_str()).collect();
    assert_eq!(of_commit.len(), 4, "both, the application and the counter: {of_commit:?}");
    assert!(of_commit.contains(&"climate version 1"), "{of_commit:?}");

    fleet.work_well();
    assert_eq!(apps_on(&fleet, &device), ["one", "two"]);
    let shown = fleet.app.application("climate").unwrap();
    assert_eq!((shown.version, shown.modules.len(), shown.file), (1, 2, two().file));
    assert_eq!(shown.modules[0].deployment.application.as_deref(), Some("climate"));
}

#[test]
fn only_what_changed_is_deployed_again_and_what_left_the_file_leaves_the_devices() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one", "two"]);
    fleet.app.apply_application(&two()).unwrap();
    fleet.work_well();
    let seq = fleet.manifest(&device).unwrap().seq;

    let (applied, same) = fleet.app.apply_application(&two()).unwrap();
    assert_eq!((applied, same.application.version), (Applied::AsItWas, 1));
    let commented = NewApplication { file: format!("# Hall\n{}", two().file), ..two() };
    let (applied, same) = fleet.app.apply_application(&commented).unwrap();
    assert_eq!((applied, same.application.version), (Applied::AsItWas, 1));
    assert_eq!(fleet.app.application("climate").unwrap().file, commented.file);
    assert_eq!(fleet.manifest(&device).unwrap().seq, seq, "nothing was sent");

    let slower = file_of(&[module("one", "version = 1\ninterval_ms = 5000")]);
    let (_, answer) = fleet.app.apply_application(&slower).unwrap();
    assert_eq!(actions(&answer.plan), [("one", PlanAction::Change), ("two", PlanAction::Remove)]);
    assert_eq!(answer.application.version, 2);
    fleet.work_well();
    let manifest = fleet.manifest(&device).unwrap();
    assert_eq!(manifest.apps.len(), 1);
    assert_eq!((manifest.apps[0].app.as_str(), manifest.apps[0].interval_ms), ("one", 5_000));
    assert_eq!(fleet.app.deployments().len(), 1, "what was replaced is not listed");
}

#[test]
fn more_than_the_version_before_needs_a_yes() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one", "two"]);
    let small = "version = 1\n[module.limits]\nmemory_bytes_max = 65536";
    fleet.app.apply_application(&file_of(&[module("one", small)])).unwrap();
    let large = "version = 1\nsensors = [\"temperature\"]\ninterval_ms = 500\n\
                 [module.limits]\nmemory_bytes_max = 131072\ncall_ms_max = 2000\n\
                 [[module.channel]]\nname = \"average\"\ndirection = \"publish\"";
    let asked = file_of(&[module("one", large), module("two", "version = 1")]);
    let AppError::AsksForMore { plan, detail } = fleet.app.apply_application(&asked).unwrap_err()
    else {
        panic!("another refusal")
    };
    assert!(detail.contains("one: memory_bytes_max 65536 -> 131072"), "{detail}");
    let of_one = ["sensor", "channel", "memory_bytes_max", "call_ms_max", "interval_ms"];
    let told = more(&plan);
    assert_eq!(told[..5], of_one, "{told:?}");
    assert!(told[5..].contains(&"build".to_owned()), "a module more: {told:?}");
    assert_eq!(fleet.app.application("climate").unwrap().version, 1, "nothing was changed");

    let accepted = NewApplication { accept_more: true, ..asked };
    assert_eq!(fleet.app.apply_application(&accepted).unwrap().1.application.version, 2);
    // Less is taken at once.
    let less = file_of(&[module("one", small)]);
    let (_, answer) = fleet.app.apply_application(&less).unwrap();
    assert_eq!((answer.application.version, answer.plan.asks_for_more), (3, false));
}

#[test]
fn a_larger_storage_is_more_and_another_configuration_is_not() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one"]);
    let with = |rest: &str| file_of(&[module("one", &format!("version = 1\n{rest}"))]);
    fleet.app.apply_application(&with("config = { a = \"1\", b = \"2\" }")).unwrap();
    let (_, answer) =
        fleet.app.apply_application(&with("config = { a = \"9\", c = \"3\" }")).unwrap();
    let told: Vec<_> = answer.plan.modules[0]
        .differences
        .iter()
        .map(|d| (d.what.as_str(), d.before.as_deref(), d.after.as_deref()))
        .collect();
    let expected = [
        ("config.a", Some("1"), Some("9")),
        ("config.b", Some("2"), None),
        ("config.c", None, Some("3")),
    ];
    assert_eq!(told, expected);
    fleet.work_well();
    let entry = fleet.manifest(&device).unwrap().apps.remove(0);
    assert_eq!(entry.provisions.unwrap().config.len(), 2);

    let storing = with("storage_bytes = 1024");
    let AppError::AsksForMore { plan, .. } = fleet.app.apply_application(&storing).unwrap_err()
    else {
        panic!("another refusal")
    };
    assert_eq!(more(&plan), ["storage_bytes"]);
}

#[test]
fn a_higher_limit_of_gas_or_a_softer_action_is_more() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one"]);
    let with = |limits: &str| {
        let limits = format!("version = 1\n[module.limits]\n{limits}");
        file_of(&[module("one", &limits)])
    };
    let asked = |limits: &str| match fleet.app.apply_application(&with(limits)) {
        Ok(_) => vec![],
        Err(AppError::AsksForMore { plan, .. }) => more(&plan),
        Err(other) => panic!("another refusal: {other}"),
    };
    let first = "gas_per_call_max = 1000\nactions = { gas-per-call = \"stop\" }";
    assert_eq!(asked(first), [""; 0]);
    fleet.work_well();
    let limits = fleet.release(&device).limits;
    assert_eq!((limits.gas_per_call_max, limits.gas_per_s_max), (Some(1_000), None));
    assert_eq!(asked(&first.replace("1000", "1001")), ["gas_per_call_max"]);
    assert_eq!(asked(&first.replace("stop", "warn")), ["actions.gas-per-call"]);
    assert_eq!(asked(&first.replace("1000", "999")), [""; 0]);
    let none = asked("call_ms_max = 1000");
    assert!(none.contains(&"gas_per_call_max".to_owned()), "no limit is the highest: {none:?}");
}

#[test]
fn a_class_a_higher_priority_and_further_processors_are_more() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one"]);
    let asks = |rest: &str| file_of(&[module("one", &format!("version = 1\n{rest}"))]);
    let fifo = |priority: u8, runtime_us: u32| {
        format!(
            "class = \"real-time\"\ncpus = [1]\n[module.real_time]\npolicy = \"fifo\"\n\
             priority = {priority}\nruntime_us = {runtime_us}"
        )
    };
    fleet.app.apply_application(&asks("cpu_weight = 50\ncpus = [1, 2]")).unwrap();
    let plan = |file: &str| more(&fleet.app.plan_application(&asks(file)).unwrap());
    assert_eq!(plan("cpu_weight = 40\ncpus = [1]"), [""; 0]);
    assert_eq!(plan("cpu_weight = 60\ncpus = [1, 3]").len(), 2);
    assert_eq!(plan(&fifo(5, 100)).len(), 2, "the class, and the usual weight");
    let mut new = asks(&fifo(5, 100));
    new.accept_more = true;
    fleet.app.apply_application(&new).unwrap();
    let plan = |file: &str| more(&fleet.app.plan_application(&asks(file)).unwrap());
    assert_eq!(plan(&fifo(4, 90)), [""; 0]);
    assert_eq!((plan(&fifo(6, 100)).len(), plan(&fifo(5, 101)).len()), (1, 1));
    assert_eq!(plan("cpus = [1]"), [""; 0], "best-effort again");
}

#[test]
fn a_subscription_that_nobody_would_answer_is_refused_by_name() {
    let devices = [1, 2].map(|n| FakeDevice::new(n, "x86_64-linux"));
    let fleet = fleet_with(&[&devices[0], &devices[1]], &["one", "two", "three"]);
    let channel = |name: &str, direction: &str| {
        format!("[[module.channel]]\nname = \"{name}\"\ndirection = \"{direction}\"\n")
    };
    let hears = |rest: &str| {
        module("one", &format!("version = 1\n{}{rest}", channel("speed", "subscribe")))
    };
    let says = |name: &str, devices: &str| {
        module("two", &format!("version = 1\n{devices}\n{}", channel(name, "publish")))
    };
    let told = |modules: &[String]| problems(fleet.app.plan_application(&file_of(modules)));

    let alone = told(&[hears("")]);
    assert!(alone[0].starts_with("8:8: module one subscribes to channel \"speed\", and nobody"));
    assert!(told(&[hears(""), says("sped", "")])[0].contains("did you mean \"sped\"?"));
    let elsewhere = told(&[hears(""), says("speed", "devices = [\"device-1\"]")]);
    assert!(
        elsewhere[0].contains("on device-2 nobody publishes on it: module two"),
        "{elsewhere:?}"
    );

    let plan = |modules: &[String]| fleet.app.plan_application(&file_of(modules)).unwrap();
    plan(&[hears("scope = \"remote\"\n")]);
    plan(&[hears(""), says("speed", "")]);
    // Another deployment on the same devices will do, as long as it is there.
    let other = NewDeployment { channels: vec!["speed".into()], ..deployment_of("three") };
    let other = fleet.app.deploy(&other).unwrap();
    fleet.app.apply_application(&file_of(&[hears("")])).unwrap();
    fleet.work_well();
    let entry = fleet.manifest(&devices[0]).unwrap().apps.remove(0);
    assert_eq!(entry.provisions.unwrap().subscriptions, ["speed"]);
    fleet.app.remove_deployment(&other.id).unwrap();
    assert!(!told(&[hears("")]).is_empty());
}

#[test]
fn a_further_subscription_or_actuator_is_more() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one"]);
    fleet.app.apply_application(&file_of(&[module("one", "version = 1")])).unwrap();
    let rest = "version = 1\nactuators = [\"fan\"]\n[[module.channel]]\nname = \"speed\"\n\
                direction = \"subscribe\"\nscope = \"remote\"";
    let plan = fleet.app.plan_application(&file_of(&[module("one", rest)])).unwrap();
    assert_eq!(more(&plan), ["subscription", "actuator"]);
}

#[test]
fn sharing_a_process_is_more_and_reaches_the_manifest_as_it_was_asked_for() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one"]);
    let with = |rest: &str| file_of(&[module("one", &format!("version = 1\n{rest}"))]);
    fleet.app.apply_application(&with("")).unwrap();
    fleet.work_well();
    let sharing = || fleet.manifest(&device).unwrap().apps.remove(0).sharing;
    assert_eq!(sharing(), None);
    // From the stronger to the weaker, and back.
    let (own, own_app, all) =
        ("", "isolation = \"application\"", "isolation = \"shared\"\npriority = 3");
    let take = |rest: &str| {
        let mut file = with(rest);
        file.accept_more = true;
        fleet.app.apply_application(&file).unwrap();
        fleet.work_well();
    };
    assert_eq!(more(&fleet.app.plan_application(&with(own_app)).unwrap()), ["isolation"]);
    let refused = fleet.app.apply_application(&with(own_app));
    assert!(matches!(refused, Err(AppError::AsksForMore { .. })));
    take(own_app);
    let name = "climate".to_owned();
    assert_eq!(sharing(), Some(Sharing { with: SharedWith::Application(name), priority: 0 }));
    assert_eq!(more(&fleet.app.plan_application(&with(all)).unwrap()), ["isolation", "priority"]);
    take(all);
    assert_eq!(sharing(), Some(Sharing { with: SharedWith::Everybody, priority: 3 }));
    for less in [own, own_app] {
        assert_eq!(more(&fleet.app.plan_application(&with(less)).unwrap()), [""; 0]);
    }
    take(own);
    assert_eq!(sharing(), None);
    assert!(fleet.restart().manifest(&device).unwrap().apps[0].sharing.is_none());
}

#[test]
fn known_answers_of_the_file_are_a_part_of_its_commit() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one"]);
    let with = |steps: &str| file_of(&[module("one", &format!("version = 1\n{steps}"))]);
    let step = |call: &str, expect: &str| {
        format!("[[module.step]]\ncall = \"{call}\"\nexpect = [\"{expect}\"]\n")
    };
    let told = problems(fleet.app.plan_application(&with(&step("ask", "i32:1"))));
    assert!(told[0].starts_with("7:1: one@1: the module exports no function \"ask\""), "{told:?}");
    let told = problems(fleet.app.plan_application(&with(&step("answer", "i64:1"))));
    assert!(told[0].contains("answer gives"), "{told:?}");

    fleet.app.apply_application(&with("")).unwrap();
    fleet.work_well();
    assert!(fleet.release(&device).known_answers.is_empty());
    let one = with(&step("answer", "i32:1"));
    let (_, answer) = fleet.app.apply_application(&one).unwrap();
    let difference = &answer.plan.modules[0].differences[0];
    assert_eq!((difference.what.as_str(), difference.is_more), ("known_answers", false));
    assert_eq!(answer.application.version, 2);
    fleet.work_well();
    assert_eq!(fleet.release(&device).known_answers.len(), 1);
    assert_eq!(fleet.app.apply_application(&one).unwrap().0, Applied::AsItWas);
    // Without steps a file leaves those that the module has.
    assert_eq!(fleet.app.apply_application(&with("")).unwrap().0, Applied::AsItWas);
    assert_eq!(fleet.app.module("one").unwrap().known_answers.len(), 1);
    let fleet = fleet.restart();
    assert_eq!(fleet.app.module("one").unwrap().known_answers.len(), 1);
}

#[test]
fn a_module_of_some_targets_runs_there_alone_also_on_devices_that_come_later() {
    let arm = FakeDevice::new(1, "aarch64-linux");
    let riscv = FakeDevice::new(2, "riscv64-linux");
    let fleet = fleet_with(&[&arm], &["one"]);
    let on =
        |targets: &str| file_of(&[module("one", &format!("version = 1\ntargets = {targets}"))]);
    let told = problems(fleet.app.plan_application(&on("[\"aarch46-linux\"]")));
    assert!(told[0].contains("did you mean \"aarch64-linux\"?"), "{told:?}");

    let (_, answer) = fleet.app.apply_application(&on("[\"riscv64-linux\"]")).unwrap();
    assert!(answer.plan.modules[0].builds.is_empty(), "no device is concerned yet");
    assert_eq!(answer.application.modules[0].deployment.targets, ["riscv64-linux"]);
    assert_eq!(fleet.work_well(), [""; 0]);
    fleet.enrol(&riscv);
    assert_eq!(fleet.work_well(), ["riscv64-linux"]);
    assert!(apps_on(&fleet, &arm).is_empty());
    assert_eq!(apps_on(&fleet, &riscv), ["one"]);

    let both = on("[\"riscv64-linux\", \"aarch64-linux\"]");
    let plan = fleet.app.plan_application(&both).unwrap();
    assert_eq!(more(&plan), ["devices"]);
    assert!(
        fleet
            .app
            .plan_application(&file_of(&[module("one", "version = 1")]))
            .unwrap()
            .asks_for_more
    );
    let fewer = fleet.app.apply_application(&on("[\"x86_64-linux\"]"));
    assert!(matches!(fewer, Err(AppError::AsksForMore { .. })), "others are further ones");
}

/// The reader's bounds are the gateway's: what one takes the other does not refuse.
#[test]
fn the_largest_file_is_taken() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one"]);
    let value = "v".repeat(120);
    let config: String = (0..32).map(|n| format!("k{n} = \"{value}\"\n")).collect();
    let names = |count: usize| -> Vec<String> {
        (0..count).map(|n| format!("{n:02}{}", "n".repeat(62))).collect()
    };
    let channels: String = names(16)
        .iter()
        .map(|name| format!("[[module.channel]]\nname = \"{name}\"\ndirection = \"publish\"\n"))
        .collect();
    let rest = format!(
        "version = 1\ninterval_ms = 3600000\nhealth_window_ms = 86400000\nstorage_bytes = 262144\n\
         sensors = {0:?}\nactuators = {0:?}\n[module.limits]\nmemory_bytes_max = 4294967296\ncall_ms_max = 60000\n\
         [module.config]\n{config}{channels}",
        names(16)
    );
    fleet.app.apply_application(&file_of(&[module("one", &rest)])).unwrap();
}

#[test]
fn devices_that_a_new_version_does_not_name_lose_the_module() {
    let devices = [1, 2].map(|n| FakeDevice::new(n, "x86_64-linux"));
    let fleet = fleet_with(&[&devices[0], &devices[1]], &["one"]);
    fleet.deploy("one");
    let names: Vec<String> = fleet.app.devices().into_iter().map(|device| device.name).collect();
    let on = |names: &[String]| {
        let text = format!("format = 1\nname = \"climate\"\ndevices = {names:?}\n");
        NewApplication { file: text + &module("one", "version = 1"), ..NewApplication::default() }
    };
    fleet.app.apply_application(&on(&names)).unwrap();
    fleet.work_well();
    let fewer = fleet.app.apply_application(&on(&names[..1])).unwrap().1;
    assert!(!fewer.plan.asks_for_more);
    fleet.work_well();
    let having: Vec<bool> =
        devices.iter().map(|device| !apps_on(&fleet, device).is_empty()).collect();
    assert_eq!(having.iter().filter(|has| **has).count(), 1, "{having:?}");
    // Back on both is more than on one.
    assert!(fleet.app.plan_application(&on(&names)).unwrap().asks_for_more);
}

#[test]
fn all_that_is_wrong_is_told_with_its_place() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one", "two"]);
    let two_id = ModuleId::of(&plain_wasm(2));
    let file = file_of(&[
        module("one", "version = 7"),
        module("three", "version = 1"),
        module("four", &format!("id = \"{two_id}\"")),
        module("two", "file = \"two.wasm\"\ndevices = [\"attic\"]"),
    ]);
    let told = problems(fleet.app.plan_application(&file));
    assert_eq!(
        told.iter().map(|line| line.split(": ").next().unwrap()).collect::<Vec<_>>(),
        ["6:11", "9:11", "12:6", "16:12", "15:8"],
        "{told:#?}"
    );
    assert!(told[0].contains("the newest is one@1"), "{told:#?}");
    assert!(told[2].contains("here as two@1"), "{told:#?}");
    let told = problems(fleet.app.plan_application(&file_of(&[module("one", "colour = 1")])));
    assert!(told[0].starts_with("6:1: there is no field \"colour\""), "{told:#?}");
}

#[test]
fn a_file_that_is_not_here_is_told_as_missing_and_not_applied() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one"]);
    let wasm = plain_wasm(99);
    let mut new = file_of(&[module("one", "file = \"build/one.wasm\"")]);
    new.files.insert("build/one.wasm".into(), ModuleId::of(&wasm).to_string());
    let plan = fleet.app.plan_application(&new).unwrap();
    assert_eq!(plan.missing, ["build/one.wasm"]);
    assert_eq!(plan.modules[0].builds[0].build, "build/one.wasm");
    assert_eq!(refusal(fleet.app.apply_application(&new)).0, ProblemCode::Conflict);
    fleet.upload("one", &wasm);
    let (_, answer) = fleet.app.apply_application(&new).unwrap();
    assert_eq!(answer.plan.modules[0].builds[0].build, "one@2");
}

#[test]
fn each_target_gets_the_first_build_that_it_can_run() {
    let arm = FakeDevice::new(1, "aarch64-linux");
    let riscv = FakeDevice::new(2, "riscv64-linux");
    let fleet = fleet_with(&[&arm, &riscv], &[]);
    fleet.upload("image", &vector_wasm());
    fleet.upload("image", &plain_wasm(1));
    let both = file_of(&[module("image", "any_of = [{ version = 1 }, { version = 2 }]")]);
    let (_, answer) = fleet.app.apply_application(&both).unwrap();
    let builds = &answer.plan.modules[0].builds;
    assert_eq!((builds[0].target.as_str(), builds[0].build.as_str()), ("aarch64-linux", "image@1"));
    assert_eq!(builds[0].reason, None);
    assert_eq!((builds[1].target.as_str(), builds[1].build.as_str()), ("riscv64-linux", "image@2"));
    let reason = builds[1].reason.as_deref().unwrap();
    assert!(reason.contains("not image@1") && reason.contains("simd"), "{reason}");

    fleet.work_well();
    assert_eq!(fleet.release(&arm).module, ModuleId::of(&vector_wasm()));
    assert_eq!(fleet.release(&riscv).module, ModuleId::of(&plain_wasm(1)));
    let deployment = &answer.application.modules[0].deployment.id;
    assert_eq!(fleet.progress(deployment, &arm).build.as_deref(), Some("image@1"));
    assert_eq!(fleet.progress(deployment, &riscv).build.as_deref(), Some("image@2"));
    // Alone, the one with vectors is refused there, and the reason stands in the plan.
    let one = file_of(&[module("image", "version = 1")]);
    let plan = fleet.app.plan_application(&one).unwrap();
    assert!(plan.modules[0].builds[1].reason.as_deref().unwrap().contains("refused there"));
}

#[test]
fn a_module_has_one_owner() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one", "two"]);
    let by_hand = fleet.deploy("one");
    let plan = fleet.app.plan_application(&two()).unwrap();
    assert!(plan.modules[0].notes[0].contains(&by_hand.id), "{:?}", plan.modules[0]);
    let (_, answer) = fleet.app.apply_application(&two()).unwrap();
    let taken = &answer.application.modules[0].deployment;
    assert_eq!(taken.id, by_hand.id, "it says the same, so it goes on");

    let (code, detail) = refusal(fleet.app.deploy(&deployment_of("one")));
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("climate"), "{detail}");
    assert_eq!(refusal(fleet.app.remove_deployment(&taken.id)).0, ProblemCode::Conflict);
    let other = NewApplication { file: two().file.replace("climate", "other"), ..two() };
    let told = problems(fleet.app.apply_application(&other));
    assert!(told.iter().all(|line| line.contains("belongs to the application \"climate\"")));

    fleet.app.remove_application("climate").unwrap();
    assert_eq!(refusal(fleet.app.application("climate")).0, ProblemCode::NotFound);
    fleet.work_well();
    assert!(apps_on(&fleet, &device).is_empty());
    assert_eq!(fleet.app.apply_application(&other).unwrap().1.application.version, 1);
}

#[test]
fn what_was_looked_at_is_what_is_changed() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one", "two"]);
    let first = NewApplication { expected_version: Some(0), ..two() };
    fleet.app.apply_application(&first).unwrap();
    let (code, detail) = refusal(fleet.app.apply_application(&first));
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("version 1 by now"), "{detail}");
}

/// A full disk in the middle of it is like a power cut there: all of it or nothing.
#[test]
fn a_commit_that_fails_leaves_the_version_before() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &["one", "two"]);
    fleet.app.apply_application(&two()).unwrap();
    fleet.work_well();
    let before = (fleet.app.application("climate").unwrap(), fleet.manifest(&device));
    fleet.fill_disk(true);
    let next = file_of(&[module("one", "version = 1\ninterval_ms = 9000")]);
    assert!(matches!(fleet.app.apply_application(&next), Err(AppError::Store(_))));
    assert_eq!((fleet.app.application("climate").unwrap(), fleet.manifest(&device)), before);
    fleet.fill_disk(false);
    let fleet = fleet.restart();
    assert_eq!(fleet.app.application("climate").unwrap().version, 1);
    assert_eq!(fleet.app.deployments().len(), 2);
    fleet.app.apply_application(&next).unwrap();
    let fleet = fleet.restart();
    let after = fleet.app.application("climate").unwrap();
    assert_eq!((after.version, after.modules.len()), (2, 1));
    let progress = &after.modules[0].deployment.progress[0];
    assert_ne!(progress.state, ProgressState::Replaced);
}

#[test]
fn an_application_that_needs_too_many_compilations_changes_nothing() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let names = ["m1", "m2", "m3", "m4", "m5"];
    let fleet = fleet_with(&[&device], &names);
    let modules: Vec<String> = names.iter().map(|name| module(name, "version = 1")).collect();
    let refused = fleet.app.apply_application(&file_of(&modules));
    assert!(matches!(refused, Err(AppError::QueueFull { .. })), "{refused:?}");
    assert!(applications(&fleet).is_empty() && fleet.app.deployments().is_empty());
}

#[test]
fn a_module_with_libraries_is_uploaded_as_one_and_found_by_its_inputs() {
    let device = FakeDevice::new(1, "x86_64-linux");
    let fleet = fleet_with(&[&device], &[]);
    let parts = parts();
    let id = |index: usize| ModuleId::of(&parts[index].wasm).to_string();
    let file = "file = \"main.wasm\"\nlink = { math = \"lib/math.wasm\" }";
    let mut new = file_of(&[module("answer", file)]);
    let lacks = problems(fleet.app.plan_application(&new));
    assert!(lacks[0].contains("\"main.wasm\" is a file, and its SHA-256"), "{lacks:?}");
    new.files = [("main.wasm".to_owned(), id(0)), ("lib/math.wasm".to_owned(), id(1))].into();
    let plan = fleet.app.plan_application(&new).unwrap();
    assert_eq!(plan.missing, ["main.wasm with math=lib/math.wasm"]);
    fleet.app.upload_linked_module("answer", None, &parts).unwrap();
    assert!(fleet.app.plan_application(&new).unwrap().missing.is_empty());
    fleet.app.apply_application(&new).unwrap();
    fleet.work_well();
    assert_eq!(apps_on(&fleet, &device), ["answer"]);

    // Another library is another module.
    new.files.insert("lib/math.wasm".to_owned(), ModuleId::of(b"").to_string());
    assert_eq!(fleet.app.plan_application(&new).unwrap().missing, plan.missing);
}
