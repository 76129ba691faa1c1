//! The file in which releases travel: JSON with the documents in hexadecimal.
//!
//! `export` writes it without, `sign` with `sealed`. What is signed is decided by
//! `payload` alone: the words beside it are for people who look into the file, and are
//! not believed.

use crate::failure::{Exit, Failure};
use gateway_api::WaitingRelease;
use module_package::{Release, check_release};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;

const FORMAT: &str = "farrier-releases-1";
/// Some hundred releases of the largest size.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
pub struct Bundle {
    pub format: String,
    pub releases: Vec<BundledRelease>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct BundledRelease {
    pub app: String,
    pub app_version: u32,
    pub target: String,
    pub module: String,
    pub artifact: String,
    pub payload: String,
    /// The signed release, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

impl Bundle {
    pub fn of(waiting: &[WaitingRelease]) -> Self {
        let releases = waiting.iter().map(|w| BundledRelease {
            app: w.app.clone(),
            app_version: w.app_version,
            target: w.target.clone(),
            module: w.module.clone(),
            artifact: w.artifact.clone(),
            payload: w.payload.clone(),
            sealed: None,
        });
        Self { format: FORMAT.to_owned(), releases: releases.collect() }
    }

    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failure = || {
            Failure::new(Exit::Failed, format!("read {}", path.display()))
                .or_try("a file of `farrier release export` or `farrier release sign`")
        };
        let file = std::fs::File::open(path).map_err(|e| failure().because(&e))?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| failure().because(&e))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let message = format!("{} is longer than {FILE_BYTES_MAX} bytes", path.display());
            return Err(Failure::new(Exit::Failed, message));
        }
        let bundle: Self = serde_json::from_slice(&bytes).map_err(|e| failure().because(&e))?;
        if bundle.format != FORMAT {
            let message =
                format!("{} has format {:?}, not {FORMAT:?}", path.display(), bundle.format);
            return Err(Failure::new(Exit::Failed, message));
        }
        Ok(bundle)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec_pretty(self)
            .map_err(|e| Failure::new(Exit::Failed, "write the releases as JSON").because(&e))
    }
}

impl BundledRelease {
    /// What would be signed, and what it says.
    pub fn open(&self) -> Result<(Vec<u8>, Release), Failure> {
        let failure = |cause: &dyn std::error::Error| {
            let message = format!("the release of {}@{} is not valid", self.app, self.app_version);
            Failure::new(Exit::Failed, message).because(cause)
        };
        let payload = hex::decode(&self.payload).map_err(|e| failure(&e))?;
        let release = check_release(&payload).map_err(|e| failure(&e))?;
        Ok((payload, release))
    }
}
