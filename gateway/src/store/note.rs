//! What the journal says of a change beside the change itself: who made it, what it
//! is in words, and what was signed for it.

use super::Change;
use super::record::{AccessRecord, RoleRecord, SessionRecord, short_id};
use audit_chain::{Action, Signature};
use module_package::{ManifestId, RootId, signers_of};
use std::cell::RefCell;

/// The actor of changes that nobody asked for from outside.
pub const GATEWAY: &str = "gateway";

thread_local! {
    static ACTOR: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs something in the name of an actor: `token …` or `device …`. Rules block, so
/// each runs on one thread from begin to end.
pub fn as_actor<T>(actor: String, act: impl FnOnce() -> T) -> T {
    /// Also when `act` panics, the thread goes back to its pool as it was.
    struct Restore(Option<String>);
    impl Drop for Restore {
        fn drop(&mut self) {
            ACTOR.set(self.0.take());
        }
    }
    let _restore = Restore(ACTOR.replace(Some(actor)));
    act()
}

/// Who acts on this thread.
pub fn actor() -> String {
    ACTOR.with_borrow(|actor| actor.clone()).unwrap_or_else(|| GATEWAY.to_owned())
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    pub actor: String,
    pub actions: Vec<Action>,
    pub signatures: Vec<Signature>,
}

impl Note {
    /// What can be told from the changes alone. A release's signature stands in its
    /// blob; whoever can read blobs adds it.
    pub fn of(changes: &[Change]) -> Self {
        Self {
            actor: actor(),
            actions: changes.iter().map(to_action).collect(),
            signatures: changes.iter().flat_map(to_signatures).collect(),
        }
    }

    pub fn add_signatures(&mut self, document: &str, hash: [u8; 32], sealed: &[u8], subject: &str) {
        self.signatures.extend(signatures(document, hash, sealed, subject));
    }
}

fn signatures(document: &str, hash: [u8; 32], sealed: &[u8], subject: &str) -> Vec<Signature> {
    let to_signature = |key: module_package::KeyId| Signature {
        document: document.to_owned(),
        document_hash: hash,
        key_id: key.0,
        subject: subject.to_owned(),
    };
    signers_of(sealed).unwrap_or_default().into_iter().map(to_signature).collect()
}

fn to_signatures(change: &Change) -> Vec<Signature> {
    match change {
        Change::Manifest(record) => {
            let payload = module_package::payload_of(&record.sealed).unwrap_or_default();
            let hash = ManifestId::of(&payload).0;
            let subject = format!("{} generation {}.{}", record.device, record.epoch, record.seq);
            signatures("manifest", hash, &record.sealed, &subject)
        }
        Change::Root(record) => {
            let subject = format!("version {}", record.root_version);
            signatures("root", RootId::of(&record.sealed).0, &record.sealed, &subject)
        }
        _ => vec![],
    }
}

fn describe_token(record: &AccessRecord) -> String {
    if record.only_for.is_some() {
        return format!("{} for the set-up", short_id(&record.token_hash));
    }
    let role = role_text(record.role.unwrap_or(RoleRecord::Admin));
    let owner = record.user.as_ref().map(|user| format!(" of {user}")).unwrap_or_default();
    format!("{} {:?}{owner} as {role}", short_id(&record.token_hash), record.label)
}

fn describe_session(record: &SessionRecord) -> String {
    let id = short_id(&record.cookie_hash);
    let owner = record.user.as_ref().map(|user| format!(" of {user}")).unwrap_or_default();
    let from = record.address.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
    format!("{id}{owner}{from}")
}

fn role_text(role: RoleRecord) -> &'static str {
    match role {
        RoleRecord::Viewer => "viewer",
        RoleRecord::Operator => "operator",
        RoleRecord::Developer => "developer",
        RoleRecord::Admin => "admin",
    }
}

fn to_action(change: &Change) -> Action {
    let (what, subject) = match change {
        Change::Module(r) => ("module kept", format!("{}@{} {}", r.name, r.version, r.module)),
        Change::Device(r) if r.revoked_at_ms.is_some() => {
            ("device revoked", format!("{} {}", r.device, r.name))
        }
        Change::Device(r) => ("device kept", format!("{} {}", r.device, r.name)),
        Change::DeleteDevice(device) => ("device removed", device.to_string()),
        Change::Deployment(r) if r.removed => ("deployment removed", r.id()),
        Change::Deployment(r) => {
            ("deployment kept", format!("{} of {}@{}", r.id(), r.app, r.module_version))
        }
        Change::DeleteDeployment(number) => ("deployment forgotten", number.to_string()),
        Change::Claim(r) => match &r.used_by {
            Some(device) => ("claim token used", device.to_string()),
            None => ("claim token made", format!("good until {} ms", r.expires_at_ms)),
        },
        Change::DeleteClaim(hash) => ("claim token forgotten", hash.to_string()),
        Change::Artifact(r) => {
            ("artifact compiled", format!("{} for {}", r.artifact, r.key.target))
        }
        Change::DeleteArtifact(hash) => ("artifact forgotten", hex::encode(hash)),
        Change::Release(r) => ("release kept", format!("{} of artifact {}", r.release, r.artifact)),
        Change::DeleteRelease(build) => ("release forgotten", hex::encode(build)),
        Change::Manifest(r) => ("manifest made", format!("{} generation {}", r.device, r.seq)),
        Change::Access(r) if r.last_used_at_ms.is_some() => ("token used", describe_token(r)),
        Change::Access(r) => ("token kept", describe_token(r)),
        Change::DeleteAccess(hash) => ("token revoked", short_id(hash)),
        Change::User(r) => ("user kept", format!("{} as {}", r.name, role_text(r.role))),
        Change::DeleteUser(name) => ("user removed", name.clone()),
        Change::Session(r) if r.last_used_at_ms > r.begun_at_ms => {
            ("session used", describe_session(r))
        }
        Change::Session(r) => ("session begun", describe_session(r)),
        Change::DeleteSession(hash) => ("session ended", short_id(hash)),
        Change::Counter(r) => ("counter kept", format!("deployments {}", r.last_deployment)),
        Change::Compile(r) => {
            let ended = if r.refusal.is_some() { "refused" } else { "compiled" };
            ("compilation kept", format!("{} for {}: {ended}", r.key.module, r.key.target))
        }
        Change::DeleteCompile(module, number) => {
            ("compilation forgotten", format!("{module} {number}"))
        }
        Change::Root(r) => ("root document taken up", format!("version {}", r.root_version)),
        Change::Unsigned(r) => ("release awaits signature", format!("artifact {}", r.artifact)),
        Change::DeleteUnsigned(build) => ("release no longer awaits signature", hex::encode(build)),
        Change::Application(r) => ("application kept", format!("{} version {}", r.name, r.version)),
        Change::DeleteApplication(name) => ("application removed", name.clone()),
        Change::Provenance(r) => ("provenance kept", format!("artifact {}", r.artifact)),
    };
    Action { what: what.to_owned(), subject }
}
