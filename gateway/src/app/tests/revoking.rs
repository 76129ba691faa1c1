//! How a device without a claim token comes in, and how one goes.

use super::fleet::{FakeDevice, Fleet, app_report, refusal};
use crate::app::{Enrolled, LoginRefusal, UpRefusal};
use device_protocol::{
    AppState, MESSAGE_VERSION, RenewRequest, Renewal, Topic, decode_sealed, encode_sealed,
    fingerprint,
};
use gateway_api::{Connection, ProblemCode};
use module_package::{Domain, ReleaseId, Signer, open_membership, seal};

fn print_of(device: &FakeDevice) -> String {
    fingerprint(&device.key.public_key())
}

fn ask(fleet: &Fleet, device: &FakeDevice) -> Result<Enrolled, crate::app::AppError> {
    fleet.app.ask_to_enrol(&device.ask_request())
}

fn renewal(device: &FakeDevice, of: &FakeDevice) -> RenewRequest {
    let renewal = Renewal {
        version: MESSAGE_VERSION,
        device: of.id.clone(),
        nonce: [5; 16],
        root_version: 1,
    };
    let sealed = seal(Domain::Renewal, minicbor::to_vec(renewal).unwrap(), &device.key);
    RenewRequest { statement: encode_sealed(&sealed) }
}

#[test]
fn a_device_without_a_claim_token_waits_until_its_fingerprint_is_accepted() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    let Ok(Enrolled::Waits(pending)) = ask(&fleet, &device) else { panic!("it should wait") };
    assert_eq!(pending.fingerprint, print_of(&device));
    assert!(fleet.app.devices().is_empty());
    let list = fleet.app.pending_enrolments();
    assert_eq!((list.items.len(), &list.items[0].fingerprint), (1, &print_of(&device)));
    let accepted = fleet.app.accept_enrolment(&print_of(&device).to_lowercase()).unwrap();
    assert_eq!(accepted.device.unwrap().id, device.id.to_string());
    assert!(fleet.app.pending_enrolments().items.is_empty());
    assert!(matches!(ask(&fleet, &device), Ok(Enrolled::Done(_))));
    // Also after a restart, which forgets the list and not the devices.
    let fleet = fleet.restart();
    assert!(matches!(ask(&fleet, &device), Ok(Enrolled::Done(_))));
}

#[test]
fn a_flood_of_askers_neither_pushes_one_out_nor_keeps_one_out() {
    let fleet = Fleet::new();
    let first = FakeDevice::new(1, "x86_64-linux");
    assert!(matches!(ask(&fleet, &first), Ok(Enrolled::Waits(_))));
    let mut turned_away = 0;
    for number in 2..=255 {
        turned_away += u32::from(ask(&fleet, &FakeDevice::new(number, "x86_64-linux")).is_err());
    }
    let list = fleet.app.pending_enrolments();
    assert!(turned_away > 0 && list.turned_away == u64::from(turned_away), "{turned_away}");
    assert!(list.items.iter().any(|item| item.fingerprint == print_of(&first)));
    let late = FakeDevice::new(0, "x86_64-linux");
    assert!(fleet.app.accept_enrolment(&print_of(&late)).unwrap().device.is_none());
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(matches!(ask(&fleet, &late), Ok(Enrolled::Done(_))));
}

#[test]
fn a_rejected_device_is_sent_away_and_what_is_no_fingerprint_is_refused() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.app.reject_enrolment(&print_of(&device)).unwrap();
    assert_eq!(refusal(ask(&fleet, &device)).0, ProblemCode::Forbidden);
    fleet.pass_ms(3_600_001);
    assert!(matches!(ask(&fleet, &device), Ok(Enrolled::Waits(_))));
    fleet.pass_ms(15 * 60 * 1_000 + 1);
    assert!(fleet.app.pending_enrolments().items.is_empty());
    assert_eq!(refusal(fleet.app.accept_enrolment("hello")).0, ProblemCode::BadRequest);
}

#[test]
fn a_membership_is_renewed_for_whoever_holds_the_key() {
    let fleet = Fleet::new();
    let (device, other) = (FakeDevice::new(1, "x86_64-linux"), FakeDevice::new(2, "x86_64-linux"));
    fleet.enrol(&device);
    let answer = fleet.app.renew_membership(&renewal(&device, &device)).unwrap();
    let sealed = decode_sealed(&answer.membership).unwrap();
    let membership = open_membership(&sealed, &fleet.root(), &device.id).unwrap();
    assert_eq!(membership.nonce, Some([5; 16]));
    assert_eq!(membership.issued_at_ms, fleet.app.now_ms());
    assert_eq!(membership.certificate_not_after_ms, Some(fleet.app.now_ms() + 3_600_000));
    assert!(membership.certificate.is_some());
    assert_eq!(
        refusal(fleet.app.renew_membership(&renewal(&other, &other))).0,
        ProblemCode::Forbidden
    );
    assert_eq!(
        refusal(fleet.app.renew_membership(&renewal(&device, &other))).0,
        ProblemCode::BadRequest
    );
    for statement in ["", "AAAA", "not base64!"] {
        let request = RenewRequest { statement: statement.into() };
        assert_eq!(
            refusal(fleet.app.renew_membership(&request)).0,
            ProblemCode::BadRequest,
            "{statement}"
        );
    }
}

#[test]
fn a_revoked_device_is_believed_and_served_nothing_and_does_not_come_back() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    let id = device.id.as_str();
    fleet.pass_ms(1_000);
    fleet.app.check_login(id, &device.login_token(fleet.app.now_ms(), 1)).unwrap();
    let app = app_report("filter", ReleaseId([7; 32]), AppState::Running);
    fleet.report(&device, &device.report(1, 0, vec![app]));
    let shown = fleet.app.revoke_device(&device.name).unwrap();
    assert!(shown.revoked_at_ms.is_some());
    assert!(fleet.outbox.gone.lock().unwrap().iter().eq([&device.id]));
    assert_eq!(shown.connection, Connection::Offline, "though it has just reported");
    let apps = fleet.app.ps();
    assert!(!apps.is_empty());
    assert!(apps.iter().all(|app| app.connection == Some(Connection::Offline)), "{apps:?}");
    let log = fleet.app.audit(0, Some(500)).unwrap().records;
    assert_eq!(log.last().unwrap().actions[0].what, "device revoked");
    check_is_cut_off(&fleet, &device);
    check_is_cut_off(&fleet.restart(), &device);
}

fn check_is_cut_off(fleet: &Fleet, device: &FakeDevice) {
    let id = device.id.as_str();
    let login = fleet.app.check_login(id, &device.login_token(fleet.app.now_ms(), 2));
    assert_eq!(login, Err(LoginRefusal::Unknown));
    let report = device.sealed_report(&device.report(1, 0, vec![]));
    let topic = Topic::Report(device.id.clone()).to_string();
    let taken = fleet.app.take_up(&topic, &report);
    assert!(matches!(taken, Err(UpRefusal::UnknownDevice(_))), "{taken:?}");
    assert_eq!(fleet.app.device(id).unwrap().refused_messages, 1);
    assert_eq!(fleet.app.sealed_manifest(&device.id), None);
    assert_eq!(
        refusal(fleet.app.renew_membership(&renewal(device, device))).0,
        ProblemCode::Forbidden
    );
    let claim = fleet.claim_token();
    let again = fleet.app.enrol(&device.enrol_request(&claim));
    assert_eq!(refusal(again).0, ProblemCode::Forbidden);
    assert_eq!(refusal(ask(fleet, device)).0, ProblemCode::Forbidden);
}

#[test]
fn a_removed_device_is_a_stranger_and_can_enrol_again() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.app.revoke_device(&device.name).unwrap();
    fleet.app.remove_device(&device.name).unwrap();
    assert!(fleet.app.devices().is_empty());
    assert!(matches!(ask(&fleet, &device), Ok(Enrolled::Waits(_))));
    fleet.enrol(&device);
    assert!(fleet.app.device(&device.name).unwrap().revoked_at_ms.is_none());
}

#[test]
fn a_login_token_from_before_the_start_is_refused() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    fleet.pass_ms(1_000);
    let id = device.id.as_str();
    // One as of now, and one of a clock that is as far ahead as it may be.
    let ahead_ms = 500;
    let now_ms = fleet.app.now_ms();
    let tokens = [device.login_token(now_ms, 1), device.login_token(now_ms + ahead_ms, 2)];
    for token in &tokens {
        fleet.app.check_login(id, token).unwrap();
    }
    let too_far = device.login_token(now_ms + ahead_ms + 1, 3);
    let refused = fleet.app.check_login(id, &too_far);
    assert!(matches!(refused, Err(LoginRefusal::Time { .. })), "{refused:?}");

    let fleet = fleet.restart();
    let wait = fleet.app.time_to_first_login();
    assert_eq!(wait.as_millis(), u128::from(ahead_ms + 1));
    for wait_ms in [0, ahead_ms, 1, 10_000] {
        fleet.pass_ms(wait_ms);
        for token in &tokens {
            assert_eq!(fleet.app.check_login(id, token), Err(LoginRefusal::BeforeStart));
        }
    }
    fleet.app.check_login(id, &device.login_token(fleet.app.now_ms(), 4)).unwrap();
}

#[test]
fn a_new_token_is_good_as_soon_as_the_broker_listens() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.enrol(&device);
    let wait = fleet.app.time_to_first_login();
    fleet.pass_ms(u64::try_from(wait.as_millis()).unwrap());
    assert!(fleet.app.time_to_first_login().is_zero());
    let token = device.login_token(fleet.app.now_ms(), 1);
    fleet.app.check_login(device.id.as_str(), &token).unwrap();
}
