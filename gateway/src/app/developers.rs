//! Whose modules are taken: the developers' signatures that come with an upload.
//!
//! A developer signs the module's hash and the name that it is pushed under. The
//! configuration names the developers whose signatures count, and can require one.

use super::{App, AppError};
use crate::store::Change;
use crate::store::record::ModuleRecord;
use gateway_api::{Module, ProblemCode};
use module_package::{DocumentError, KeyId, ModuleId, PublicKey, SealError, open_module_statement};

impl App {
    /// The developer's key, if there is a statement; a refusal if it does not count,
    /// or if there has to be one.
    pub(super) fn check_statement(
        &self,
        name: &str,
        module: ModuleId,
        statement: Option<&[u8]>,
    ) -> Result<Option<KeyId>, AppError> {
        let Some(sealed) = statement else {
            return match self.rooms.trust.require_developer_signature {
                false => Ok(None),
                true => Err(refuse(
                    "The module is not signed, and this gateway takes only modules that a developer \
                     signed. Push it with --sign-key FILE."
                        .to_owned(),
                )),
            };
        };
        let developers = &self.rooms.trust.developers;
        let keys: Vec<PublicKey> = developers.iter().map(|developer| developer.key).collect();
        let (statement, key) = open_module_statement(sealed, &keys).map_err(|e| match e {
            DocumentError::Seal(SealError::UnknownKey(id)) => refuse(format!(
                "The module is signed by key {id}, which is no developer's key here. Have it added as \
                 [[trust.developer]] to the gateway's configuration, or sign with another one."
            )),
            other => refuse(format!("The module's signature does not count: {other}.")),
        })?;
        if statement.module != module {
            return Err(refuse(format!(
                "The signature is for another module, {}; these bytes are {module}.",
                statement.module
            )));
        }
        if statement.name != name {
            return Err(refuse(format!(
                "The signature is for the name {:?}, and the module is pushed as {name:?}. Sign it \
                 under this name.",
                super::model::shorten(&statement.name)
            )));
        }
        Ok(Some(key.id()))
    }

    /// A module that is there already gets its developer's signature.
    pub(super) fn note_developer(
        &self,
        module: ModuleId,
        developer: KeyId,
        statement: &[u8],
    ) -> Result<Module, AppError> {
        let mut state = self.state();
        let present = state.model.modules.get(&module).cloned();
        let mut record = present.ok_or_else(|| AppError::Bug("a module is gone".into()))?;
        if record.developer != Some(developer) {
            record.developer = Some(developer);
            record.module_statement = Some(statement.to_vec());
            self.commit(&mut state, vec![Change::Module(record.clone())])?;
            tracing::info!(module.id = %module, developer.key = %developer, "module signed");
            self.reconcile_all(&mut state)?;
        }
        Ok(self.module_view(&state, &record))
    }

    /// For what was taken in before a signature was required.
    pub(super) fn check_developer_of(&self, module: &ModuleRecord) -> Result<(), AppError> {
        if !self.rooms.trust.require_developer_signature {
            return Ok(());
        }
        let counts = |id: KeyId| self.rooms.trust.developers.iter().any(|d| d.key.id() == id);
        match module.developer {
            Some(id) if counts(id) => Ok(()),
            Some(id) => Err(refuse(format!(
                "{}@{} was signed by key {id}, which is no developer's key here any more. Push it \
                 again with --sign-key FILE.",
                module.name, module.version
            ))),
            None => Err(refuse(format!(
                "{}@{} is not signed, and this gateway deploys only modules that a developer signed. \
                 Push it again with --sign-key FILE.",
                module.name, module.version
            ))),
        }
    }

    pub(super) fn with_developer_name(&self, mut module: Module) -> Module {
        let is_it = |id: &str| {
            let developers = self.rooms.trust.developers.iter();
            developers.clone().find(|d| d.key.id().to_string() == id).map(|d| d.name.clone())
        };
        module.developer_name = module.developer.as_deref().and_then(is_it);
        module
    }
}

fn refuse(detail: String) -> AppError {
    AppError::refused(ProblemCode::SignatureRefused, detail)
}
