//! Who may use the gateway: users, their tokens, their sessions, and logging in.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What somebody may do. Each may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything but other people's tokens and sessions.
    Viewer,
    /// Works with what is there: deployments, applications, messages, devices.
    Operator,
    /// Brings new code: modules, known answers, signed releases.
    Developer,
    /// Users, keys and root documents.
    Admin,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Developer, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Developer => "developer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A password or token. Nothing prints it by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct User {
    pub name: String,
    pub role: Role,
    /// Without one, tokens are the only way in.
    pub has_password: bool,
    pub created_at_ms: u64,
    /// How many there are.
    pub tokens: u32,
    pub sessions: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Lower-case letters, digits, `-`, `_` and `.`.
    pub name: String,
    pub role: Role,
    /// 12 to 1,024 bytes; without one, tokens are the only way in.
    #[serde(default)]
    pub password: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// 12 to 1,024 bytes.
    pub password: Secret,
    /// The one until now. Only an administrator changes other people's without it.
    #[serde(default)]
    pub present: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Token {
    /// What it is listed and revoked by; tells nothing of the secret.
    pub id: String,
    /// Who or what it is for.
    pub label: String,
    /// Whose it is; none is the gateway's own, as the administrator's first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What it may do; never more than its user.
    pub role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at_ms: Option<u64>,
    /// Without it, it is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// To the day, after a restart of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Who or what it is for, up to 64 characters.
    pub label: String,
    /// At most what who asks may do, and that unless given.
    #[serde(default)]
    pub role: Option<Role>,
    /// How long it is good; until it is revoked unless given.
    #[serde(default)]
    pub valid_s: Option<u32>,
    /// Whose it becomes: one's own unless an administrator says otherwise.
    #[serde(default)]
    pub user: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IssuedToken {
    /// Shown once; the gateway keeps its hash.
    pub secret: Secret,
    pub token: Token,
}

/// A browser that is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoginSession {
    /// What it is listed and ended by; tells nothing of the cookie.
    pub id: String,
    /// None is who came by a login link of the gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub role: Role,
    pub begun_at_ms: u64,
    pub last_used_at_ms: u64,
    /// Unless it is used until then.
    pub ends_at_ms: u64,
    /// The address that logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What the browser says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// It is the one that asks.
    #[serde(default)]
    pub is_this: bool,
}

/// A name and its password, or a token, or the set-up token with the name and the
/// password of the first user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewLogin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Of the gateway's first start; makes the first user, an administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_token: Option<Secret>,
    /// For programs: a token instead of a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_token: Option<NewToken>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Login {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub role: Role,
    /// Where `as_token` was asked for. Else the answer sets the session's cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<IssuedToken>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Me {
    /// None is the gateway's own administrator: by its first token, or a login link of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What this token or session may do.
    pub role: Role,
    /// One of these two is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<LoginSession>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_travel_and_are_not_printed() {
        let json = r#"{"name":"anna","password":"correct horse"}"#;
        let login: NewLogin = serde_json::from_str(json).unwrap();
        assert!(!format!("{login:?}").contains("horse"));
        assert_eq!(serde_json::to_string(&login).unwrap(), json);
    }

    #[test]
    fn each_role_is_more_than_the_one_before() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
    }
}
