//! People, and what each of them may do.

use super::passwords::{check_new_password, is_password};
use super::{App, AppError, Caller, CallerBy, forbidden, role_of, session_role, to_record};
use crate::app::model::{Model, shorten};
use crate::store::Change;
use crate::store::record::{RoleRecord, TokenUse, UserRecord};
use gateway_api::{NewPassword, NewUser, ProblemCode, Role, User};

const USERS_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 64;

impl App {
    pub fn users(&self) -> Vec<User> {
        let state = self.state();
        state.model.users.values().map(|record| self.show_user(&state.model, record)).collect()
    }

    fn show_user(&self, model: &Model, record: &UserRecord) -> User {
        let now_ms = self.now_ms();
        let is_own = |user: &Option<String>| user.as_ref() == Some(&record.name);
        let sessions = model.sessions.values().filter(|session| {
            let used_ms = self.last_use(&session.cookie_hash, session.last_used_at_ms);
            is_own(&session.user) && session_role(model, session, used_ms, now_ms).is_some()
        });
        User {
            name: record.name.clone(),
            role: role_of(record.role),
            has_password: record.password_hash.is_some(),
            created_at_ms: record.created_at_ms,
            tokens: model.access.values().filter(|token| is_own(&token.user)).count() as u32,
            sessions: sessions.count() as u32,
        }
    }

    /// Hashes the password; see `passwords`.
    pub fn add_user(&self, new: &NewUser) -> Result<User, AppError> {
        let record = self.to_user(new)?;
        let mut state = self.state();
        let changes = self.changes_of_new_user(&state.model, record.clone())?;
        self.delete_access(&mut state, changes)?;
        Ok(self.show_user(&state.model, &record))
    }

    pub(super) fn to_user(&self, new: &NewUser) -> Result<UserRecord, AppError> {
        check_name(&new.name)?;
        let password_hash = match &new.password {
            None => None,
            Some(password) => {
                check_new_password(&password.0, &new.name)?;
                Some(self.hash_password(&password.0)?)
            }
        };
        let (name, role) = (new.name.clone(), to_record(new.role));
        Ok(UserRecord { name, role, password_hash, created_at_ms: self.now_ms() })
    }

    /// With the first user, the set-up token has no use any more.
    pub(super) fn changes_of_new_user(
        &self,
        model: &Model,
        record: UserRecord,
    ) -> Result<Vec<Change>, AppError> {
        if model.users.contains_key(&record.name) {
            return Err(AppError::conflict(format!("There is a user {:?} already.", record.name)));
        }
        if model.users.len() >= USERS_MAX {
            return Err(AppError::conflict(format!("There are {USERS_MAX} users already.")));
        }
        let set_up = model.access.values().filter(|t| t.only_for == Some(TokenUse::SetUp));
        let mut changes: Vec<_> = set_up.map(|t| Change::DeleteAccess(t.token_hash)).collect();
        changes.push(Change::User(record));
        Ok(changes)
    }

    pub fn set_role(&self, name: &str, role: Role) -> Result<User, AppError> {
        let mut state = self.state();
        let record = find_user(&state.model, name)?.clone();
        if role < Role::Admin && record.role == RoleRecord::Admin {
            self.check_way_in(&state.model, Some(name), None)?;
        }
        let record = UserRecord { role: to_record(role), ..record };
        if state.model.users.get(name) != Some(&record) {
            self.commit(&mut state, vec![Change::User(record.clone())])?;
        }
        Ok(self.show_user(&state.model, &record))
    }

    /// Hashes passwords; see `passwords`. Ends the user's sessions but the one that asks.
    pub fn set_password(
        &self,
        caller: &Caller,
        name: &str,
        new: &NewPassword,
    ) -> Result<(), AppError> {
        let is_own = caller.user.as_deref() == Some(name);
        if !is_own && caller.role < Role::Admin {
            return Err(forbidden("Only an admin changes other users' passwords."));
        }
        let known = find_user(&self.state().model, name)?.clone();
        check_new_password(&new.password.0, name)?;
        // Who finds an open browser, or a token, must not be able to shut its user out.
        if is_own && known.password_hash.is_some() {
            let present = new.present.as_ref().map_or("", |present| present.0.as_str());
            if !is_password(known.password_hash.as_deref(), present) {
                return Err(forbidden("The present password is not right."));
            }
        }
        let password_hash = Some(self.hash_password(&new.password.0)?);
        let mut state = self.state();
        // Meanwhile the user may have been changed, or be gone.
        let record = UserRecord { password_hash, ..find_user(&state.model, name)?.clone() };
        let ended = state.model.sessions.values().filter(|session| {
            session.user.as_deref() == Some(name)
                && caller.by != CallerBy::Session(session.cookie_hash)
        });
        let mut changes: Vec<_> =
            ended.map(|session| Change::DeleteSession(session.cookie_hash)).collect();
        changes.push(Change::User(record));
        self.delete_access(&mut state, changes)
    }

    pub fn remove_user(&self, name: &str) -> Result<(), AppError> {
        let mut state = self.state();
        let model = &state.model;
        find_user(model, name)?;
        self.check_way_in(model, Some(name), None)?;
        let tokens = model.access.values().filter(|token| token.user.as_deref() == Some(name));
        let sessions = model.sessions.values().filter(|s| s.user.as_deref() == Some(name));
        let mut changes: Vec<_> =
            tokens.map(|token| Change::DeleteAccess(token.token_hash)).collect();
        changes.extend(sessions.map(|session| Change::DeleteSession(session.cookie_hash)));
        changes.push(Change::DeleteUser(name.to_owned()));
        self.delete_access(&mut state, changes)
    }
}

fn find_user<'m>(model: &'m Model, name: &str) -> Result<&'m UserRecord, AppError> {
    model.users.get(name).ok_or_else(|| {
        AppError::refused(
            ProblemCode::NotFound,
            format!("There is no user {:?}. The list of users shows all.", shorten(name)),
        )
    })
}

fn check_name(name: &str) -> Result<(), AppError> {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins_well && name.len() <= NAME_CHARS_MAX && name.chars().all(is_fine) {
        return Ok(());
    }
    Err(AppError::bad_request(format!(
        "The user name {:?} is not valid: use 1 to {NAME_CHARS_MAX} lower-case letters, digits, '-', '_' \
         or '.', and a letter or digit first.",
        shorten(name)
    )))
}
