//! Which devices can run a module, and why the others cannot.

use super::fleet::{FakeDevice, Fleet, refusal};
use device_protocol::DeviceUsage;
use gateway_api::{AskedOfDevices, DeviceEligibility, ProblemCode};

fn fleet_of_two() -> (Fleet, FakeDevice, FakeDevice) {
    let fleet = Fleet::new();
    let (pi, gate) = (FakeDevice::new(1, "aarch64-linux"), FakeDevice::new(2, "riscv64-linux"));
    fleet.enrol(&pi);
    fleet.enrol(&gate);
    (fleet, pi, gate)
}

fn on(fleet: &Fleet, device: &FakeDevice, memory_bytes_max: Option<u64>) -> DeviceEligibility {
    let checked = fleet.app.eligibility("m", memory_bytes_max, &AskedOfDevices::default()).unwrap();
    checked.devices.into_iter().find(|d| d.device == device.id.to_string()).unwrap()
}

fn report_free(fleet: &Fleet, device: &FakeDevice, counter: u64, bytes: u64) {
    let mut report = device.report(counter, 0, vec![]);
    report.usage =
        DeviceUsage { memory_available_bytes: bytes, memory_total_bytes: 1 << 30, ..report.usage };
    fleet.report(device, &report);
}

#[test]
fn a_module_with_vectors_is_refused_where_the_target_has_none_and_no_job_is_made() {
    let (fleet, pi, gate) = fleet_of_two();
    let text = "(module (func (export \"f\") (result i32)
                  (i32x4.extract_lane 0 (v128.const i32x4 1 2 3 4))))";
    fleet.upload("m", &wat::parse_str(text).unwrap());
    assert!(on(&fleet, &pi, None).can_run);
    let lacking = on(&fleet, &gate, None);
    assert!(!lacking.can_run);
    let obstacle = &lacking.obstacles[0];
    assert_eq!(
        obstacle.detail,
        "device-2 cannot run m@1 because the module uses the WebAssembly proposal \"simd\", and the \
         runtime has no vectors on riscv64-linux"
    );
    assert!(obstacle.advice.contains("without that feature"), "{}", obstacle.advice);
    let deployment = fleet.deploy("m");
    assert_eq!(fleet.work_well(), ["aarch64-linux"]);
    let progress = fleet.progress(&deployment.id, &gate);
    assert!(progress.detail.contains("no vectors"), "{progress:?}");
}

#[test]
fn a_device_without_a_code_generator_is_in_the_fleet_and_refused_by_that_reason() {
    let fleet = Fleet::new();
    let (pi, board) = (FakeDevice::new(1, "aarch64-linux"), FakeDevice::new(2, "armv7-linux"));
    fleet.enrol(&pi);
    fleet.enrol(&board);
    fleet.upload("m", &wat::parse_str("(module (func (export \"f\")))").unwrap());
    assert!(on(&fleet, &pi, None).can_run);
    let on_board = on(&fleet, &board, None);
    let [obstacle] = on_board.obstacles.as_slice() else { panic!("{on_board:?}") };
    assert_eq!(obstacle.code, Some(60));
    assert_eq!(
        obstacle.detail,
        "device-2 cannot run m@1 because there is no code generator for armv7-linux"
    );
    let deployment = fleet.deploy("m");
    assert_eq!(fleet.work_well(), ["aarch64-linux"]);
    let refused = fleet.progress(&deployment.id, &board);
    assert_eq!(refused.detail, "no code generator for armv7-linux");
    assert_eq!(refused.refusal.map(|refusal| refusal.code), Some(60));
    assert_eq!(fleet.progress(&deployment.id, &pi).refusal, None);
    let shown = fleet.app.device(&board.name).unwrap();
    assert_eq!(shown.target_name, "Linux on 32-bit Arm");
    assert_eq!(shown.undeployable.as_deref(), Some("no code generator for armv7-linux"));
    assert_eq!(fleet.app.device(&pi.name).unwrap().undeployable, None);
}

#[test]
fn every_obstacle_is_named_and_not_the_first_only() {
    let fleet = Fleet::new();
    let mut gate = FakeDevice::new(1, "riscv64-linux");
    gate.imports.clear();
    fleet.enrol(&gate);
    let text = "(module (import \"farrier\" \"log\" (func (param i32 i32 i32)))
                  (memory 32) (func (export \"f\") (result v128) (v128.const i64x2 1 2)))";
    fleet.upload("m", &wat::parse_str(text).unwrap());
    let found = on(&fleet, &gate, Some(1 << 20));
    let codes: Vec<_> = found.obstacles.iter().filter_map(|o| o.code).collect();
    assert_eq!(codes, [18, 13, 20], "{:?}", found.obstacles);
    assert!(
        found.obstacles.iter().all(|o| o.detail.starts_with("device-1 cannot run m@1 because"))
    );
    assert_eq!(on(&fleet, &gate, Some(4 << 20)).obstacles.len(), 2, "the limit is no obstacle");
}

#[test]
fn free_memory_is_compared_with_the_start_and_with_the_most() {
    let (fleet, pi, _) = fleet_of_two();
    fleet.upload("m", &wat::parse_str("(module (memory 16 64))").unwrap());
    let unknown = on(&fleet, &pi, None);
    assert!(unknown.can_run && unknown.remarks[0].contains("not reported"), "{unknown:?}");
    report_free(&fleet, &pi, 1, 16 << 20);
    let roomy = on(&fleet, &pi, None);
    assert!(roomy.can_run && roomy.remarks.is_empty(), "{roomy:?}");
    assert_eq!(roomy.memory_free_bytes, Some(16 << 20));
    report_free(&fleet, &pi, 2, 2 << 20);
    let tight = on(&fleet, &pi, None);
    assert!(tight.can_run && tight.remarks[0].contains("4194304"), "{tight:?}");
    report_free(&fleet, &pi, 3, 1 << 19);
    let full = on(&fleet, &pi, None);
    assert!(!full.can_run && full.obstacles[0].code.is_none(), "{full:?}");
    assert!(
        full.obstacles[0].detail.contains("1048576") && full.obstacles[0].detail.contains("524288")
    );
    // It is shown, and the deployment goes its way.
    fleet.deploy("m");
    assert_eq!(fleet.work_well().len(), 2);
    assert!(fleet.manifest(&pi).is_some());
}

#[test]
fn what_a_module_needs_is_listed_from_its_census() {
    let (fleet, pi, _) = fleet_of_two();
    let text = "(module (memory 2 4) (table 3 5 funcref) (func $f) (start $f)
                  (global $__stack_pointer (mut i32) (i32.const 65536))
                  (export \"__stack_pointer\" (global 0)) (data (i32.const 65536) \"abc\"))";
    fleet.upload("m", &wat::parse_str(text).unwrap());
    let fleet = fleet.restart();
    let needs = fleet.app.eligibility("m", None, &AskedOfDevices::default()).unwrap().needs;
    assert_eq!((needs.memory_start_bytes, needs.memory_bytes_max), (131_072, 262_144));
    assert_eq!((needs.guest_stack_bytes, needs.data_bytes), (Some(65_536), 3));
    assert_eq!(needs.has_start, Some(true));
    let tables = needs.tables.unwrap();
    assert_eq!((tables[0].min_slots, tables[0].max_slots), (3, Some(5)));
    assert_eq!(
        fleet
            .app
            .eligibility("m", Some(1 << 17), &AskedOfDevices::default())
            .unwrap()
            .needs
            .memory_bytes_max,
        131_072
    );
    // Known once it is compiled.
    assert_eq!(on(&fleet, &pi, None).stack_bytes, None);
    fleet.deploy("m");
    fleet.work_well();
    assert_eq!(on(&fleet, &pi, None).stack_bytes, Some(64));
    assert_eq!(
        refusal(fleet.app.eligibility("other", None, &AskedOfDevices::default())).0,
        ProblemCode::NotFound
    );
}
