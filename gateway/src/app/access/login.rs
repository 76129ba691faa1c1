//! Logging in: by a password, by a token, and at the first start by the set-up token.

use super::links::Opens;
use super::passwords::{PASSWORD_BYTES_MAX, is_password};
use super::{App, AppError, Caller, CallerBy, role_of};
use crate::store::note::as_actor;
use crate::store::record::TokenUse;
use gateway_api::{Login, NewLogin, NewToken, NewUser, ProblemCode, Role, Secret};
use module_package::BlobId;
use std::net::IpAddr;

/// Who logs in, as far as the connection tells.
#[derive(Debug, Clone, Default)]
pub struct Visitor {
    pub address: Option<IpAddr>,
    pub browser: Option<String>,
}

#[derive(Debug)]
pub struct LoggedIn {
    pub login: Login,
    /// None where a token was asked for.
    pub cookie: Option<String>,
}

impl App {
    /// The caller has asked [`App::admit_login`]. Hashes passwords; see `passwords`.
    pub fn log_in(&self, new: &NewLogin, visitor: &Visitor) -> Result<LoggedIn, AppError> {
        match new {
            NewLogin {
                name: Some(name),
                password: Some(password),
                token: None,
                setup_token: None,
                ..
            } => {
                let opens = self.by_password(name, password)?;
                self.let_in(opens, new.as_token.as_ref(), visitor)
            }
            NewLogin {
                name: None,
                password: None,
                token: Some(token),
                setup_token: None,
                as_token: None,
            } => {
                let opens = self.by_token(token)?;
                self.let_in(opens, None, visitor)
            }
            NewLogin {
                name: Some(name),
                password: Some(password),
                token: None,
                setup_token: Some(set_up),
                ..
            } => self.set_up(set_up, name, password, new.as_token.as_ref(), visitor),
            _ => Err(AppError::bad_request(
                "Give `name` and `password`, or `token` alone, or `setup_token` with the `name` and \
                 `password` of the first user. `as_token` goes with a password.",
            )),
        }
    }

    fn by_password(&self, name: &str, password: &Secret) -> Result<Opens, AppError> {
        let known = self.state().model.users.get(name).cloned();
        let hash = known.as_ref().and_then(|user| user.password_hash.as_deref());
        let is_it = password.0.len() <= PASSWORD_BYTES_MAX && is_password(hash, &password.0);
        match known {
            Some(user) if is_it => {
                Ok(Opens { user: Some(user.name), role: role_of(user.role), token: None })
            }
            // What was typed as an unknown name may be a password.
            known => {
                let user = known.map(|user| user.name);
                tracing::warn!(user, "a login was refused");
                Err(AppError::refused(
                    ProblemCode::LoginRequired,
                    "The name or the password is wrong.",
                ))
            }
        }
    }

    fn by_token(&self, token: &Secret) -> Result<Opens, AppError> {
        let caller = self.caller_by_token(token.0.trim()).ok_or_else(|| {
            AppError::refused(
                ProblemCode::LoginRequired,
                "The token is not known here, has ended, or was revoked.",
            )
        })?;
        let CallerBy::Token { hash, .. } = caller.by else {
            return Err(AppError::Bug("a token's caller has none".to_owned()));
        };
        Ok(Opens { user: caller.user, role: caller.role, token: Some(hash) })
    }

    fn let_in(
        &self,
        opens: Opens,
        as_token: Option<&NewToken>,
        visitor: &Visitor,
    ) -> Result<LoggedIn, AppError> {
        let (user, role) = (opens.user.clone(), opens.role);
        let Some(new) = as_token else {
            let cookie = Some(self.begin_session(opens, visitor)?);
            return Ok(LoggedIn { login: Login { user, role, issued: None }, cookie });
        };
        let caller = Caller { user: user.clone(), role, by: CallerBy::Password };
        let issued = as_actor(caller.actor(), || self.make_token(&caller, new))?;
        Ok(LoggedIn { login: Login { user, role, issued: Some(issued) }, cookie: None })
    }

    /// Makes the first user. The token is gone with it, by the same commit.
    fn set_up(
        &self,
        token: &Secret,
        name: &str,
        password: &Secret,
        as_token: Option<&NewToken>,
        visitor: &Visitor,
    ) -> Result<LoggedIn, AppError> {
        self.check_set_up_token(token)?;
        let password = Some(password.clone());
        let new = NewUser { name: name.to_owned(), role: Role::Admin, password };
        let record = self.to_user(&new)?;
        let opens = Opens { user: Some(record.name.clone()), role: Role::Admin, token: None };
        let mut state = self.state();
        // Of two who came at the same time, one is the first.
        if !state.model.users.is_empty() {
            return Err(refused_set_up());
        }
        let changes = self.changes_of_new_user(&state.model, record)?;
        let login = Login { user: opens.user.clone(), role: opens.role, issued: None };
        if as_token.is_some() {
            let actor = format!("user {name}");
            as_actor(actor, || self.delete_access(&mut state, changes))?;
            drop(state);
            return self.let_in(opens, as_token, visitor);
        }
        let cookie = Some(self.begin_session_with(&mut state, opens, visitor, changes)?);
        Ok(LoggedIn { login, cookie })
    }

    fn check_set_up_token(&self, token: &Secret) -> Result<(), AppError> {
        let hash = BlobId::of(token.0.trim().as_bytes());
        let now_ms = self.now_ms();
        let state = self.state();
        let known = state.model.access.get(&hash).filter(|record| {
            record.only_for == Some(TokenUse::SetUp)
                && record.expires_at_ms.is_some_and(|end| end > now_ms)
        });
        known.map(drop).ok_or_else(refused_set_up)
    }
}

fn refused_set_up() -> AppError {
    AppError::refused(
        ProblemCode::LoginRequired,
        "The set-up token was used, has ended, or is not this gateway's. With the administrator's \
         token (admin.token in the gateway's data directory) users can be made at any time: \
         farrier user add NAME --role admin.",
    )
}
