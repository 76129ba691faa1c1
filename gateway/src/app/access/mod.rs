//! Who may use the API: users with roles, their tokens and their sessions.
//!
//! Of tokens and cookies only the SHA-256 is kept, and they are looked up by it. They
//! are random and long, so a plain hash is enough, and what a comparison of hashes
//! takes tells nothing of use. Passwords are people's, so they are kept by argon2
//! (`passwords`). docs/users.md is for people.

mod links;
mod login;
mod passwords;
mod sessions;
mod tokens;
mod users;

pub(super) use links::LoginLinks;
pub use login::{LoggedIn, Visitor};
pub(super) use passwords::LoginLimits;
pub use sessions::SESSION_MS_MAX;

use super::model::Model;
use super::{App, AppError};
use crate::store::Change;
use crate::store::record::{AccessRecord, RoleRecord, SessionRecord, TokenUse};
use gateway_api::{Me, ProblemCode, Role, Session};
use module_package::BlobId;
use std::collections::HashMap;
use std::sync::PoisonError;
use target_spec::Registry;

/// A token's last use is written at its first and then once a day.
const TOKEN_USE_WRITTEN_MS: u64 = 24 * 60 * 60 * 1_000;
/// A session's more often, because its end depends on it.
const SESSION_USE_WRITTEN_MS: u64 = 3 * 60 * 60 * 1_000;
/// Enough to read the log, open the page, and choose a password.
const SET_UP_VALID_MS: u64 = 24 * 60 * 60 * 1_000;

/// A secret that is shown once.
pub struct FreshToken(pub String);

/// Who asks, with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// None is the gateway's own administrator.
    pub user: Option<String>,
    pub role: Role,
    pub by: CallerBy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerBy {
    Token {
        hash: BlobId,
        label: String,
    },
    Session(BlobId),
    /// Where a login makes a token and begins no session.
    Password,
}

impl Caller {
    /// As it stands in the audit log.
    pub fn actor(&self) -> String {
        match (&self.user, &self.by) {
            (Some(user), CallerBy::Session(_) | CallerBy::Password) => format!("user {user}"),
            (Some(user), CallerBy::Token { label, .. }) => format!("user {user} by token {label}"),
            (None, CallerBy::Token { label, .. }) => format!("token {label}"),
            (None, CallerBy::Session(_) | CallerBy::Password) => "browser".to_owned(),
        }
    }

    pub fn is_by_session(&self) -> bool {
        matches!(self.by, CallerBy::Session(_))
    }

    fn is_admin(&self) -> bool {
        self.role >= Role::Admin
    }

    /// Whether it may see and end what belongs to this user, or is this itself.
    fn may_touch(&self, user: Option<&String>, hash: &BlobId) -> bool {
        let is_own = match &self.by {
            CallerBy::Token { hash: own, .. } | CallerBy::Session(own) => own == hash,
            CallerBy::Password => false,
        };
        self.is_admin() || is_own || (user.is_some() && user == self.user.as_ref())
    }
}

/// When each token and session was last used, exactly and until the gateway ends. Has
/// no more entries than there are tokens and sessions.
#[derive(Default)]
pub struct LastUses(HashMap<BlobId, u64>);

fn role_of(record: RoleRecord) -> Role {
    match record {
        RoleRecord::Viewer => Role::Viewer,
        RoleRecord::Operator => Role::Operator,
        RoleRecord::Developer => Role::Developer,
        RoleRecord::Admin => Role::Admin,
    }
}

fn to_record(role: Role) -> RoleRecord {
    match role {
        Role::Viewer => RoleRecord::Viewer,
        Role::Operator => RoleRecord::Operator,
        Role::Developer => RoleRecord::Developer,
        Role::Admin => RoleRecord::Admin,
    }
}

/// What a user of this name may do at most; everything where it is the gateway's own.
fn owner_role(model: &Model, user: Option<&String>) -> Option<Role> {
    match user {
        Some(name) => model.users.get(name).map(|user| role_of(user.role)),
        None => Some(Role::Admin),
    }
}

/// What the token may do now, if it is good.
fn token_role(model: &Model, record: &AccessRecord, now_ms: u64) -> Option<Role> {
    let has_ended = record.expires_at_ms.is_some_and(|end| end <= now_ms);
    if has_ended || record.only_for.is_some() {
        return None;
    }
    let own = record.role.map_or(Role::Admin, role_of);
    Some(own.min(owner_role(model, record.user.as_ref())?))
}

/// What the session may do now, if it is good and was last used then.
fn session_role(model: &Model, record: &SessionRecord, used_ms: u64, now_ms: u64) -> Option<Role> {
    if now_ms >= sessions::end_of(record, used_ms) {
        return None;
    }
    let begun_with = match &record.token_hash {
        Some(hash) => token_role(model, model.access.get(hash)?, now_ms)?,
        None => Role::Admin,
    };
    let owner = owner_role(model, record.user.as_ref())?;
    Some(role_of(record.role).min(owner).min(begun_with))
}

/// The token that this caller is let in by: its own, or the one that its session began
/// with. What it makes ends with that one at the latest.
fn token_behind(model: &Model, caller: &Caller) -> Result<Option<BlobId>, AppError> {
    match &caller.by {
        CallerBy::Token { hash, .. } => Ok(Some(*hash)),
        CallerBy::Session(hash) => match model.sessions.get(hash) {
            Some(session) => Ok(session.token_hash),
            // It was ended a moment ago, and then nobody knows.
            None => Err(gone("The session has ended. Log in again.")),
        },
        CallerBy::Password => Ok(None),
    }
}

impl App {
    /// Makes the first token; `None` if there is one.
    pub fn make_first_admin_token(&self) -> Result<Option<FreshToken>, AppError> {
        let mut state = self.state();
        if !state.model.access.is_empty() {
            return Ok(None);
        }
        let token = self.fresh_secret("farrier-admin");
        let hash = BlobId::of(token.as_bytes());
        let record = AccessRecord::of_administrator(hash, "admin".into());
        self.commit(&mut state, vec![Change::Access(record)])?;
        Ok(Some(FreshToken(token)))
    }

    /// What makes the first user, once; `None` if there are users.
    pub fn make_set_up_token(&self) -> Result<Option<FreshToken>, AppError> {
        let mut state = self.state();
        if !state.model.users.is_empty() {
            return Ok(None);
        }
        let token = self.fresh_secret("farrier-setup");
        let now_ms = self.now_ms();
        let record = AccessRecord {
            created_at_ms: Some(now_ms),
            expires_at_ms: Some(now_ms + SET_UP_VALID_MS),
            only_for: Some(TokenUse::SetUp),
            ..AccessRecord::of_administrator(BlobId::of(token.as_bytes()), "set-up".into())
        };
        self.commit(&mut state, vec![Change::Access(record)])?;
        Ok(Some(FreshToken(token)))
    }

    fn fresh_secret(&self, prefix: &str) -> String {
        format!("{prefix}.{}", hex::encode(self.rooms.surroundings.random::<32>()))
    }

    /// Whose token it is, if it is good here.
    pub fn caller_by_token(&self, token: &str) -> Option<Caller> {
        let hash = BlobId::of(token.as_bytes());
        let now_ms = self.now_ms();
        let caller = {
            let state = self.state();
            let record = state.model.access.get(&hash)?;
            let role = token_role(&state.model, record, now_ms)?;
            let by = CallerBy::Token { hash, label: record.label.clone() };
            Caller { user: record.user.clone(), role, by }
        };
        self.note_use(hash, now_ms);
        Some(caller)
    }

    /// Whose cookie it is, if its session goes on.
    pub fn caller_by_cookie(&self, cookie: &str) -> Option<Caller> {
        let hash = BlobId::of(cookie.as_bytes());
        let now_ms = self.now_ms();
        let caller = {
            let state = self.state();
            let record = state.model.sessions.get(&hash)?;
            let used_ms = self.last_use(&hash, record.last_used_at_ms);
            let role = session_role(&state.model, record, used_ms, now_ms)?;
            Caller { user: record.user.clone(), role, by: CallerBy::Session(hash) }
        };
        self.note_use(hash, now_ms);
        Some(caller)
    }

    /// For what goes on for long: whether who began it may still do as much.
    pub fn is_still_good(&self, caller: &Caller) -> bool {
        let (state, now_ms) = (self.state(), self.now_ms());
        let role = match &caller.by {
            CallerBy::Token { hash, .. } => {
                let record = state.model.access.get(hash);
                record.and_then(|record| token_role(&state.model, record, now_ms))
            }
            CallerBy::Session(hash) => state.model.sessions.get(hash).and_then(|record| {
                let used_ms = self.last_use(hash, record.last_used_at_ms);
                session_role(&state.model, record, used_ms, now_ms)
            }),
            // It is no more than one request.
            CallerBy::Password => None,
        };
        role.is_some_and(|role| role >= caller.role)
    }

    fn last_use(&self, hash: &BlobId, written_ms: u64) -> u64 {
        let uses = self.last_uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.0.get(hash).copied().unwrap_or(0).max(written_ms)
    }

    fn note_use(&self, hash: BlobId, now_ms: u64) {
        let mut state = self.state();
        let is_old = |written_ms: Option<u64>, rule_ms: u64| {
            written_ms.is_none_or(|written| now_ms >= written.saturating_add(rule_ms))
        };
        let change = if let Some(record) = state.model.access.get(&hash) {
            let record = AccessRecord { last_used_at_ms: Some(now_ms), ..record.clone() };
            let written = state.model.access.get(&hash).and_then(|old| old.last_used_at_ms);
            is_old(written, TOKEN_USE_WRITTEN_MS).then_some(Change::Access(record))
        } else if let Some(record) = state.model.sessions.get(&hash) {
            let written = Some(record.last_used_at_ms);
            let record = SessionRecord { last_used_at_ms: now_ms, ..record.clone() };
            is_old(written, SESSION_USE_WRITTEN_MS).then_some(Change::Session(record))
        } else {
            // It was revoked a moment ago.
            return;
        };
        let mut uses = self.last_uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.0.insert(hash, now_ms);
        drop(uses);
        // No reason to refuse the request: it is tried again at the next one.
        if let Some(change) = change
            && let Err(error) = self.commit(&mut state, vec![change])
        {
            tracing::warn!(%error, "the use of a token or session could not be written");
        }
    }

    /// Called where tokens and sessions are deleted.
    fn forget_uses(&self, changes: &[Change]) {
        let mut uses = self.last_uses.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            if let Change::DeleteAccess(hash) | Change::DeleteSession(hash) = change {
                uses.0.remove(hash);
            }
        }
    }

    pub fn me(&self, caller: &Caller) -> Me {
        let state = self.state();
        let (mut token, mut session) = (None, None);
        match &caller.by {
            CallerBy::Token { hash, .. } => {
                let record = state.model.access.get(hash);
                token = record.map(|record| self.show_token(&state.model, record));
            }
            CallerBy::Session(hash) => {
                let record = state.model.sessions.get(hash);
                session = record.map(|record| self.show_session(&state.model, record, caller));
            }
            CallerBy::Password => {}
        }
        Me { user: caller.user.clone(), role: caller.role, token, session }
    }

    /// Refuses what would leave nobody who may do everything.
    fn check_way_in(
        &self,
        model: &Model,
        without_user: Option<&str>,
        without_token: Option<&BlobId>,
    ) -> Result<(), AppError> {
        let now_ms = self.now_ms();
        let is_there = |user: Option<&String>| user.is_none_or(|u| without_user != Some(u));
        let by_token = model.access.values().any(|record| {
            without_token != Some(&record.token_hash)
                && is_there(record.user.as_ref())
                && token_role(model, record, now_ms) == Some(Role::Admin)
        });
        let by_password = model.users.values().any(|user| {
            is_there(Some(&user.name))
                && user.role == RoleRecord::Admin
                && user.password_hash.is_some()
        });
        if by_token || by_password {
            return Ok(());
        }
        Err(AppError::conflict(
            "Nobody who may do everything would be left. Make another user an admin first.",
        ))
    }

    pub fn session(&self) -> Session {
        let trust = self.trust_summary(&self.state());
        Session {
            gateway: concat!("farrier-gateway ", env!("CARGO_PKG_VERSION")).to_owned(),
            compiler: aot_compiler::COMPILER_ID.to_owned(),
            targets: Registry::built_in().all().iter().map(|t| t.id.to_string()).collect(),
            upload_bytes_max: self.rooms.upload_bytes_max,
            storage_full: self.is_storage_full(),
            trust,
        }
    }
}

fn forbidden(detail: impl Into<String>) -> AppError {
    AppError::refused(ProblemCode::Forbidden, detail)
}

fn gone(detail: impl Into<String>) -> AppError {
    AppError::refused(ProblemCode::LoginRequired, detail)
}
