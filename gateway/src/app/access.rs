//! Who may use the API: one bearer token, and login links for the browser.
//!
//! Of every secret only the SHA-256 is kept. They are random and long, so a plain
//! hash is enough and comparing hashes leaks nothing of use.

use super::{App, AppError};
use crate::store::Change;
use crate::store::record::AccessRecord;
use gateway_api::{LoginLink, Session};
use module_package::BlobId;
use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use target_spec::Registry;

const LINK_VALID_MS: u64 = 10 * 60 * 1_000;
/// Unused links at a time; a new one takes the place of the oldest.
const LINKS_MAX: usize = 64;

/// Hashes of unused links and when they end.
#[derive(Default)]
pub struct LoginLinks(HashMap<BlobId, u64>);

/// A fresh administrator's token, shown to nobody but its file.
pub struct AdminToken(pub String);

impl App {
    /// Makes the first token; `None` if there is one.
    pub fn make_first_admin_token(&self) -> Result<Option<AdminToken>, AppError> {
        let mut state = self.state();
        if !state.model.access.is_empty() {
            return Ok(None);
        }
        let token =
            format!("farrier-admin.{}", hex::encode(self.rooms.surroundings.random::<32>()));
        let record =
            AccessRecord { token_hash: BlobId::of(token.as_bytes()), label: "admin".into() };
        self.commit(&mut state, vec![Change::Access(record)])?;
        Ok(Some(AdminToken(token)))
    }

    /// What the token is called, if it is known here.
    pub fn token_label(&self, token: &str) -> Option<String> {
        let state = self.state();
        state.model.access.get(&BlobId::of(token.as_bytes())).map(|record| record.label.clone())
    }

    /// A link that logs a browser in, once.
    pub fn new_login_link(&self) -> Result<LoginLink, AppError> {
        let http_url = self.addresses()?.http_url.clone();
        let token = hex::encode(self.rooms.surroundings.random::<32>());
        let now_ms = self.now_ms();
        let expires_at_ms = now_ms + LINK_VALID_MS;
        let mut links = self.login_links();
        links.0.retain(|_, expires| *expires >= now_ms);
        if links.0.len() >= LINKS_MAX
            && let Some(oldest) = links.0.iter().min_by_key(|(_, at)| **at).map(|(hash, _)| *hash)
        {
            links.0.remove(&oldest);
        }
        links.0.insert(BlobId::of(token.as_bytes()), expires_at_ms);
        Ok(LoginLink { url: format!("{http_url}/login?token={token}"), expires_at_ms })
    }

    /// Whether the token is that of an unused link, which it no longer is after this.
    pub fn use_login_link(&self, token: &str) -> bool {
        let expires = self.login_links().0.remove(&BlobId::of(token.as_bytes()));
        expires.is_some_and(|expires| expires >= self.now_ms())
    }

    fn login_links(&self) -> MutexGuard<'_, LoginLinks> {
        self.login_links.lock().unwrap_or_else(PoisonError::into_inner)
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
