//! What a deployment would do, and that asking for it does nothing.

use super::fleet::{FakeDevice, Fleet, deployment_of, plain_wasm, refusal};
use gateway_api::{
    DeploymentPlan, DevicePlanAction, DeviceSelector, NewDeployment, Placement, ProblemCode,
};

fn actions(plan: &DeploymentPlan) -> Vec<(&str, DevicePlanAction)> {
    plan.devices.iter().map(|device| (device.device_name.as_str(), device.action)).collect()
}

#[test]
fn a_plan_tells_devices_replacements_and_compilations_and_commits_nothing() {
    use DevicePlanAction::{Add, Change, Keep, Refuse};
    let fleet = Fleet::new();
    let (pi, gate) = (FakeDevice::new(1, "aarch64-linux"), FakeDevice::new(2, "riscv64-linux"));
    fleet.enrol(&pi);
    fleet.enrol(&gate);
    fleet.enrol(&FakeDevice::new(3, "armv7-linux"));
    fleet.upload("m", &plain_wasm(1));
    let on_pi = DeviceSelector::These(vec![pi.name.clone()]);
    let first = NewDeployment { devices: on_pi.clone(), ..deployment_of("m") };
    let first = fleet.app.deploy(&first).unwrap();
    fleet.work_well();
    fleet.upload("m", &plain_wasm(2));
    let manifest = fleet.manifest(&pi).unwrap();

    let plan = fleet.app.plan_deployment(&deployment_of("m")).unwrap();
    assert_eq!(actions(&plan), [("device-1", Change), ("device-2", Add), ("device-3", Refuse)]);
    assert_eq!((plan.module_version, plan.compile_count, plan.other_device_count), (2, 2, 0));
    let [replaced] = plan.replaces.as_slice() else { panic!("{plan:?}") };
    assert_eq!((&replaced.id, replaced.device_count), (&first.id, 1));
    let what: Vec<&str> = replaced.differences.iter().map(|d| d.what.as_str()).collect();
    assert_eq!(what, ["build", "devices"]);
    assert_eq!(plan.devices[0].replaces.as_ref(), Some(&first.id));
    assert!(plan.devices[0].needs_compile && !plan.devices[2].needs_compile);
    assert_eq!(plan.devices[2].obstacles[0].code, Some(60));

    // What runs already, on one device more.
    let same = fleet.app.plan_deployment(&deployment_of("m@1")).unwrap();
    assert_eq!(actions(&same), [("device-1", Keep), ("device-2", Add), ("device-3", Refuse)]);
    let one = NewDeployment { devices: on_pi, ..deployment_of("m") };
    let one = fleet.app.plan_deployment(&one).unwrap();
    assert_eq!((actions(&one).len(), one.other_device_count), (1, 2));
    let placement = Placement { labels: [("a".into(), "b".into())].into(), ..Default::default() };
    let nowhere = NewDeployment { placement: Some(placement), ..deployment_of("m") };
    let nowhere = fleet.app.plan_deployment(&nowhere).unwrap();
    assert_eq!((nowhere.devices.len(), nowhere.other_device_count), (0, 3));

    assert_eq!(fleet.app.deployments().len(), 1);
    assert_eq!(fleet.work_well(), [""; 0], "nothing is compiled for a plan");
    assert_eq!(fleet.manifest(&pi), Some(manifest));
}

#[test]
fn what_would_be_refused_is_refused_in_the_same_words() {
    let fleet = Fleet::new();
    fleet.enrol(&FakeDevice::new(1, "aarch64-linux"));
    fleet.upload("m", &plain_wasm(1));
    for wrong in [
        NewDeployment { interval_ms: Some(1), ..deployment_of("m") },
        NewDeployment { devices: DeviceSelector::These(vec![]), ..deployment_of("m") },
        NewDeployment { devices: DeviceSelector::These(vec!["x".into()]), ..deployment_of("m") },
        deployment_of("other"),
        NewDeployment { memory_bytes_max: Some(u64::MAX), ..deployment_of("m") },
    ] {
        let planned = refusal(fleet.app.plan_deployment(&wrong));
        assert_eq!(planned, refusal(fleet.app.deploy(&wrong)));
        assert_ne!(planned.0, ProblemCode::Internal);
    }
}
