//! Browsers that are logged in. They outlive the gateway's process, so everything that
//! ends one is decided from what was written.

use super::links::Opens;
use super::{App, AppError, Caller, CallerBy, gone, login::Visitor, session_role, to_record};
use crate::app::State;
use crate::app::model::Model;
use crate::store::Change;
use crate::store::note::as_actor;
use crate::store::record::{SessionRecord, short_id};
use gateway_api::{LoginSession, Role};
use module_package::BlobId;

/// A session ends so long after its last use,
const IDLE_MS_MAX: u64 = 12 * 60 * 60 * 1_000;
/// and so long after its begin in any case.
pub const SESSION_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1_000;

/// A new one takes the place of the one that was not used for longest.
const SESSIONS_PER_USER_MAX: usize = 20;
const SESSIONS_MAX: usize = 2_000;

const BROWSER_CHARS_MAX: usize = 120;

pub(super) fn end_of(record: &SessionRecord, used_ms: u64) -> u64 {
    let idle = used_ms.saturating_add(IDLE_MS_MAX);
    idle.min(record.begun_at_ms.saturating_add(SESSION_MS_MAX))
}

impl App {
    /// Begins one; its cookie, which is kept by its hash.
    pub fn begin_session(&self, opens: Opens, visitor: &Visitor) -> Result<String, AppError> {
        let mut state = self.state();
        self.begin_session_with(&mut state, opens, visitor, vec![])
    }

    /// The same, in one commit with other changes.
    pub(super) fn begin_session_with(
        &self,
        state: &mut State,
        opens: Opens,
        visitor: &Visitor,
        mut changes: Vec<Change>,
    ) -> Result<String, AppError> {
        let makes_user = changes.iter().any(|change| matches!(change, Change::User(_)));
        if let Some(user) = &opens.user
            && !makes_user
            && !state.model.users.contains_key(user)
        {
            return Err(gone("The user is no more."));
        }
        let cookie = hex::encode(self.rooms.surroundings.random::<32>());
        let now_ms = self.now_ms();
        let browser = visitor
            .browser
            .as_ref()
            .map(|text| text.chars().filter(|c| !c.is_control()).take(BROWSER_CHARS_MAX).collect());
        let record = SessionRecord {
            cookie_hash: BlobId::of(cookie.as_bytes()),
            user: opens.user.clone(),
            role: to_record(opens.role),
            begun_at_ms: now_ms,
            last_used_at_ms: now_ms,
            address: visitor.address.map(|address| address.to_canonical().to_string()),
            browser,
            token_hash: opens.token,
        };
        changes.extend(self.make_room(&state.model, opens.user.as_ref()));
        changes.push(Change::Session(record));
        let actor = opens.user.map_or("browser".to_owned(), |user| format!("user {user}"));
        self.forget_uses(&changes);
        as_actor(actor, || self.commit(state, changes))?;
        Ok(cookie)
    }

    /// The sessions that end when this user begins one.
    fn make_room(&self, model: &Model, user: Option<&String>) -> Vec<Change> {
        let now_ms = self.now_ms();
        let (mut ended, mut going_on) = (Vec::new(), Vec::new());
        for record in model.sessions.values() {
            let used_ms = self.last_use(&record.cookie_hash, record.last_used_at_ms);
            match session_role(model, record, used_ms, now_ms) {
                Some(_) => going_on.push((used_ms, record)),
                None => ended.push(record.cookie_hash),
            }
        }
        going_on.sort_by_key(|(used_ms, _)| *used_ms);
        let is_own = |record: &SessionRecord| record.user.as_ref() == user;
        let own = going_on.iter().filter(|(_, record)| is_own(record)).count();
        let mut surplus = (own + 1).saturating_sub(SESSIONS_PER_USER_MAX);
        let mut surplus_of_all = (going_on.len() + 1).saturating_sub(SESSIONS_MAX);
        for (_, record) in going_on {
            let takes = (is_own(record) && surplus > 0) || surplus_of_all > 0;
            if takes {
                ended.push(record.cookie_hash);
                surplus_of_all = surplus_of_all.saturating_sub(1);
                surplus = surplus.saturating_sub(usize::from(is_own(record)));
            }
        }
        ended.into_iter().map(Change::DeleteSession).collect()
    }

    /// Those that the caller may see, the last used first.
    pub fn sessions(&self, caller: &Caller) -> Vec<LoginSession> {
        let (state, now_ms) = (self.state(), self.now_ms());
        let model = &state.model;
        let seen = model.sessions.values().filter(|record| {
            let used_ms = self.last_use(&record.cookie_hash, record.last_used_at_ms);
            caller.may_touch(record.user.as_ref(), &record.cookie_hash)
                && session_role(model, record, used_ms, now_ms).is_some()
        });
        let mut sessions: Vec<_> =
            seen.map(|record| self.show_session(model, record, caller)).collect();
        sessions.sort_by(|a, b| (b.last_used_at_ms, &a.id).cmp(&(a.last_used_at_ms, &b.id)));
        sessions
    }

    pub(super) fn show_session(
        &self,
        model: &Model,
        record: &SessionRecord,
        caller: &Caller,
    ) -> LoginSession {
        let used_ms = self.last_use(&record.cookie_hash, record.last_used_at_ms);
        let role = session_role(model, record, used_ms, self.now_ms());
        LoginSession {
            id: short_id(&record.cookie_hash),
            user: record.user.clone(),
            role: role.unwrap_or(Role::Viewer),
            begun_at_ms: record.begun_at_ms,
            last_used_at_ms: used_ms,
            ends_at_ms: end_of(record, used_ms),
            address: record.address.clone(),
            browser: record.browser.clone(),
            is_this: caller.by == CallerBy::Session(record.cookie_hash),
        }
    }

    pub fn end_session(&self, caller: &Caller, id: &str) -> Result<(), AppError> {
        let mut state = self.state();
        let found = state.model.sessions.values().find(|record| {
            short_id(&record.cookie_hash) == id
                && caller.may_touch(record.user.as_ref(), &record.cookie_hash)
        });
        let Some(hash) = found.map(|record| record.cookie_hash) else {
            return Err(AppError::not_found(
                "There is no such session of yours. The list of sessions shows all.",
            ));
        };
        self.delete_access(&mut state, vec![Change::DeleteSession(hash)])
    }

    /// Ends the session that asks; a token goes on.
    pub fn log_out(&self, caller: &Caller) -> Result<(), AppError> {
        match &caller.by {
            CallerBy::Session(hash) => {
                self.delete_access(&mut self.state(), vec![Change::DeleteSession(*hash)])
            }
            CallerBy::Token { .. } | CallerBy::Password => Ok(()),
        }
    }

    pub(super) fn delete_access(
        &self,
        state: &mut State,
        changes: Vec<Change>,
    ) -> Result<(), AppError> {
        self.forget_uses(&changes);
        Ok(self.commit(state, changes)?)
    }
}
