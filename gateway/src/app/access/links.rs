//! Links that log a browser in, once: from a terminal that has a token.

use super::{App, AppError, Caller, token_behind};
use gateway_api::{LoginLink, Role};
use module_package::BlobId;
use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

const LINK_VALID_MS: u64 = 10 * 60 * 1_000;
/// Unused links at a time; a new one takes the place of the oldest.
const LINKS_MAX: usize = 64;

/// Hashes of unused links.
#[derive(Default)]
pub struct LoginLinks(HashMap<BlobId, Link>);

struct Link {
    expires_at_ms: u64,
    opens: Opens,
}

/// As whom a session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opens {
    pub user: Option<String>,
    pub role: Role,
    /// The token that it ends with.
    pub token: Option<BlobId>,
}

impl App {
    /// A link of the gateway's own, for everything.
    pub fn new_login_link(&self) -> Result<LoginLink, AppError> {
        self.make_link(Opens { user: None, role: Role::Admin, token: None })
    }

    /// One that opens as much as who asks for it may do.
    pub fn login_link_of(&self, caller: &Caller) -> Result<LoginLink, AppError> {
        let token = token_behind(&self.state().model, caller)?;
        self.make_link(Opens { user: caller.user.clone(), role: caller.role, token })
    }

    fn make_link(&self, opens: Opens) -> Result<LoginLink, AppError> {
        let http_url = self.addresses()?.http_url.clone();
        let token = hex::encode(self.rooms.surroundings.random::<32>());
        let now_ms = self.now_ms();
        let expires_at_ms = now_ms + LINK_VALID_MS;
        let mut links = self.login_links();
        links.0.retain(|_, link| link.expires_at_ms >= now_ms);
        if links.0.len() >= LINKS_MAX
            && let Some(oldest) =
                links.0.iter().min_by_key(|(_, link)| link.expires_at_ms).map(|(hash, _)| *hash)
        {
            links.0.remove(&oldest);
        }
        links.0.insert(BlobId::of(token.as_bytes()), Link { expires_at_ms, opens });
        Ok(LoginLink { url: format!("{http_url}/login?token={token}"), expires_at_ms })
    }

    /// What an unused link opens, which it no longer does after this.
    pub fn use_login_link(&self, token: &str) -> Option<Opens> {
        let link = self.login_links().0.remove(&BlobId::of(token.as_bytes()))?;
        (link.expires_at_ms >= self.now_ms()).then_some(link.opens)
    }

    fn login_links(&self) -> MutexGuard<'_, LoginLinks> {
        self.login_links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
