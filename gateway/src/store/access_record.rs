//! Who may use the API, as it is kept. Of every secret only a hash.

use minicbor::{Decode, Encode};
use module_package::BlobId;

const SHORT_ID_BYTES: usize = 6;

/// What a token or session is called in lists and in the audit log. So much of a hash
/// of 32 random bytes leads nobody back to them.
pub fn short_id(hash: &BlobId) -> String {
    hex::encode(&hash.0[..SHORT_ID_BYTES])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum RoleRecord {
    #[n(0)]
    Viewer,
    #[n(1)]
    Operator,
    #[n(2)]
    Developer,
    #[n(3)]
    Admin,
}

/// What else than asking a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum TokenUse {
    /// Making the first user, once, and nothing else.
    #[n(0)]
    SetUp,
}

/// A bearer token of the API, by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AccessRecord {
    #[n(0)]
    pub token_hash: BlobId,
    /// Who or what it is for.
    #[n(1)]
    pub label: String,
    /// Whose it is; `None` is the gateway's own. This and the following are `None` in
    /// records from before there were users, which are the administrator's.
    #[n(2)]
    pub user: Option<String>,
    /// `None` is everything.
    #[n(3)]
    pub role: Option<RoleRecord>,
    #[n(4)]
    pub created_at_ms: Option<u64>,
    #[n(5)]
    pub expires_at_ms: Option<u64>,
    /// Written once a day at most.
    #[n(6)]
    pub last_used_at_ms: Option<u64>,
    #[n(7)]
    pub only_for: Option<TokenUse>,
}

impl AccessRecord {
    /// The gateway's own, for everything, as there was before there were users.
    pub fn of_administrator(token_hash: BlobId, label: String) -> Self {
        Self {
            token_hash,
            label,
            user: None,
            role: None,
            created_at_ms: None,
            expires_at_ms: None,
            last_used_at_ms: None,
            only_for: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UserRecord {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub role: RoleRecord,
    /// As argon2 writes it, with its salt and costs.
    #[n(2)]
    pub password_hash: Option<String>,
    #[n(3)]
    pub created_at_ms: u64,
}

/// A browser that is logged in, by the hash of its cookie.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SessionRecord {
    #[n(0)]
    pub cookie_hash: BlobId,
    /// `None` is the administrator by a login link of the gateway's own.
    #[n(1)]
    pub user: Option<String>,
    /// Never more, also where the user may.
    #[n(2)]
    pub role: RoleRecord,
    #[n(3)]
    pub begun_at_ms: u64,
    /// Written every few hours at most.
    #[n(4)]
    pub last_used_at_ms: u64,
    #[n(5)]
    pub address: Option<String>,
    #[n(6)]
    pub browser: Option<String>,
    /// The token that it was begun with, if so; it ends with that.
    #[n(7)]
    pub token_hash: Option<BlobId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_from_before_there_were_users_is_read_as_the_administrators() {
        let mut old = vec![0xa2, 0x00, 0x58, 0x20];
        old.extend([7; 32]);
        old.extend(b"\x01\x65admin");
        let read: AccessRecord = minicbor::decode(&old).unwrap();
        let expected = AccessRecord::of_administrator(BlobId([7; 32]), "admin".to_owned());
        assert_eq!(read, expected);
        // And such a one is written as it always was.
        assert_eq!(minicbor::to_vec(&expected).unwrap(), old);
    }
}
