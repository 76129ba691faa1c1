//! Enrolment against a server that answers as told.

use super::*;
use crate::config::Config;
use crate::samples;
use device_protocol::{EnrolStatement, decode_sealed};
use module_package::{DOCUMENT_VERSION, Root, RootId, decode_exact, open, seal_root};
use std::io::{Read, Write};
use std::net::TcpListener;

const SECRET: [u8; 16] = [9; 16];

fn key() -> SigningKey {
    SigningKey::from_bytes(&[4; 32])
}

fn sealed_root() -> Vec<u8> {
    let key = |number: u8| SigningKey::from_bytes(&[number; 32]);
    let root = Root {
        version: DOCUMENT_VERSION,
        epoch: 1,
        root_version: 1,
        not_after_ms: None,
        root_keys: vec![key(1).public_key()],
        threshold: 1,
        release_keys: vec![key(2).public_key()],
        assign_keys: vec![key(3).public_key()],
        revoked: vec![],
        floors: vec![],
    };
    seal_root(&root, &[&key(1)])
}

fn membership() -> Vec<u8> {
    let membership = module_package::Membership {
        version: DOCUMENT_VERSION,
        device: DeviceId::of_key(&key().public_key().0),
        issued_at_ms: 1,
        broker_url: "mqtt://127.0.0.1:1883".into(),
        broker_ca: vec![],
        broker_name: None,
        certificate: None,
        certificate_not_after_ms: None,
        nonce: None,
    };
    let payload = minicbor::to_vec(membership).unwrap();
    seal(Domain::Membership, payload, &SigningKey::from_bytes(&[3; 32]))
}

fn good_answer() -> EnrolResponse {
    EnrolResponse {
        device_id: DeviceId::of_key(&key().public_key().0).to_string(),
        root: encode_sealed(&sealed_root()),
        broker_url: "mqtt://evil:1".into(),
        membership: encode_sealed(&membership()),
    }
}

/// Serves one request and returns its body.
fn serve(status: &str, body: String) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let served = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = String::new();
        let mut buffer = [0; 4096];
        while !request.contains("\"statement\"") || !request.ends_with('}') {
            let count = connection.read(&mut buffer).unwrap();
            request.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
        request.split_once("\r\n\r\n").unwrap().1.to_owned()
    });
    (url, served)
}

fn try_once(gateway_url: &str, token_text: &str) -> Result<Enrolment, EnrolError> {
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, token_text).unwrap();
    let text = format!(
        "data_dir = \"/d\"\nname = \"bench\"\ngateway_url = {gateway_url:?}\n\
         claim_token_file = {token_file:?}\n[runtime]\npath = \"/r\"\n\
         [[sensor]]\nname = \"temperature\"\nkind = \"simulated\"\nseed = 1\n"
    );
    let config = Config::parse(&text).unwrap();
    let runtime = RuntimeInfo {
        profile: samples::profile(),
        runtime: "farrier-runtime 1, WAMR 2".into(),
        confinement: vec![],
        builds: samples::builds(),
    };
    let applicant = Applicant { config: &config, key: &key(), runtime: &runtime };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(enrol_once(&applicant)).map(|(enrolment, _)| enrolment)
}

fn token() -> String {
    ClaimToken { secret: SECRET, root: RootId::of(&sealed_root()) }.to_string()
}

#[test]
fn a_device_enrols_with_a_statement_under_its_own_key() {
    let (url, served) = serve("201 Created", serde_json::to_string(&good_answer()).unwrap());
    let enrolment = try_once(&url, &token()).unwrap();
    assert_eq!(enrolment.broker_url, "mqtt://127.0.0.1:1883");
    let request: EnrolRequest = serde_json::from_str(&served.join().unwrap()).unwrap();
    assert_eq!(request.claim_token, Some(token()));
    let sealed = decode_sealed(&request.statement).unwrap();
    let payload = open(Domain::Enrol, &sealed, 4096, |_| Ok(key().public_key())).unwrap();
    let statement: EnrolStatement = decode_exact(&payload).unwrap();
    assert_eq!(statement.runtime_profile(), samples::profile());
    assert_eq!(statement.claim_hash, Some(module_package::BlobId::of(&SECRET)));
    assert_eq!(statement.sensors, ["temperature"]);
}

#[test]
fn another_root_than_the_claim_token_names_is_refused() {
    let (url, _) = serve("200 OK", serde_json::to_string(&good_answer()).unwrap());
    let other = ClaimToken { secret: SECRET, root: RootId::of(b"other") }.to_string();
    let error = try_once(&url, &other).unwrap_err();
    assert!(matches!(&error, EnrolError::BadAnswer(why) if why.contains("root")), "{error}");
}

#[test]
fn another_device_id_than_that_of_the_key_is_refused() {
    let answer = EnrolResponse { device_id: "d-00000000000000000000".into(), ..good_answer() };
    let (url, _) = serve("200 OK", serde_json::to_string(&answer).unwrap());
    assert!(matches!(try_once(&url, &token()), Err(EnrolError::BadAnswer(_))));
}

#[test]
fn a_refusal_is_told_with_the_gateways_own_words() {
    let problem = r#"{"type":"about:blank","title":"Claim refused","status":403,"detail":"the token was used","code":"claim-refused"}"#;
    let (url, _) = serve("403 Forbidden", problem.into());
    let error = try_once(&url, &token()).unwrap_err();
    assert!(error.is_definite());
    assert!(error.to_string().contains("Claim refused: the token was used"), "{error}");
}

#[test]
fn a_fault_or_an_unreachable_gateway_is_tried_again_soon() {
    let (url, _) = serve("503 Service Unavailable", String::new());
    assert!(!try_once(&url, &token()).unwrap_err().is_definite());
    let (url, _) = serve("429 Too Many Requests", String::new());
    assert!(!try_once(&url, &token()).unwrap_err().is_definite());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = try_once(&format!("http://{closed}"), &token()).unwrap_err();
    assert!(!error.is_definite(), "{error}");
}

#[test]
fn an_endless_answer_is_cut() {
    let (url, _) = serve("200 OK", "x".repeat(100_000));
    assert!(try_once(&url, &token()).is_err());
}

#[test]
fn a_token_that_is_none_is_told_before_anything_is_sent() {
    let error = try_once("http://127.0.0.1:1", "hello").unwrap_err();
    assert!(matches!(error, EnrolError::NoToken(_)) && error.is_definite(), "{error}");
}
