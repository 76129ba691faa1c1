//! What the signer signs at all, before anything is compiled. Pure.

use module_package::{
    KeyId, METERING_GAS, PublicKey, Release, check_release, open_module_statement,
};

#[derive(Debug, Default)]
pub struct Rules {
    /// Empty: any.
    pub targets: Vec<String>,
    pub apps: Vec<String>,
    pub require_metering: bool,
    /// Empty: no statement is needed.
    pub developers: Vec<PublicKey>,
}

/// A release that may be signed as far as it can be told from itself.
#[derive(Debug)]
pub struct Allowed {
    pub release: Release,
    /// Whose statement came with it.
    pub developer: Option<KeyId>,
}

impl Rules {
    pub fn check(&self, payload: &[u8], statement: Option<&[u8]>) -> Result<Allowed, String> {
        let release = check_release(payload).map_err(|e| format!("it is no release: {e}"))?;
        let is_listed = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        if !is_listed(&self.targets, &release.target.id) {
            return Err(format!(
                "target {} is not among those that the signer's policy allows: {}",
                release.target.id,
                self.targets.join(", ")
            ));
        }
        if !is_listed(&self.apps, &release.app) {
            return Err(format!(
                "application {:?} is not among those that the signer's policy allows: {}",
                release.app,
                self.apps.join(", ")
            ));
        }
        if self.require_metering && release.policy.metering != METERING_GAS {
            return Err("the signer's policy asks for metered code; deploy with metering".into());
        }
        let developer = self.check_developer(&release, statement)?;
        Ok(Allowed { release, developer })
    }

    fn check_developer(
        &self,
        release: &Release,
        statement: Option<&[u8]>,
    ) -> Result<Option<KeyId>, String> {
        if self.developers.is_empty() {
            return Ok(None);
        }
        let statement = statement.ok_or(
            "the module came without a developer's signature, and the signer's policy asks for one; \
             push it with --sign-key",
        )?;
        let (statement, key) = open_module_statement(statement, &self.developers)
            .map_err(|e| format!("the developer's signature does not count: {e}"))?;
        if statement.module != release.module || statement.name != release.app {
            return Err(format!(
                "the developer's signature is for {} as {:?}, and the release is of {} as {:?}",
                statement.module, statement.name, release.module, release.app
            ));
        }
        if release.developer != Some(key.id()) {
            return Err("the release does not name the developer who signed the module".into());
        }
        Ok(Some(key.id()))
    }
}
