//! From a deployment to manifests: what is built, when, for whom.

use super::fleet::{FakeDevice, Fleet, app_report, deployment_of, plain_wasm, refusal};
use crate::origin::{Origin, for_request};
use crate::store::Change;
use device_protocol::{AppState, Report};
use gateway_api::{
    ArtifactState, DeploymentState, DeviceSelector, Limit, LimitAction, LimitActions, ModuleLimits,
    NewDeployment, ProblemCode, ProgressState,
};
use module_package::CompilePolicy;
use scheduling::{Allowance, Policy, RealTime, Scheduling};
use std::sync::{Arc, Mutex};

#[test]
fn a_module_is_compiled_only_for_targets_that_are_there_and_a_later_device_brings_its_own() {
    let fleet = Fleet::new();
    let arm = FakeDevice::new(1, "aarch64-linux");
    fleet.enrol(&arm);
    fleet.upload("answer", &plain_wasm(42));
    let deployment = fleet.deploy("answer");
    assert_eq!(fleet.work_well(), ["aarch64-linux"]);
    assert_eq!(fleet.manifest(&arm).unwrap().seq, 1);

    let riscv = FakeDevice::new(2, "riscv64-linux");
    fleet.enrol(&riscv);
    assert_eq!(fleet.progress_state(&deployment.id, &riscv), ProgressState::Compiling);
    assert_eq!(fleet.work_well(), ["riscv64-linux"], "without another command");
    assert_eq!(fleet.release(&riscv).target.id, "riscv64-linux");
    assert_eq!(fleet.manifest(&arm).unwrap().seq, 1, "the other device is left alone");
}

#[test]
fn a_manifest_that_comes_later_is_told_with_the_request_that_asked_for_it() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "aarch64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(42));
    let origin = Origin { request_id: "r-7".into(), trace_id: "4bf9".into() };
    let deployment = for_request(Some(origin), || fleet.deploy("answer"));
    let log = Log::default();
    // While there is one subscriber only, a thread without it that comes to a line first
    // turns that line off for all.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone());
    // After the request, by the thread that has compiled.
    tracing::subscriber::with_default(lines.finish(), || fleet.work_well());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("new manifest")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["deployment.id"], deployment.id);
    assert_eq!(line["deployment.request.id"], "r-7");
    assert_eq!(line["deployment.trace.id"], "4bf9");
    assert_eq!((&line["device.id"], &line["generation"]), (&device.id.as_str().into(), &1.into()));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn devices_of_one_class_share_one_job_and_the_cache_serves_later_ones() {
    let fleet = Fleet::new();
    let devices = [1, 2, 3].map(|n| FakeDevice::new(n, "aarch64-linux"));
    devices[..2].iter().for_each(|device| fleet.enrol(device));
    fleet.upload("answer", &plain_wasm(42));
    fleet.deploy("answer");
    assert_eq!(fleet.work_well(), ["aarch64-linux"]);
    fleet.enrol(&devices[2]);
    assert_eq!(fleet.work_well(), [""; 0], "nothing is left to compile");
    assert!(fleet.manifest(&devices[2]).is_some());
    // Other limits need another check and signature, but no compile.
    let wider = NewDeployment { memory_bytes_max: Some(1 << 20), ..deployment_of("answer") };
    fleet.app.deploy(&wider).unwrap();
    assert_eq!(fleet.work_well(), [""; 0]);
    assert_eq!(fleet.release(&devices[0]).limits.memory_bytes_max, 1 << 20);
}

#[test]
fn a_policy_is_compiled_for_apart_and_signed() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    assert_eq!(fleet.work_well(), ["x86_64-linux"]);
    assert_eq!(fleet.release(&device).policy, CompilePolicy::default());
    let metered = NewDeployment { metering: true, ..deployment_of("answer") };
    fleet.app.deploy(&metered).unwrap();
    assert_eq!(fleet.work_well(), ["x86_64-linux"]);
    let policy = fleet.release(&device).policy;
    assert_eq!((policy.metering.as_str(), policy.nan_canonicalization.as_str()), ("gas-1", "none"));
    let both = NewDeployment { canonical_nans: true, ..metered };
    fleet.app.deploy(&both).unwrap();
    assert_eq!(fleet.work_well(), ["x86_64-linux"]);
    assert_eq!(fleet.release(&device).policy.nan_canonicalization, "canonical");
    // What is there already is not compiled again.
    fleet.deploy("answer");
    assert_eq!(fleet.work_well(), [""; 0]);
}

#[test]
fn a_limit_of_gas_is_signed_and_makes_the_module_metered() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let mut limits = ModuleLimits { gas_per_call_max: Some(5_000), ..ModuleLimits::default() };
    limits.actions.ask(Limit::GasPerCall, LimitAction::Stop);
    let new = NewDeployment { limits, ..deployment_of("answer") };
    let deployment = fleet.app.deploy(&new).unwrap();
    assert_eq!(deployment.limits, limits);
    assert_eq!(fleet.work_well(), ["x86_64-linux"]);
    let release = fleet.release(&device);
    assert_eq!(release.policy.metering, "gas-1");
    let signed = release.limits;
    assert_eq!((signed.gas_per_call_max, signed.gas_per_s_max), (Some(5_000), None));
    assert_eq!(signed.actions.unwrap().at(Limit::GasPerCall), LimitAction::Stop);
    // The same code with other limits is another release and no other artifact.
    let limits = ModuleLimits { gas_per_s_max: Some(7_000), ..ModuleLimits::default() };
    fleet.app.deploy(&NewDeployment { limits, ..deployment_of("answer") }).unwrap();
    assert_eq!(fleet.work_well(), [""; 0]);
    let again = fleet.release(&device);
    assert_eq!((again.artifact, again.limits.gas_per_s_max), (release.artifact, Some(7_000)));
}

#[test]
fn limits_that_cannot_be_are_refused_by_name() {
    let fleet = Fleet::new();
    fleet.upload("answer", &plain_wasm(1));
    let deploy =
        |limits| refusal(fleet.app.deploy(&NewDeployment { limits, ..deployment_of("answer") }));
    for gas in [0, u64::MAX] {
        let (code, detail) =
            deploy(ModuleLimits { gas_per_s_max: Some(gas), ..ModuleLimits::default() });
        assert_eq!(code, ProblemCode::BadRequest);
        assert!(detail.starts_with("gas_per_s_max is "), "{detail}");
    }
    let mut limits = ModuleLimits::default();
    limits.actions.ask(Limit::GasRate, LimitAction::Stop);
    assert!(deploy(limits).1.contains("give gas_per_s_max too"));
    limits.actions = LimitActions::default();
    limits.actions.ask(Limit::CallTime, LimitAction::Throttle);
    assert!(deploy(limits).1.contains("call-time cannot throttle; it can stop, restart"));
    // One that exports what metering needs cannot be metered.
    let text = r#"(module (func (export "farrier_start")))"#;
    fleet.upload("own", &wat::parse_str(text).unwrap());
    let limits = ModuleLimits { gas_per_call_max: Some(1), ..ModuleLimits::default() };
    let new = NewDeployment { limits, ..deployment_of("own") };
    let (code, detail) = refusal(fleet.app.deploy(&new));
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("exports farrier_start itself"), "{detail}");
    let new = NewDeployment { limits: ModuleLimits::default(), ..new };
    fleet.app.deploy(&new).unwrap();
}

#[test]
fn the_device_keeps_the_earlier_version_until_the_new_one_is_ready() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let first = fleet.deploy("answer");
    fleet.work_well();
    let old = fleet.manifest(&device).unwrap();

    fleet.upload("answer", &plain_wasm(2));
    let second = fleet.deploy("answer");
    assert_eq!(fleet.manifest(&device).unwrap(), old);
    assert_eq!(fleet.progress_state(&first.id, &device), ProgressState::Replaced);
    assert_eq!(fleet.app.deployment(&first.id).unwrap().state, DeploymentState::Replaced);
    assert_eq!(fleet.progress_state(&second.id, &device), ProgressState::Compiling);
    fleet.work(|_| Ok(b"aot two".to_vec()), |_| Ok(0));
    let new = fleet.manifest(&device).unwrap();
    assert_eq!((new.seq, new.apps.len()), (2, 1));
    assert_eq!(fleet.release(&device).app_version, 2);
}

#[test]
fn an_earlier_deployment_is_repeated_with_all_that_it_had() {
    let fleet = Fleet::new();
    let (one, two) = (FakeDevice::new(1, "x86_64-linux"), FakeDevice::new(2, "x86_64-linux"));
    fleet.enrol(&one);
    fleet.enrol(&two);
    fleet.upload("answer", &plain_wasm(1));
    let both = DeviceSelector::These(vec![one.id.to_string(), two.id.to_string()]);
    let limits = ModuleLimits { gas_per_call_max: Some(77_000), ..ModuleLimits::default() };
    let new = NewDeployment {
        devices: both,
        limits,
        interval_ms: Some(250),
        channels: vec!["average".to_owned()],
        ..deployment_of("answer")
    };
    let first = fleet.app.deploy(&new).unwrap();
    fleet.work_well();
    fleet.upload("answer", &plain_wasm(2));
    let second = fleet.deploy("answer");
    fleet.work(|_| Ok(b"aot two".to_vec()), |_| Ok(0));
    assert_eq!(fleet.release(&one).app_version, 2);

    let third = fleet.app.repeat_deployment(&first.id).unwrap();
    assert_eq!((third.module_version, third.interval_ms), (1, 250));
    assert_eq!((&third.limits, &third.channels), (&first.limits, &first.channels));
    assert_eq!(third.devices, first.devices);
    assert_ne!(third.id, first.id);
    fleet.work_well();
    assert_eq!(fleet.release(&one).app_version, 1);
    let all = fleet.app.deployments();
    let (now, earlier) = gateway_api::earlier_deployment(all.iter().rev(), "answer").unwrap();
    assert_eq!((&now.id, &earlier.id), (&third.id, &second.id));

    // A device that has left is left out, and without any there is nothing to repeat.
    fleet.app.remove_device(&two.id.to_string()).unwrap();
    let fourth = fleet.app.repeat_deployment(&first.id).unwrap();
    assert_eq!(fourth.devices, DeviceSelector::These(vec![one.id.to_string()]));
    fleet.app.remove_device(&one.id.to_string()).unwrap();
    let (code, detail) = refusal(fleet.app.repeat_deployment(&first.id));
    assert!(code == ProblemCode::Conflict && detail.contains("None of the devices"), "{detail}");
    assert_eq!(refusal(fleet.app.repeat_deployment("d-9999")).0, ProblemCode::NotFound);
}

#[test]
fn a_class_is_deployed_once_the_device_has_said_that_its_owner_allows_it() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let (deadline_us, period_us, priority) = (None, None, None);
    let policy = Policy::Fifo;
    let real_time = RealTime { policy, runtime_us: 500, deadline_us, period_us, priority };
    let scheduling = Scheduling { real_time: Some(real_time), ..Scheduling::default() };
    let new = NewDeployment { interval_ms: Some(1), scheduling, ..deployment_of("answer") };
    let deployment = fleet.app.deploy(&new).unwrap();
    fleet.work_well();
    let progress = fleet.progress(&deployment.id, &device);
    assert_eq!(progress.state, ProgressState::Refused);
    assert!(progress.detail.contains("has not said that its owner allows"), "{}", progress.detail);
    assert!(fleet.manifest(&device).is_none_or(|manifest| manifest.apps.is_empty()));

    let less =
        Allowance { policies: vec![policy], utilization_percent_max: 49, ..Default::default() };
    let report = device.report(1, 0, vec![]);
    fleet.report(&device, &Report { scheduling: Some(less.clone()), ..report });
    let progress = fleet.progress(&deployment.id, &device);
    assert_eq!(progress.refusal.unwrap().code, 66);
    assert!(progress.detail.contains("50.0 % of a processor is asked for"), "{}", progress.detail);

    fleet.pass_ms(60_000);
    let enough = Some(Allowance { utilization_percent_max: 50, ..less });
    let report = device.report(2, 0, vec![]);
    fleet.report(&device, &Report { scheduling: enough.clone(), ..report });
    assert_eq!(fleet.app.devices()[0].scheduling, enough);
    fleet.work_well();
    let entry = fleet.manifest(&device).unwrap().apps.remove(0);
    assert_eq!((entry.class.as_str(), entry.interval_ms), ("real-time", 1));
    assert_eq!(entry.scheduling.unwrap().real_time, Some(real_time));

    let senseless = RealTime { runtime_us: 1_001, ..real_time };
    let scheduling = Scheduling { real_time: Some(senseless), ..Scheduling::default() };
    let (code, why) = refusal(fleet.app.deploy(&NewDeployment { scheduling, ..new.clone() }));
    assert!(code == ProblemCode::BadRequest && why.contains("runtime_us is 1001"), "{why}");
    let usual = NewDeployment { scheduling: Scheduling::default(), ..new };
    assert!(refusal(fleet.app.deploy(&usual)).1.contains("it must be 10 to"), "best-effort");
}

#[test]
fn a_refused_version_leaves_the_earlier_one_and_says_why() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    fleet.work_well();
    let old = fleet.manifest(&device).unwrap();

    fleet.upload("answer", &plain_wasm(2));
    let second = fleet.deploy("answer");
    fleet.work(|_| Ok(b"aot two".to_vec()), |_| Err("step 1 does not hold".into()));
    let progress = fleet.progress(&second.id, &device);
    assert_eq!(
        (progress.state, progress.detail.as_str()),
        (ProgressState::Refused, "step 1 does not hold")
    );
    assert_eq!(fleet.app.deployment(&second.id).unwrap().state, DeploymentState::Failed);
    assert_eq!(fleet.manifest(&device).unwrap(), old);
    let module = fleet.app.module("answer").unwrap();
    assert_eq!(module.artifacts[0].state, ArtifactState::Refused);

    // Deploying again tries again.
    let third = fleet.deploy("answer");
    fleet.work_well();
    assert_eq!(fleet.progress_state(&third.id, &device), ProgressState::Published);
    assert_eq!(fleet.manifest(&device).unwrap().seq, 2);
}

#[test]
fn a_device_that_cannot_run_it_gets_the_reason_and_no_job() {
    let fleet = Fleet::new();
    let mut poor = FakeDevice::new(1, "x86_64-linux");
    poor.cpu_features.clear();
    let mut silent = FakeDevice::new(2, "aarch64-linux");
    silent.imports.retain(|i| i != "farrier.log");
    let mut blind = FakeDevice::new(3, "riscv64-linux");
    blind.sensors.clear();
    [&poor, &silent, &blind].into_iter().for_each(|device| fleet.enrol(device));
    let wasm = wat::parse_str(
        "(module (import \"farrier\" \"log\" (func (param i32 i32 i32))) (memory 1))",
    );
    fleet.upload("logger", &wasm.unwrap());
    let new = NewDeployment { sensors: vec!["temperature".into()], ..deployment_of("logger") };
    let deployment = fleet.app.deploy(&new).unwrap();
    assert_eq!(fleet.work_well(), [""; 0]);
    let of = |device| {
        let progress = fleet.progress(&deployment.id, device);
        assert_eq!(progress.state, ProgressState::Refused);
        (progress.refusal.unwrap().code, progress.detail)
    };
    let (code, detail) = of(&poor);
    assert!(code == 13 && detail.contains("sse3"), "{code}: {detail}");
    let (code, detail) = of(&silent);
    assert!(code == 18 && detail.contains("farrier.log"), "{code}: {detail}");
    let (code, detail) = of(&blind);
    assert!(code == 19 && detail.contains("declares none"), "{code}: {detail}");
    assert_eq!(deployment.state, DeploymentState::Failed);
}

#[test]
fn a_module_larger_than_its_limit_is_refused_by_number() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("big", &wat::parse_str("(module (memory 300))").unwrap());
    let narrow = NewDeployment { memory_bytes_max: Some(16 << 20), ..deployment_of("big") };
    let deployment = fleet.app.deploy(&narrow).unwrap();
    let progress = fleet.progress(&deployment.id, &device);
    assert_eq!(progress.refusal.unwrap().code, 20);
    assert!(progress.detail.contains("19660800") && progress.detail.contains("16777216"));
    // Unless somebody says how much, it can start and grow.
    assert_eq!(fleet.deploy("big").memory_bytes_max, 19_660_800 + (16 << 20));
    assert_eq!(fleet.work_well(), ["x86_64-linux"]);
}

#[test]
fn a_removed_deployment_takes_its_application_along_and_nothing_older_comes_back() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let first = fleet.deploy("answer");
    fleet.work_well();
    fleet.upload("answer", &plain_wasm(2));
    let second = fleet.deploy("answer");
    fleet.work(|_| Ok(b"aot two".to_vec()), |_| Ok(0));

    fleet.app.remove_deployment(&second.id).unwrap();
    let manifest = fleet.manifest(&device).unwrap();
    assert_eq!((manifest.seq, manifest.apps.len()), (3, 0));
    assert_eq!(refusal(fleet.app.deployment(&second.id)).0, ProblemCode::NotFound);
    assert_eq!(fleet.progress_state(&first.id, &device), ProgressState::Replaced);
    let third = fleet.deploy("answer@1");
    assert_ne!(third.id, second.id, "a number is never given twice");
    assert_eq!(fleet.manifest(&device).unwrap().seq, 4);
}

#[test]
fn a_manifest_is_kept_before_it_is_published_and_published_again_after_a_crash() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    fleet.work_well();
    // At the moment when the rules tell the outbox, the store has the manifest.
    assert_eq!(*fleet.outbox.told.lock().unwrap(), vec![device.id.clone()]);
    assert_eq!(fleet.store().load().unwrap().manifests[0].seq, 1);
    // The process dies before anything was sent.
    let fleet = fleet.restart();
    assert_eq!(fleet.app.devices_with_manifests(), vec![device.id.clone()]);
    assert_eq!(fleet.manifest(&device).unwrap().seq, 1);
    assert_eq!(fleet.work_well(), [""; 0], "nothing is compiled again");
}

#[test]
fn jobs_that_a_restart_interrupted_run_again() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    let fleet = fleet.restart();
    assert_eq!(fleet.work_well(), ["x86_64-linux"]);
    let fleet = fleet.restart();
    assert_eq!(fleet.manifest(&device).unwrap().apps.len(), 1);
}

#[test]
fn a_change_that_was_kept_without_its_manifests_is_completed_at_the_start() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let deployment = fleet.deploy("answer");
    fleet.work_well();
    // As if the process had died between the removal and the manifest after it.
    let number = deployment.id.rsplit('-').next().unwrap().parse().unwrap();
    fleet.store().commit(&[Change::DeleteDeployment(number)]).unwrap();
    let fleet = fleet.restart();
    let manifest = fleet.manifest(&device).unwrap();
    assert_eq!((manifest.seq, manifest.apps.len()), (2, 0));
}

#[test]
fn progress_follows_the_devices_own_word() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    let deployment = fleet.deploy("answer");
    fleet.work_well();
    let progress = fleet.progress(&deployment.id, &device);
    assert_eq!((progress.state, progress.generation), (ProgressState::Published, Some(1)));
    assert!(progress.detail.contains("has not reported yet"), "{}", progress.detail);

    let release = fleet.manifest(&device).unwrap().apps[0].release;
    fleet.report(&device, &device.report(1, 0, vec![]));
    assert_eq!(fleet.progress_state(&deployment.id, &device), ProgressState::Published);
    let states = [
        (AppState::Fetching, ProgressState::Fetching),
        (AppState::Starting, ProgressState::Starting),
        (AppState::Running, ProgressState::Running),
        (AppState::StoppedTimeLimit, ProgressState::Stopped),
        (AppState::Refused, ProgressState::Refused),
    ];
    for (counter, (reported, shown)) in (2..).zip(states) {
        let report = device.report(counter, 1, vec![app_report("answer", release, reported)]);
        fleet.report(&device, &report);
        assert_eq!(fleet.progress_state(&deployment.id, &device), shown);
    }
    // Silence is not progress.
    let fetching = app_report("answer", release, AppState::Fetching);
    fleet.report(&device, &device.report(20, 1, vec![fetching]));
    fleet.pass_ms(10_001);
    let progress = fleet.progress(&deployment.id, &device);
    assert_eq!(progress.state, ProgressState::Published);
    assert!(progress.detail.contains("offline"));
}

#[test]
fn a_new_deployment_of_the_same_content_is_a_new_generation() {
    // It is how an application that was stopped for its time limit starts again.
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    fleet.work_well();
    fleet.deploy("answer");
    assert_eq!(fleet.manifest(&device).unwrap().seq, 2);
}

#[test]
fn a_full_manifest_refuses_the_next_application_and_keeps_the_others() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    let mut last = String::new();
    for number in 0..65 {
        fleet.upload(&format!("app-{number}"), &plain_wasm(number));
        last = fleet.deploy(&format!("app-{number}")).id;
        fleet.work(|_| Ok(format!("aot {number}").into_bytes()), |_| Ok(0));
    }
    assert_eq!(fleet.manifest(&device).unwrap().apps.len(), 64);
    let progress = fleet.progress(&last, &device);
    assert_eq!(progress.state, ProgressState::Refused);
    assert!(progress.detail.contains("no room"), "{}", progress.detail);
}

#[test]
fn what_is_wrong_with_a_deployment_is_said() {
    let fleet = Fleet::new();
    fleet.upload("answer", &plain_wasm(1));
    let deploy = |new: NewDeployment| refusal(fleet.app.deploy(&new));
    assert_eq!(deploy(deployment_of("other")).0, ProblemCode::NotFound);
    assert_eq!(deploy(deployment_of("answer@2")).0, ProblemCode::NotFound);
    let base = deployment_of("answer");
    let (code, detail) = deploy(NewDeployment { interval_ms: Some(9), ..base.clone() });
    assert_eq!(code, ProblemCode::BadRequest);
    assert!(detail.contains("10 to 3600000"), "{detail}");
    let nobody = DeviceSelector::These(vec![]);
    assert_eq!(
        deploy(NewDeployment { devices: nobody, ..base.clone() }).0,
        ProblemCode::BadRequest
    );
    let stranger = DeviceSelector::These(vec!["x".into()]);
    assert_eq!(
        deploy(NewDeployment { devices: stranger, ..base.clone() }).0,
        ProblemCode::NotFound
    );
    let twice = vec!["a".into(), "a".into()];
    assert!(deploy(NewDeployment { channels: twice, ..base }).1.contains("twice"));
    let waiting = fleet.deploy("answer");
    assert_eq!(waiting.state, DeploymentState::Waiting);
}

#[test]
fn a_device_that_reports_an_old_generation_gets_its_manifest_again() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.upload("answer", &plain_wasm(1));
    fleet.deploy("answer");
    fleet.work_well();
    fleet.outbox.told.lock().unwrap().clear();
    for second in 1..=11 {
        fleet.report(&device, &device.report(second, 0, vec![]));
        fleet.app.tick();
        fleet.pass_ms(1_000);
    }
    assert_eq!(*fleet.outbox.told.lock().unwrap(), vec![device.id.clone()]);
}
