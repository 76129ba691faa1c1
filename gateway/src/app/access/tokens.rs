//! Tokens of users and of the gateway itself.

use super::{App, AppError, Caller, forbidden, gone, owner_role, role_of, to_record, token_behind};
use crate::app::model::{Model, shorten};
use crate::store::Change;
use crate::store::record::{AccessRecord, short_id};
use gateway_api::{IssuedToken, NewToken, Role, Secret, Token};
use module_package::BlobId;

const LABEL_CHARS_MAX: usize = 64;
const TOKENS_PER_OWNER_MAX: usize = 100;
const TOKENS_MAX: usize = 5_000;
const VALID_S_MAX: u32 = 5 * 366 * 24 * 3_600;
/// An ended token is still listed for so long; it makes room before a new one is refused.
const ENDED_LISTED_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

impl App {
    pub fn make_token(&self, caller: &Caller, new: &NewToken) -> Result<IssuedToken, AppError> {
        let label = check_label(&new.label)?;
        check_valid_s(new.valid_s)?;
        let user = new.user.clone().or_else(|| caller.user.clone());
        if user != caller.user && caller.role < Role::Admin {
            return Err(forbidden("Only an admin makes tokens for other users."));
        }
        let mut state = self.state();
        let expires_at_ms = self.end_of_new(&state.model, caller, new.valid_s)?;
        let Some(owner_role) = owner_role(&state.model, user.as_ref()) else {
            let name = shorten(user.as_deref().unwrap_or_default());
            return Err(AppError::not_found(format!("There is no user {name:?}.")));
        };
        let most = caller.role.min(owner_role);
        let role = new.role.unwrap_or(most);
        if role > most {
            return Err(forbidden(format!(
                "A token may do at most what its user and who asks for it may: here {most}, and not {role}."
            )));
        }
        let mut changes = self.make_room_for_token(&state.model, user.as_ref())?;
        let secret = self.fresh_secret("farrier-token");
        let record = AccessRecord {
            token_hash: BlobId::of(secret.as_bytes()),
            label,
            user,
            role: Some(to_record(role)),
            created_at_ms: Some(self.now_ms()),
            expires_at_ms,
            last_used_at_ms: None,
            only_for: None,
        };
        let token = self.show_token(&state.model, &record);
        changes.push(Change::Access(record));
        self.delete_access(&mut state, changes)?;
        Ok(IssuedToken { secret: Secret(secret), token })
    }

    /// A token that ends makes none that ends later, also not by a session.
    fn end_of_new(
        &self,
        model: &Model,
        caller: &Caller,
        valid_s: Option<u32>,
    ) -> Result<Option<u64>, AppError> {
        let asked = valid_s.map(|s| self.now_ms().saturating_add(u64::from(s) * 1_000));
        let Some(hash) = token_behind(model, caller)? else { return Ok(asked) };
        let Some(behind) = model.access.get(&hash) else {
            return Err(gone("The token that asks was revoked."));
        };
        match (asked, behind.expires_at_ms) {
            (Some(asked), Some(own)) if asked > own => Err(forbidden(
                "The token that asks ends before that. Log in to make one that is good for longer.",
            )),
            (asked, own) => Ok(asked.or(own)),
        }
    }

    /// The ended tokens that go.
    fn make_room_for_token(
        &self,
        model: &Model,
        user: Option<&String>,
    ) -> Result<Vec<Change>, AppError> {
        let now_ms = self.now_ms();
        let all = model.access.values();
        let mut own: Vec<_> = all.filter(|record| record.user.as_ref() == user).collect();
        own.sort_by_key(|record| record.expires_at_ms.unwrap_or(u64::MAX));
        let surplus = (own.len() + 1).saturating_sub(TOKENS_PER_OWNER_MAX);
        let goes = |(at, record): &(usize, &AccessRecord)| {
            let end_ms = record.expires_at_ms.unwrap_or(u64::MAX);
            end_ms <= now_ms && (*at < surplus || now_ms - end_ms > ENDED_LISTED_MS)
        };
        let gone: Vec<Change> = (own.iter().copied().enumerate().filter(goes))
            .map(|(_, record)| Change::DeleteAccess(record.token_hash))
            .collect();
        if own.len() - gone.len() >= TOKENS_PER_OWNER_MAX {
            return Err(AppError::conflict(format!(
                "There are {TOKENS_PER_OWNER_MAX} tokens of this user already. Revoke one first."
            )));
        }
        if model.access.len() - gone.len() >= TOKENS_MAX {
            return Err(AppError::conflict(format!(
                "There are {TOKENS_MAX} tokens already. Revoke some first."
            )));
        }
        Ok(gone)
    }

    /// Those that the caller may see, by owner and age.
    pub fn tokens(&self, caller: &Caller) -> Vec<Token> {
        let state = self.state();
        let seen = state.model.access.values().filter(|record| {
            record.only_for.is_none() && caller.may_touch(record.user.as_ref(), &record.token_hash)
        });
        let mut tokens: Vec<_> = seen.map(|record| self.show_token(&state.model, record)).collect();
        tokens.sort_by(|a, b| {
            (&a.user, a.created_at_ms, &a.id).cmp(&(&b.user, b.created_at_ms, &b.id))
        });
        tokens
    }

    pub(super) fn show_token(&self, model: &Model, record: &AccessRecord) -> Token {
        let own = record.role.map_or(Role::Admin, role_of);
        let owner = owner_role(model, record.user.as_ref()).unwrap_or(Role::Viewer);
        let used_ms = self.last_use(&record.token_hash, record.last_used_at_ms.unwrap_or(0));
        Token {
            id: short_id(&record.token_hash),
            label: record.label.clone(),
            user: record.user.clone(),
            role: own.min(owner),
            created_at_ms: record.created_at_ms,
            expires_at_ms: record.expires_at_ms,
            last_used_at_ms: (used_ms > 0).then_some(used_ms),
        }
    }

    pub fn revoke_token(&self, caller: &Caller, id: &str) -> Result<(), AppError> {
        let mut state = self.state();
        let found = state.model.access.values().find(|record| {
            record.only_for.is_none()
                && short_id(&record.token_hash) == id
                && caller.may_touch(record.user.as_ref(), &record.token_hash)
        });
        let Some(hash) = found.map(|record| record.token_hash) else {
            return Err(AppError::not_found(
                "There is no such token of yours. The list of tokens shows all.",
            ));
        };
        self.check_way_in(&state.model, None, Some(&hash))?;
        // What was begun with it ends with it in any case; this only tidies.
        let begun_with = state.model.sessions.values().filter(|s| s.token_hash == Some(hash));
        let mut changes: Vec<_> =
            begun_with.map(|session| Change::DeleteSession(session.cookie_hash)).collect();
        changes.push(Change::DeleteAccess(hash));
        self.delete_access(&mut state, changes)
    }
}

fn check_valid_s(valid_s: Option<u32>) -> Result<(), AppError> {
    match valid_s {
        Some(s) if !(1..=VALID_S_MAX).contains(&s) => {
            Err(AppError::bad_request(format!("valid_s is {s} and has to be 1 to {VALID_S_MAX}.")))
        }
        _ => Ok(()),
    }
}

fn check_label(label: &str) -> Result<String, AppError> {
    let label = label.trim();
    let is_fine = !label.is_empty()
        && label.chars().count() <= LABEL_CHARS_MAX
        && !label.chars().any(char::is_control);
    if !is_fine {
        return Err(AppError::bad_request(format!(
            "A token's label says who or what it is for, in 1 to {LABEL_CHARS_MAX} characters of one line."
        )));
    }
    Ok(label.to_owned())
}
