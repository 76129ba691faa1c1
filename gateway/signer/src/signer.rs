//! One question, one answer: the order of checks, and the log before the signature.

use crate::log::{Entry, SignatureLog};
use crate::recompile::{Mismatch, Recompiler};
use crate::rules::Rules;
use key_file::KeyFile;
use module_package::{Domain, ReleaseId, seal};
use signer_protocol::{About, Answer, Ask, SIGNER_PROTOCOL_VERSION, SignRequest};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

pub struct ReleaseSigner {
    pub key: KeyFile,
    pub rules: Rules,
    /// In the strong mode. Locked for one compilation after the other.
    pub recompiler: Option<Mutex<Recompiler>>,
    pub log: Mutex<SignatureLog>,
}

impl ReleaseSigner {
    pub fn answer(&self, ask: Ask, peer_uid: u32) -> Answer {
        match ask {
            Ask::About => Answer::About(About {
                version: SIGNER_PROTOCOL_VERSION,
                release_key: self.key.public_key(),
                recompile: self.recompiler.is_some(),
                requires_developer: !self.rules.developers.is_empty(),
            }),
            Ask::Sign(request) => self.sign(request, peer_uid),
        }
    }

    fn sign(&self, request: SignRequest, peer_uid: u32) -> Answer {
        let SignRequest { release: payload, wasm, module_statement } = request;
        let refuse = |detail: String| {
            tracing::warn!(detail, "refused to sign");
            Answer::Refused { detail }
        };
        let allowed = match self.rules.check(&payload, module_statement.as_deref()) {
            Ok(allowed) => allowed,
            Err(detail) => return refuse(detail),
        };
        let release = &allowed.release;
        if let Some(recompiler) = &self.recompiler {
            let Some(wasm) = wasm else {
                return refuse("the module has to come with it, to be compiled again".into());
            };
            let recompiler = recompiler.lock().unwrap_or_else(PoisonError::into_inner);
            match recompiler.check(release, wasm) {
                Ok(()) => {}
                Err(Mismatch::Refused(detail)) => return refuse(detail),
                Err(Mismatch::Failed(detail)) => {
                    tracing::error!(detail, "could not compile again");
                    return Answer::Failed { detail };
                }
            }
        }
        // Ed25519 signatures are a function of key and message, so making one again
        // for the same release tells nobody anything new.
        let sealed = seal(Domain::Release, payload, &self.key.key);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry {
            seq: log.next_seq(),
            time_ms: now_ms(),
            release_key: self.key.public_key().id().to_string(),
            release: ReleaseId::of(&sealed).to_string(),
            app: &release.app,
            app_version: release.app_version,
            module: release.module.to_string(),
            artifact: release.artifact.to_string(),
            target: &release.target.id,
            developer: allowed.developer.map(|key| key.to_string()),
            recompiled: self.recompiler.is_some(),
            peer_uid,
        };
        if let Err(error) = log.append(&entry) {
            tracing::error!(error = format!("{error:#}"), "nothing is signed without the log");
            return Answer::Failed {
                detail: format!("the signer cannot write its log: {error:#}"),
            };
        }
        tracing::info!(
            release.id = entry.release,
            app = entry.app,
            version = entry.app_version,
            target = entry.target,
            "signed"
        );
        Answer::Sealed { sealed }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
