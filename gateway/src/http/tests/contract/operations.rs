//! Every operation, in an order in which each sample finds what those before have made.

use super::document::{Anything, Operation, operation as op};
use crate::app::LinkInput;
use crate::app::tests::fleet::{FakeDevice, plain_wasm};
use crate::app::tests::uploading::parts;
use device_protocol::fingerprint;
use ed25519_dalek::SigningKey;
use gateway_api::{
    AcceptedEnrolment, AcceptedRelease, AppStatus, Application, ApplicationPlan,
    AppliedApplication, AuditPage, ClaimToken, CompileRecord, Deployment, DeploymentPlan, Device,
    DeviceHistory, HistoryRange, IssuedToken, LinkPart, LinkedUpload, List, LogLine, Login,
    LoginLink, LoginSession, Me, Module, ModuleEligibility, NewApplication, NewClaimToken,
    NewDeployment, NewGatewayKey, NewLogin, NewMessage, NewPassword, NewRole, NewToken, NewUser,
    Overview, Page, PendingEnrolments, Published, SentMessage, Session, Token, Trust, TrustKey,
    User, WaitingRelease,
};
use module_package::Signer;
use serde_json::json;

const KNOWN_ANSWERS: &str = "format = 1\n[[step]]\ncall = \"answer\"\nexpect = [\"i32:2\"]\n";
const APPLICATION: &str = "format = 1\nname = \"climate\"\ndevices = \"all\"\n\
                           [[module]]\nname = \"filter\"\nversion = 1\n";

/// A module and its library, of which the first line tells so many bytes too many.
pub fn linked_upload(too_many: u64) -> Vec<u8> {
    let parts = parts();
    let to_part = |part: &LinkInput| LinkPart {
        name: part.name.clone(),
        bytes: part.wasm.len() as u64 + too_many,
        signature: None,
    };
    let inputs = parts.iter().map(to_part).collect();
    let head = LinkedUpload { name: "answer".into(), signature: None, inputs };
    let mut body = serde_json::to_vec(&head).unwrap();
    body.push(b'\n');
    parts.iter().for_each(|part| body.extend(&part.wasm));
    body
}

fn waiting(number: u8) -> String {
    let key: SigningKey = FakeDevice::new(number, "x86_64-linux").key;
    fingerprint(&key.public_key())
}

pub fn all() -> Vec<Operation> {
    [beside(), access(), fleet(), code(), trusting(), ending()].into_iter().flatten().collect()
}

fn v1(method: &'static str, path: &str, id: &'static str, summary: &'static str) -> Operation {
    op(method, &format!("/api/v1{path}"), id, summary)
}

fn beside() -> Vec<Operation> {
    vec![
        op("GET", "/healthz", "healthz", "Whether the process serves")
            .open()
            .gives_other("text/plain"),
        op(
            "GET",
            "/readyz",
            "readyz",
            "Whether it can do all of its work; else 503 with `reasons`",
        )
        .open()
        .gives::<Anything>(200),
        op("GET", "/version", "version", "Which gateway this is").open().gives::<Anything>(200),
        op("GET", "/metrics", "metrics", "Figures as OpenMetrics text: docs/metrics.md")
            .gives_other("application/openmetrics-text"),
        op("GET", "/login", "openLoginLink", "Opens a login link in a browser")
            .open()
            .text("token", "Of the link; good once.")
            .required()
            .not_sent()
            .gives_nothing(303),
        v1("GET", "/openapi.json", "openapi", "This document")
            .open()
            .gives_other("application/json"),
        v1("POST", "/enroll", "enrol", "A device asks to be let in: crate device-protocol")
            .open()
            .not_sent()
            .json::<Anything>(json!({ "statement": "base64url" }))
            .gives::<Anything>(200)
            .gives::<Anything>(202),
        v1("POST", "/renew", "renew", "A device asks for a new certificate: crate device-protocol")
            .open()
            .not_sent()
            .json::<Anything>(json!({ "request": "base64url" }))
            .gives::<Anything>(200),
    ]
}

fn access() -> Vec<Operation> {
    vec![
        v1("GET", "/session", "session", "Who is logged in, to what").gives::<Session>(200),
        v1("GET", "/me", "me", "Who asks, with what, and what it may do").gives::<Me>(200),
        v1("GET", "/users", "users", "Users, by name").gives::<List<User>>(200),
        v1("POST", "/users", "createUser", "One more user: docs/users.md")
            .json::<NewUser>(
                json!({ "name": "anna", "role": "operator", "password": "four words of mine" }),
            )
            .gives::<User>(201),
        v1("PUT", "/users/{name}/role", "setRole", "Gives a user another role")
            .json::<NewRole>(json!({ "role": "developer" }))
            .at("anna")
            .gives::<User>(200),
        v1(
            "PUT",
            "/users/{name}/password",
            "setPassword",
            "Changes a password, and ends the user's other sessions",
        )
        .json::<NewPassword>(json!({ "password": "five words of mine now" }))
        .at("anna")
        .gives_nothing(204),
        v1("POST", "/login", "login", "Logs in, by a cookie or with a new token")
            .open()
            .json::<NewLogin>(json!({
                "name": "anna",
                "password": "five words of mine now",
                "as_token": { "label": "laptop", "valid_s": 86400 },
            }))
            .gives::<Login>(200),
        v1("GET", "/tokens", "tokens", "One's own tokens; an admin sees all")
            .gives::<List<Token>>(200),
        v1("POST", "/tokens", "createToken", "A token of one's own, or as an admin of another's")
            .json::<NewToken>(json!({ "label": "ci", "role": "viewer", "valid_s": 86400 }))
            .gives::<IssuedToken>(201),
        v1("DELETE", "/tokens/{id}", "revokeToken", "Ends a token, and what was begun with it")
            .not_sent()
            .gives_nothing(204),
        v1(
            "GET",
            "/sessions",
            "sessions",
            "Browsers that one is logged in with; an admin sees all",
        )
        .gives::<List<LoginSession>>(200),
        v1("DELETE", "/sessions/{id}", "endSession", "Logs that browser out")
            .not_sent()
            .gives_nothing(204),
        v1("DELETE", "/users/{name}", "removeUser", "Ends a user's tokens and sessions too")
            .at("anna")
            .gives_nothing(204),
        v1("POST", "/login-links", "createLoginLink", "A link that logs a browser in, once")
            .gives::<LoginLink>(200),
        v1("POST", "/claim-tokens", "createClaimToken", "A token that lets one device in")
            .json::<NewClaimToken>(json!({ "valid_s": 3600 }))
            .gives::<ClaimToken>(201),
        v1("GET", "/enrolments", "enrolments", "Devices that wait to be accepted")
            .gives::<PendingEnrolments>(200),
        v1("POST", "/enrolments/{fingerprint}/accept", "acceptEnrolment", "Lets a device in")
            .at(&waiting(8))
            .gives::<AcceptedEnrolment>(200),
        v1("POST", "/enrolments/{fingerprint}/reject", "rejectEnrolment", "Sends a device away")
            .at(&waiting(9))
            .gives_nothing(204),
        v1("GET", "/audit", "audit", "Who changed what, and what was signed for it")
            .number("after", "The record behind which the page begins; 0 unless given.")
            .number("limit", "So many records at most.")
            .at("?limit=2")
            .gives::<AuditPage>(200),
    ]
}

fn fleet() -> Vec<Operation> {
    vec![
        v1("GET", "/overview", "overview", "Figures of the whole fleet").gives::<Overview>(200),
        v1("GET", "/devices", "devices", "Devices")
            .text("q", "Which: `status:offline arch:riscv64 module:filter@2 kitchen`.")
            .text("sort", "`name`, `status`, `target`, `last_seen`, `enrolled`, `cpu` or `memory`; `-` turns it.")
            .paged()
            .at("?q=status:online&limit=1")
            .gives::<Page<Device>>(200),
        v1("GET", "/devices/{reference}", "device", "A device, by id or name")
            .at("device-1")
            .gives::<Device>(200),
        v1("GET", "/devices/{reference}/history", "deviceHistory", "What its charts are drawn from")
            .charted()
            .at("device-1?series=memory_bytes&points=3")
            .gives::<DeviceHistory>(200),
        v1("GET", "/fleet/history", "fleetHistory", "The same of all devices together")
            .charted()
            .at("?series=devices_online,calls_per_s&points=3")
            .gives::<HistoryRange>(200),
        v1("POST", "/devices/{reference}/messages", "sendMessage", "A message for one module on a device")
            .not_sent()
            .json::<NewMessage>(json!({ "app": "fan", "channel": "speed", "payload": "3830" }))
            .gives::<SentMessage>(202),
        v1("GET", "/ps", "ps", "Every module on every device").paged().gives::<Page<AppStatus>>(200),
        v1("GET", "/logs", "logs", "Log lines, oldest first")
            .text("device", "Of this device, by id or name.")
            .text("app", "Of this module.")
            .lately()
            .newest()
            .at("?device=device-1&since_ms=1&last_s=600")
            .gives::<Page<LogLine>>(200),
        v1("GET", "/published", "published", "Values that modules published, oldest first")
            .text("device", "Of this device, by id or name.")
            .text("app", "Of this module.")
            .text("channel", "On this channel.")
            .lately()
            .newest()
            .gives::<Page<Published>>(200),
        v1("GET", "/events", "events", "Server-sent events, as they happen")
            .text("devices", "Of single devices only those with these ids, commas between them; nobody's where it is empty.")
            .stream()
            .gives_other("text/event-stream"),
    ]
}

fn code() -> Vec<Operation> {
    vec![
        v1("GET", "/modules", "modules", "Modules, by name and version")
            .paged()
            .gives::<Page<Module>>(200),
        v1(
            "POST",
            "/modules",
            "uploadModule",
            "Takes a Wasm file in; the same bytes are the same module",
        )
        .text("name", "What it is called: lower-case letters, digits and `-`.")
        .required()
        .text("signature", "A developer's sealed statement, in hexadecimal.")
        .other("application/wasm", "The Wasm file.", plain_wasm(2))
        .at("?name=filter")
        .gives::<Module>(201)
        .gives::<Module>(200),
        v1(
            "POST",
            "/linked-modules",
            "uploadLinkedModule",
            "Links modules into one, and takes it in",
        )
        .other(
            "application/octet-stream",
            "A `LinkedUpload` as one line of JSON, and behind it the Wasm files that it names.",
            linked_upload(0),
        )
        .gives::<Module>(201)
        .gives::<Module>(200),
        v1(
            "GET",
            "/modules/{reference}",
            "module",
            "A module, by id, `name@version`, or `name` for its newest",
        )
        .at("filter@1")
        .gives::<Module>(200),
        v1(
            "PUT",
            "/modules/{reference}/known-answers",
            "putKnownAnswers",
            "Replaces its known-answer steps",
        )
        .other("text/plain", "TOML.", KNOWN_ANSWERS.into())
        .at("filter@2")
        .gives::<Module>(200),
        v1(
            "GET",
            "/modules/{reference}/compiles",
            "compiles",
            "What became of its compilations, newest first",
        )
        .at("filter@1")
        .gives::<List<CompileRecord>>(200),
        v1(
            "GET",
            "/modules/{reference}/eligibility",
            "eligibility",
            "What it needs, and which devices can run it",
        )
        .number("memory_bytes_max", "With this limit; the usual one unless given.")
        .text("sensors", "Sensors that it would be given, with commas between them.")
        .text("actuators", "Actuators, likewise.")
        .text("accelerators", "Accelerators that a device has to have, likewise.")
        .text("labels", "Labels that a device has to have, as `room=hall,floor=2`.")
        .at("filter@1")
        .gives::<ModuleEligibility>(200),
        v1("POST", "/deployments", "createDeployment", "Has devices run a module")
            .json::<NewDeployment>(
                json!({ "module": "filter@1", "devices": "all", "interval_ms": 1000 }),
            )
            .gives::<Deployment>(201),
        v1("GET", "/deployments", "deployments", "Deployments, the oldest first")
            .paged()
            .at("?limit=1")
            .gives::<Page<Deployment>>(200),
        v1(
            "GET",
            "/deployments/{id}",
            "deployment",
            "A deployment, with its progress on each device",
        )
        .at("filter-1")
        .gives::<Deployment>(200),
        v1(
            "POST",
            "/deployments/{id}/repeat",
            "repeatDeployment",
            "The same again, to go back to it",
        )
        .at("filter-1")
        .gives::<Deployment>(201),
        v1("DELETE", "/deployments/{id}", "removeDeployment", "Takes its module from the devices")
            .at("filter-1")
            .gives_nothing(204),
        v1("POST", "/deployment-plans", "planDeployment", "What a deployment would do")
            .json::<NewDeployment>(json!({ "module": "filter@1", "devices": "all" }))
            .gives::<DeploymentPlan>(200),
        v1("POST", "/application-plans", "planApplication", "What applying a file would change")
            .json::<NewApplication>(json!({ "file": APPLICATION }))
            .gives::<ApplicationPlan>(200),
        v1(
            "POST",
            "/applications",
            "applyApplication",
            "Applies an application file by one commit",
        )
        .json::<NewApplication>(json!({ "file": APPLICATION, "accept_more": true }))
        .gives::<AppliedApplication>(201)
        .gives::<AppliedApplication>(200),
        v1("GET", "/applications", "applications", "Applications, by name")
            .paged()
            .gives::<Page<Application>>(200),
        v1("GET", "/applications/{name}", "application", "An application")
            .at("climate")
            .gives::<Application>(200),
        v1(
            "DELETE",
            "/applications/{name}",
            "removeApplication",
            "Takes its modules from the devices",
        )
        .at("climate")
        .gives_nothing(204),
    ]
}

fn trusting() -> Vec<Operation> {
    vec![
        v1("GET", "/trust", "trust", "What devices accept from whom").gives::<Trust>(200),
        v1("POST", "/trust/keys", "createGatewayKey", "One more key, for the next root document")
            .json::<NewGatewayKey>(json!({ "role": "assign" }))
            .gives::<TrustKey>(201),
        v1("POST", "/roots", "publishRoot", "Hands a signed root document in")
            .not_sent()
            .other("application/cose", "The signed root document.", Vec::new())
            .gives::<Trust>(201)
            .gives::<Trust>(200),
        v1("GET", "/roots/{version}", "root", "A signed root document")
            .at("1")
            .gives_other("application/cose"),
        v1("GET", "/releases/waiting", "waitingReleases", "Releases that wait for their signature")
            .gives::<List<WaitingRelease>>(200),
        v1("POST", "/releases", "submitRelease", "Hands a sealed release in")
            .not_sent()
            .other("application/cose", "The sealed release.", Vec::new())
            .gives::<AcceptedRelease>(201),
        v1(
            "GET",
            "/artifacts/{id}/provenance",
            "provenance",
            "Where an artifact came from: docs/provenance.md",
        )
        .not_sent()
        .gives_other("application/vnd.dsse.envelope.v1+json"),
    ]
}

fn ending() -> Vec<Operation> {
    vec![
        v1(
            "POST",
            "/devices/{reference}/revoke",
            "revokeDevice",
            "Ends its session and its rights",
        )
        .at("device-2")
        .gives::<Device>(200),
        v1(
            "DELETE",
            "/devices/{reference}",
            "removeDevice",
            "Forgets a device; it is a stranger then",
        )
        .at("device-2")
        .gives_nothing(204),
        v1("POST", "/logout", "logout", "Ends the session of a browser").gives_nothing(204),
    ]
}
