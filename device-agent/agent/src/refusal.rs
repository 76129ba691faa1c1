//! Why something was refused: a number for programs, a sentence for people.

use device_protocol::RefusalCode;
use module_limits::Limit;
use module_package::{DocumentError, Mismatch, OrderRefusal, SealError};
use std::fmt;
use worker_protocol::LoadFailure;

/// Longest detail: 64 applications with one each fit into a report.
pub const DETAIL_BYTES_MAX: usize = 300;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: RefusalCode,
    pub detail: String,
}

impl Refusal {
    pub fn new(code: RefusalCode, detail: impl fmt::Display) -> Self {
        Self { code, detail: shorten(detail.to_string(), DETAIL_BYTES_MAX) }
    }
}

/// Cuts at a character's border.
pub fn shorten(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refusal {}: {} ({})", self.code.number(), self.code.title(), self.detail)
    }
}

impl From<&DocumentError> for Refusal {
    fn from(error: &DocumentError) -> Self {
        let code = match error {
            DocumentError::Seal(seal) => match seal {
                SealError::TooLong { .. } => RefusalCode::TooLong,
                SealError::Malformed(_) => RefusalCode::Malformed,
                SealError::UnknownKey(_) => RefusalCode::UnknownKey,
                SealError::RevokedKey(_) => RefusalCode::RevokedKey,
                SealError::WrongRole(_) => RefusalCode::WrongRole,
                SealError::BadSignature | SealError::BelowThreshold { .. } => {
                    RefusalCode::BadSignature
                }
            },
            DocumentError::Version(_) => RefusalCode::UnknownVersion,
            DocumentError::WrongDevice(_) => RefusalCode::WrongDevice,
            DocumentError::WrongHash => RefusalCode::WrongHash,
            DocumentError::Inconsistent(_) => RefusalCode::Inconsistent,
            DocumentError::BelowFloor { .. } => RefusalCode::BelowFloor,
            DocumentError::Expired { .. } => RefusalCode::Expired,
        };
        Self::new(code, error)
    }
}

impl From<&OrderRefusal> for Refusal {
    fn from(refusal: &OrderRefusal) -> Self {
        let code = match refusal {
            OrderRefusal::Rollback { .. } => RefusalCode::Rollback,
            OrderRefusal::Equivocation { .. } => RefusalCode::Equivocation,
        };
        Self::new(code, refusal)
    }
}

impl From<&Mismatch> for Refusal {
    fn from(mismatch: &Mismatch) -> Self {
        let code = match mismatch {
            Mismatch::Target { .. }
            | Mismatch::BoundsChecks { .. }
            | Mismatch::AotVersion { .. }
            | Mismatch::CpuFeature(_) => RefusalCode::WrongTarget,
            Mismatch::Import { .. } => RefusalCode::UnknownImport,
        };
        Self::new(code, mismatch)
    }
}

/// What a worker said when it could not load the artifact.
pub fn of_load_failure(reason: LoadFailure, detail: &str) -> Refusal {
    let code = match reason {
        LoadFailure::WrongProfile => RefusalCode::WrongTarget,
        LoadFailure::UnknownImport => RefusalCode::UnknownImport,
        LoadFailure::OverLimit => RefusalCode::OverLimit,
        LoadFailure::Malformed | LoadFailure::Instantiation => RefusalCode::LoadFailed,
    };
    Refusal::new(code, detail)
}

/// For a module that was stopped at this limit.
pub fn of_limit(limit: Limit) -> RefusalCode {
    match limit {
        Limit::GasPerCall | Limit::GasRate => RefusalCode::GasLimit,
        Limit::CallTime => RefusalCode::TimeLimit,
        Limit::LogRate | Limit::MessageRate => RefusalCode::RateLimit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use module_package::KeyId;

    #[test]
    fn each_refused_document_has_its_number() {
        let key = KeyId::of(b"key");
        let expired = DocumentError::Expired { not_after_ms: 1 };
        let floor = DocumentError::BelowFloor { app: "a".into(), version: 1, floor: 2 };
        for (error, number) in [
            (SealError::TooLong { len: 2, max: 1 }.into(), 1),
            (SealError::Malformed(String::new()).into(), 2),
            (DocumentError::Version(2), 3),
            (SealError::UnknownKey(key).into(), 4),
            (SealError::RevokedKey(key).into(), 5),
            (SealError::WrongRole(key).into(), 6),
            (SealError::BadSignature.into(), 7),
            (expired, 11),
            (floor, 12),
            (DocumentError::WrongHash, 14),
            (DocumentError::Inconsistent(String::new()), 27),
        ] {
            assert_eq!(Refusal::from(&error).code.number(), number, "{error}");
        }
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let refusal = Refusal::new(RefusalCode::Malformed, "é".repeat(200));
        assert_eq!(refusal.detail.len(), 300);
        let refusal = Refusal::new(RefusalCode::Malformed, format!("x{}", "é".repeat(200)));
        assert_eq!(refusal.detail.len(), 299);
    }
}
