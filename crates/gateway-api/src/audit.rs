//! The audit log: who changed what, and what was signed for it.

use serde::{Deserialize, Serialize};

/// Some records behind one, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditPage {
    /// The oldest record that is kept.
    pub first_seq: u64,
    /// Where the log ends: `NUMBER:HASH`.
    pub end: String,
    pub records: Vec<AuditRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditRecord {
    pub seq: u64,
    pub time_ms: u64,
    /// `gateway`, `device d-…`, `token …` or `browser`.
    pub actor: String,
    pub actions: Vec<AuditAction>,
    pub signatures: Vec<AuditSignature>,
    /// The SHA-256 of `head`, which the next record names.
    pub hash: String,
    /// The record itself, in hexadecimal: all of the above can be had from it, and
    /// the chain is checked on it (crate `audit-chain`).
    pub head: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditAction {
    pub what: String,
    pub subject: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditSignature {
    /// `root`, `release` or `manifest`.
    pub document: String,
    pub document_hash: String,
    pub key_id: String,
    pub subject: String,
}
