//! A developer's word for a module: these bytes are the application of that name.
//!
//! It is made where the module was built, goes to the gateway with the upload, and
//! is checked there and, if it is told to, by the signer. Devices do not read it: to
//! them the release names the developer's key.

use crate::{
    DOCUMENT_VERSION, DocumentError, Domain, ModuleId, PublicKey, SealError, Signer, decode_exact,
    open, seal,
};
use minicbor::{Decode, Encode};

/// Longest sealed statement.
pub const MODULE_STATEMENT_BYTES_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ModuleStatement {
    #[n(0)]
    pub version: u32,
    /// The name that the module is pushed under.
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub module: ModuleId,
}

impl ModuleStatement {
    pub fn new(name: &str, module: ModuleId) -> Self {
        Self { version: DOCUMENT_VERSION, name: name.to_owned(), module }
    }

    pub fn seal(&self, developer: &dyn Signer) -> Vec<u8> {
        // Encoding to memory has no failing case for these field types.
        let payload = minicbor::to_vec(self).expect("a module statement can be encoded");
        seal(Domain::Module, payload, developer)
    }
}

/// The statement, and which of `developers` made it.
pub fn open_module_statement(
    sealed: &[u8],
    developers: &[PublicKey],
) -> Result<(ModuleStatement, PublicKey), DocumentError> {
    let mut signer = None;
    let payload = open(Domain::Module, sealed, MODULE_STATEMENT_BYTES_MAX, |id| {
        signer = developers.iter().find(|key| key.id() == *id).copied();
        signer.ok_or(SealError::UnknownKey(*id))
    })?;
    let statement: ModuleStatement = decode_exact(&payload)?;
    if statement.version != DOCUMENT_VERSION {
        return Err(DocumentError::Version(statement.version));
    }
    match signer {
        Some(key) => Ok((statement, key)),
        // `open` gives a payload only after it has asked for the key.
        None => Err(SealError::BadSignature.into()),
    }
}
