//! Who gets in, by HTTP and by MQTT.

use super::fleet::{FakeDevice, Fleet, refusal};
use crate::app::LoginRefusal;
use gateway_api::{Connection, NewClaimToken, ProblemCode};

#[test]
fn a_claim_token_lets_one_device_in_and_answers_it_again() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    let token = fleet.claim_token();
    let response = fleet.app.enrol(&device.enrol_request(&token)).unwrap();
    assert_eq!(response.device_id, device.id.to_string());
    assert_eq!(response.broker_url, "mqtt://m");
    // The answer was lost on the way.
    let again = fleet.app.enrol(&device.enrol_request(&token)).unwrap();
    assert_eq!((again.device_id, again.root), (response.device_id, response.root));
    let second = FakeDevice::new(2, "x86_64-linux");
    let (code, detail) = refusal(fleet.app.enrol(&second.enrol_request(&token)));
    assert_eq!(code, ProblemCode::ClaimRefused);
    assert!(detail.contains("Another device has used it"), "{detail}");
    let devices = fleet.app.devices();
    assert_eq!(devices.len(), 1);
    assert_eq!((devices[0].connection, devices[0].generation_wanted), (Connection::New, 0));
}

#[test]
fn claims_survive_a_restart_and_their_secrets_are_not_kept() {
    let fleet = Fleet::new();
    let token = fleet.claim_token();
    let secret = token.split('.').nth(1).unwrap().to_owned();
    let kept = format!("{:?}", fleet.store().load().unwrap().claims);
    assert!(!kept.contains(&secret));
    let fleet = fleet.restart();
    fleet.app.enrol(&FakeDevice::new(1, "x86_64-linux").enrol_request(&token)).unwrap();
}

#[test]
fn unknown_expired_and_foreign_claims_are_refused() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    let token = fleet.app.new_claim_token(&NewClaimToken { valid_s: Some(1) }).unwrap().token;
    fleet.pass_ms(1_001);
    let (code, detail) = refusal(fleet.app.enrol(&device.enrol_request(&token)));
    assert_eq!((code, detail.contains("expired")), (ProblemCode::ClaimRefused, true));
    let unknown = format!("farrier-claim.{}.{}", "00".repeat(16), "00".repeat(32));
    let (code, _) = refusal(fleet.app.enrol(&device.enrol_request(&unknown)));
    assert_eq!(code, ProblemCode::ClaimRefused);
    let too_long = NewClaimToken { valid_s: Some(86_401) };
    assert_eq!(refusal(fleet.app.new_claim_token(&too_long)).0, ProblemCode::BadRequest);
}

#[test]
fn a_statement_proves_its_key_and_belongs_to_its_claim() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    let (first, second) = (fleet.claim_token(), fleet.claim_token());
    let mut request = device.enrol_request(&first);
    request.claim_token = Some(second);
    let (code, detail) = refusal(fleet.app.enrol(&request));
    assert_eq!(code, ProblemCode::BadRequest);
    assert!(detail.contains("another claim token"), "{detail}");
    for statement in ["", "AAAA", "not base64!"] {
        let mut request = device.enrol_request(&first);
        request.statement = statement.into();
        assert_eq!(refusal(fleet.app.enrol(&request)).0, ProblemCode::BadRequest);
    }
    // Another key's signature around this device's statement.
    let mut thief = FakeDevice::new(2, "x86_64-linux");
    thief.name = "thief".into();
    let stolen = device.enrol_request(&first);
    let mut sealed = device_protocol::decode_sealed(&stolen.statement).unwrap();
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    let forged = device_protocol::EnrolRequest {
        statement: device_protocol::encode_sealed(&sealed),
        ..stolen
    };
    assert_eq!(refusal(fleet.app.enrol(&forged)).0, ProblemCode::BadRequest);
}

#[test]
fn names_are_unique_and_targets_known() {
    let fleet = Fleet::new();
    fleet.enrol(&FakeDevice::new(1, "x86_64-linux"));
    let mut namesake = FakeDevice::new(2, "x86_64-linux");
    namesake.name = "device-1".into();
    let (code, detail) = refusal(fleet.app.enrol(&namesake.enrol_request(&fleet.claim_token())));
    assert_eq!(code, ProblemCode::Conflict);
    assert!(detail.contains("another name"), "{detail}");
    let strange = FakeDevice::new(3, "sparc-linux");
    let (code, detail) = refusal(fleet.app.enrol(&strange.enrol_request(&fleet.claim_token())));
    assert_eq!(code, ProblemCode::BadRequest);
    assert!(detail.contains("known are: aarch64-linux"), "{detail}");
}

#[test]
fn a_login_token_is_good_once_and_for_a_few_minutes() {
    let fleet = Fleet::new();
    let device = FakeDevice::new(1, "x86_64-linux");
    fleet.pass_ms(1_000);
    let now_ms = fleet.app.now_ms();
    let login = |id: &str, token: &[u8]| fleet.app.check_login(id, token);
    let id = device.id.to_string();
    assert_eq!(login(&id, &device.login_token(now_ms, 1)), Err(LoginRefusal::Unknown));
    fleet.enrol(&device);
    assert_eq!(login(&id, &device.login_token(now_ms, 1)), Ok(device.id.clone()));
    assert_eq!(login(&id, &device.login_token(now_ms, 1)), Err(LoginRefusal::Repeated));
    assert!(login(&id, &device.login_token(now_ms + 1, 2)).is_ok());
    for time_ms in [now_ms - 300_001, now_ms + 300_001] {
        let refused = login(&id, &device.login_token(time_ms, 3));
        assert!(matches!(refused, Err(LoginRefusal::Time { .. })), "{refused:?}");
    }
    let other = FakeDevice::new(2, "x86_64-linux");
    fleet.enrol(&other);
    let refused = login(&id, &other.login_token(now_ms, 4));
    assert!(matches!(refused, Err(LoginRefusal::Seal(_))), "{refused:?}");
    assert_eq!(login("farrier-gateway", b""), Err(LoginRefusal::NoDeviceId));
    assert_eq!(login(&id, &[b'a'; 2_000]), Err(LoginRefusal::Malformed));
}

#[test]
fn a_login_link_is_good_once_and_for_ten_minutes() {
    let fleet = Fleet::new();
    let token_of = |url: String| url.split("token=").nth(1).unwrap().to_owned();
    let link = fleet.app.new_login_link().unwrap();
    assert!(link.url.starts_with("http://h/login?token="));
    let token = token_of(link.url);
    assert!(fleet.app.use_login_link(&token).is_some());
    assert!(fleet.app.use_login_link(&token).is_none());
    let token = token_of(fleet.app.new_login_link().unwrap().url);
    fleet.pass_ms(600_001);
    assert!(fleet.app.use_login_link(&token).is_none());
}

#[test]
fn the_first_token_is_made_once_and_kept_as_its_hash() {
    let fleet = Fleet::new();
    let token = fleet.app.make_first_admin_token().unwrap().unwrap().0;
    assert!(fleet.app.make_first_admin_token().unwrap().is_none());
    let fleet = fleet.restart();
    assert_eq!(
        fleet.app.caller_by_token(&token).map(|caller| caller.actor()).as_deref(),
        Some("token admin")
    );
    assert_eq!(fleet.app.caller_by_token(&token[1..]), None);
    assert!(!format!("{:?}", fleet.store().load().unwrap().access).contains(&token));
}
