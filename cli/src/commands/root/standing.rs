//! How many signatures a root document has of those that it needs, and whose are
//! missing. Pure.

use module_package::{PublicKey, Root, RootDraft};
use serde::Serialize;

/// Of one set of root keys: the document's own, or those of the version before.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub of_version: u32,
    pub threshold: u32,
    pub signed: Vec<String>,
    pub missing: Vec<String>,
}

impl Standing {
    pub fn is_reached(&self) -> bool {
        self.signed.len() >= self.threshold as usize
    }

    pub fn in_words(&self) -> String {
        let Self { of_version, threshold, signed, missing } = self;
        let have = format!(
            "{} of the {threshold} signatures that the root keys of version {of_version} must give",
            signed.len()
        );
        match (self.is_reached(), missing.as_slice()) {
            (true, _) => format!("{have}: enough"),
            (false, missing) => {
                let short: Vec<&str> = missing.iter().map(|id| &id[..12]).collect();
                format!("{have}; not signed by {}", short.join(", "))
            }
        }
    }
}

/// A step needs both; a first version only its own.
pub fn standings(draft: &RootDraft, previous: Option<&Root>) -> Vec<Standing> {
    previous.into_iter().chain([draft.document()]).map(|root| standing(draft, root)).collect()
}

fn standing(draft: &RootDraft, root: &Root) -> Standing {
    let signed = draft.signed_by(&root.root_keys);
    let id = |key: &PublicKey| key.id().to_string();
    let missing = root.root_keys.iter().filter(|key| !signed.contains(key));
    Standing {
        of_version: root.root_version,
        threshold: root.threshold,
        missing: missing.map(id).collect(),
        signed: signed.into_iter().map(id).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let id = |digit: &str| digit.repeat(64);
        let mut standing = Standing {
            of_version: 1,
            threshold: 2,
            signed: vec![id("a")],
            missing: vec![id("b"), id("c")],
        };
        assert_eq!(
            standing.in_words(),
            "1 of the 2 signatures that the root keys of version 1 must give; not signed by \
             bbbbbbbbbbbb, cccccccccccc"
        );
        standing.signed.push(id("b"));
        assert!(standing.in_words().ends_with("version 1 must give: enough"));
    }
}
