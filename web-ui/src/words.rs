//! The meaning of the states that the gateway names: how serious one is, and
//! the sign that stands beside its word so that colour never speaks alone.

use crate::model::{Device, TrustSummary};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    /// Under way.
    Busy,
    Warn,
    Bad,
    /// Neither good nor bad.
    Plain,
}

impl Tone {
    /// The class of the stylesheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }

    pub fn sign(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Busy => "◐",
            Self::Warn => "▲",
            Self::Bad => "✕",
            Self::Plain => "○",
        }
    }
}

/// Of an application on a device, which is text because devices may know more
/// states than this page: `running`, `stopped: time limit`.
pub fn app_tone(state: &str) -> Tone {
    let word = state.split([':', ' ']).next().unwrap_or_default();
    match word {
        "running" | "finished" => Tone::Good,
        "stopped" | "trapped" | "failed" | "refused" | "quarantined" => Tone::Bad,
        "waiting" | "fetching" | "starting" | "checking" | "installing" | "restarting" => {
            Tone::Busy
        }
        _ => Tone::Plain,
    }
}

/// `online`, `offline` and `new`; a device without rights has none of them.
pub fn device_state(device: &Device) -> (&str, Tone) {
    match device.connection.as_str() {
        _ if device.revoked_at_ms.is_some() => ("revoked", Tone::Bad),
        "online" => ("online", Tone::Good),
        "offline" => ("offline", Tone::Bad),
        other => (other, Tone::Plain),
    }
}

pub fn artifact_tone(state: &str) -> Tone {
    match state {
        "ready" => Tone::Good,
        "refused" => Tone::Bad,
        "queued" => Tone::Plain,
        _ => Tone::Busy,
    }
}

/// Of a deployment on one device.
pub fn progress_tone(state: &str) -> Tone {
    match state {
        "running" => Tone::Good,
        "refused" | "stopped" => Tone::Bad,
        "replaced" => Tone::Plain,
        _ => Tone::Busy,
    }
}

/// States are words with hyphens on the wire.
pub fn spaced(state: &str) -> String {
    state.replace('-', " ")
}

pub fn deployment_word(state: &str) -> (&str, Tone) {
    match state {
        "waiting" => ("waiting for a device", Tone::Plain),
        "in-progress" => ("in progress", Tone::Busy),
        "done" => ("done", Tone::Good),
        "failed" => ("failed", Tone::Bad),
        other => (other, Tone::Plain),
    }
}

/// What every page says while a thief of the gateway, or of one key, would get more
/// than he should.
pub fn trust_notice(trust: &TrustSummary) -> Option<String> {
    if trust.root_version == 0 {
        return Some(
            "No root document yet: no device can be let in. Make one with `farrier root init` and \
             hand it in with `farrier root publish`."
                .to_owned(),
        );
    }
    let alone = trust.threshold <= 1;
    let release = match key_place(trust) {
        "signer" => "with the signer",
        "offline" => "offline",
        _ => "online",
    };
    let risk = match (alone, trust.release_key_online) {
        (false, false) => return None,
        (true, true) => {
            "whoever controls this gateway, or the one root key, controls every device. \
             Not for devices that matter."
        }
        (true, false) => "whoever holds the one root key controls every device.",
        (false, true) => "whoever controls this gateway can release modules.",
    };
    let kind = if alone { "Demo trust" } else { "Trust" };
    Some(format!(
        "{kind}: root {} of {}, release key {release} – {risk}",
        trust.threshold, trust.root_key_count
    ))
}

fn key_place(trust: &TrustSummary) -> &str {
    trust.release_key_place.as_deref().unwrap_or("in-process")
}

/// For the foot of every page: who holds the release key.
pub fn release_key_place(trust: &TrustSummary) -> &'static str {
    match (key_place(trust), trust.signer_recompiles) {
        ("signer", false) => "release key with the signer",
        ("signer", true) => "release key with the signer, which compiles again",
        ("offline", _) => "release key offline",
        _ => "release key in the gateway",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(threshold: u32, root_key_count: u32, release_key_place: &str) -> TrustSummary {
        TrustSummary {
            root_version: 1,
            epoch: 1,
            threshold,
            root_key_count,
            release_key_online: release_key_place == "in-process",
            release_key_place: Some(release_key_place.into()),
            root_id: String::new(),
            signer_recompiles: false,
        }
    }

    #[test]
    fn a_reason_behind_the_state_does_not_hide_it() {
        assert_eq!(app_tone("running"), Tone::Good);
        assert_eq!(app_tone("stopped: time limit"), Tone::Bad);
        assert_eq!(app_tone("starting"), Tone::Busy);
        assert_eq!(app_tone("something new"), Tone::Plain);
    }

    #[test]
    fn demonstration_keys_are_named() {
        let notice = trust_notice(&trust(1, 1, "in-process")).unwrap();
        assert!(notice.starts_with("Demo trust: root 1 of 1, release key online –"), "{notice}");
        let offline = trust_notice(&trust(1, 1, "offline")).unwrap();
        assert!(offline.contains("release key offline"), "{offline}");
        let online = trust_notice(&trust(2, 3, "in-process")).unwrap();
        assert!(online.starts_with("Trust: root 2 of 3"), "{online}");
        // One signature of three is one key too.
        assert!(trust_notice(&trust(1, 3, "signer")).is_some());
    }

    #[test]
    fn real_keys_need_no_notice() {
        assert_eq!(trust_notice(&trust(2, 3, "offline")), None);
        assert_eq!(trust_notice(&trust(2, 3, "signer")), None);
    }

    #[test]
    fn a_gateway_without_a_root_says_what_is_missing() {
        let notice =
            trust_notice(&TrustSummary { root_version: 0, ..trust(0, 0, "offline") }).unwrap();
        assert!(notice.contains("farrier root publish"), "{notice}");
    }
}
