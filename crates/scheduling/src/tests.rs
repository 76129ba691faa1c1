use super::*;
use proptest::prelude::*;

fn fifo(runtime_us: u32) -> Scheduling {
    let real_time = RealTime {
        policy: Policy::Fifo,
        runtime_us,
        deadline_us: None,
        period_us: None,
        priority: None,
    };
    Scheduling { real_time: Some(real_time), ..Scheduling::default() }
}

fn with(change: impl FnOnce(&mut RealTime)) -> Scheduling {
    let mut scheduling = fifo(1_000);
    change(scheduling.real_time.as_mut().unwrap());
    scheduling
}

fn field(scheduling: &Scheduling) -> Option<Field> {
    scheduling.check(10).err().map(|(field, _)| field)
}

#[test]
fn the_bytes_are_what_they_have_been() {
    let hex = |bytes: Vec<u8>| hex::encode(bytes);
    assert_eq!(hex(minicbor::to_vec(fifo(300)).unwrap()), "a100a200000119012c");
    let all = Scheduling { cpus: vec![0, 3], ..with(|r| r.priority = Some(5)) };
    assert_eq!(
        hex(minicbor::to_vec(all).unwrap()),
        "a200a300000119 03e80405018200 03".replace(' ', "")
    );
    let allowance = Allowance { policies: vec![Policy::Deadline], ..Allowance::default() };
    assert_eq!(
        hex(minicbor::to_vec(allowance).unwrap()),
        "a400810101183202183204 00".replace(' ', "")
    );
    assert_eq!(hex(minicbor::to_vec(InForce::default()).unwrap()), "a0");
    let lowered = InForce { lowered: Some(true), ..InForce::default() };
    assert_eq!(lowered.to_string(), "best-effort, behind all others");
    assert_eq!(hex(minicbor::to_vec(lowered).unwrap()), "a11837f5");
    let report = TickReport { last: Some(TickWindow::default()), ..TickReport::default() };
    let spread = "8400000000";
    assert_eq!(
        hex(minicbor::to_vec(report).unwrap()),
        format!("880000000000000085 0000{spread}{spread}00").replace(' ', "")
    );
}

#[test]
fn what_no_kernel_could_do_is_refused_with_the_field() {
    assert_eq!(field(&fifo(10_000)), None, "the whole period");
    assert_eq!(field(&fifo(10_001)), Some(Field::Runtime));
    assert_eq!(field(&fifo(1)), Some(Field::Runtime));
    assert_eq!(field(&with(|r| r.period_us = Some(5_000))), Some(Field::Period), "fifo has none");
    assert_eq!(field(&with(|r| r.deadline_us = Some(10_001))), Some(Field::Deadline));
    assert_eq!(field(&with(|r| r.deadline_us = Some(999))), Some(Field::Runtime));
    assert_eq!(field(&with(|r| r.priority = Some(99))), Some(Field::Priority));
    assert_eq!(field(&with(|r| r.priority = Some(0))), Some(Field::Priority));
    let deadline = |change: fn(&mut RealTime)| {
        with(|r| {
            r.policy = Policy::Deadline;
            change(r);
        })
    };
    assert_eq!(field(&deadline(|r| r.period_us = Some(5_000))), None);
    assert_eq!(field(&deadline(|r| r.period_us = Some(99))), Some(Field::Period));
    assert_eq!(field(&deadline(|r| r.period_us = Some(10_001))), Some(Field::Period));
    assert_eq!(field(&deadline(|r| r.priority = Some(1))), Some(Field::Priority));
    let long = deadline(|_| {}).check(5_000).unwrap_err();
    assert_eq!(long.0, Field::Period, "{}", long.1);
    assert_eq!(field(&Scheduling { cpus: vec![0], ..deadline(|_| {}) }), Some(Field::Cpus));
    assert_eq!(field(&Scheduling { cpus: vec![1, 0], ..fifo(10) }), Some(Field::Cpus));
    assert_eq!(field(&Scheduling { cpus: vec![1, 1], ..fifo(10) }), Some(Field::Cpus));
    assert_eq!(field(&Scheduling { cpus: vec![1_024], ..fifo(10) }), Some(Field::Cpus));
    assert_eq!(field(&Scheduling { cpu_weight: Some(100), ..fifo(10) }), Some(Field::CpuWeight));
    let weight = |weight| Scheduling { cpu_weight: Some(weight), ..Scheduling::default() };
    assert_eq!((field(&weight(1)), field(&weight(0))), (None, Some(Field::CpuWeight)));
}

#[test]
fn nothing_is_allowed_unless_it_is_given_and_sums_are_told_in_numbers() {
    let nothing = Allowance::default();
    let Err(Excess::NotAllowed(why)) = nothing.admit(Some(&fifo(10)), 10, Utilization(0)) else {
        panic!("admitted");
    };
    assert!(why.contains("allows []") && why.contains("scheduling.policies"), "{why}");
    assert_eq!(nothing.admit(None, 10, Utilization(u64::MAX)), Ok(()));
    let weight = |weight| Scheduling { cpu_weight: Some(weight), ..Scheduling::default() };
    assert!(nothing.is_nothing() && nothing.admit(Some(&weight(1)), 10, Utilization(0)).is_err());
    let weights = Allowance { cpu_weight_max: 100, ..Allowance::default() };
    assert_eq!(weights.admit(Some(&weight(100)), 10, Utilization(0)), Ok(()));
    assert!(weights.admit(Some(&weight(101)), 10, Utilization(0)).is_err());
    let pinned = Scheduling { cpus: vec![0], ..Scheduling::default() };
    assert!(nothing.admit(Some(&pinned), 10, Utilization(0)).is_err());

    let some = Allowance {
        policies: vec![Policy::Fifo],
        utilization_percent_max: 30,
        cpus: vec![0],
        ..Allowance::default()
    };
    assert_eq!(some.admit(Some(&fifo(3_000)), 10, Utilization(0)), Ok(()), "30 %, to the brim");
    let Err(Excess::NoRoom(why)) = some.admit(Some(&fifo(2_000)), 10, Utilization(125_000)) else {
        panic!("admitted");
    };
    assert!(why.contains("20.0 %") && why.contains("12.5 %") && why.contains("30.0 %"), "{why}");
    assert_eq!(some.admit(Some(&pinned), 10, Utilization(300_000)), Ok(()), "not real-time");
    assert!(matches!(
        some.admit(Some(&with(|r| r.priority = Some(51))), 10, Utilization(0)),
        Err(Excess::NotAllowed(_))
    ));
}

#[test]
fn an_owners_table_is_checked() {
    let refuse = |change: fn(&mut Allowance)| {
        let mut allowance = Allowance::default();
        change(&mut allowance);
        allowance.check().unwrap_err()
    };
    assert_eq!(Allowance::default().check(), Ok(()));
    assert!(refuse(|a| a.priority_max = 99).contains("watchdog"));
    assert!(refuse(|a| a.policies = vec![Policy::Fifo; 2]).contains("twice"));
    assert!(refuse(|a| a.utilization_percent_max = 10_001).contains("one processor"));
    assert!(refuse(|a| a.cpus = vec![2, 1]).contains("scheduling.cpus"));
    assert!(refuse(|a| a.cpu_weight_max = 10_001).contains("cpu_weight_max"));
}

proptest! {
    /// Whatever passes the check is what the kernel's own rules want.
    #[test]
    fn what_passes_is_in_order(
        runtime_us in any::<u32>(), deadline_us in any::<Option<u32>>(),
        period_us in any::<Option<u32>>(), interval_ms in 1u32..5_000, is_fifo in any::<bool>(),
    ) {
        let policy = if is_fifo { Policy::Fifo } else { Policy::Deadline };
        let real_time = RealTime { policy, runtime_us, deadline_us, period_us, priority: None };
        let scheduling = Scheduling { real_time: Some(real_time), ..Scheduling::default() };
        if scheduling.check(interval_ms).is_ok() {
            let deadline_us = real_time.deadline_us(interval_ms);
            prop_assert!(runtime_us <= deadline_us);
            prop_assert!(deadline_us <= real_time.period_us(interval_ms));
            prop_assert!(real_time.period_us(interval_ms) <= interval_ms * 1_000);
            prop_assert!(real_time.utilization_ppm(interval_ms) <= 1_000_000);
        }
        let bytes = minicbor::to_vec(&scheduling).unwrap();
        prop_assert_eq!(minicbor::decode::<Scheduling>(&bytes).unwrap(), scheduling);
    }
}
