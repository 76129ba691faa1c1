//! The meaning of the states that the gateway names: how serious one is, and
//! the sign that stands beside its word so that colour never speaks alone.

use gateway_api::{
    ArtifactState, Connection, DeploymentState, ProgressState, ReleaseKeyPlace, TrustSummary,
};

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

pub fn connection_tone(connection: Connection) -> Tone {
    match connection {
        Connection::Online => Tone::Good,
        Connection::Offline => Tone::Bad,
        Connection::New => Tone::Plain,
    }
}

pub fn artifact_tone(state: ArtifactState) -> Tone {
    match state {
        ArtifactState::Ready => Tone::Good,
        ArtifactState::Refused => Tone::Bad,
        ArtifactState::Queued => Tone::Plain,
        ArtifactState::Compiling
        | ArtifactState::Checking
        | ArtifactState::AwaitingReleaseSignature => Tone::Busy,
    }
}

pub fn progress_tone(state: ProgressState) -> Tone {
    match state {
        ProgressState::Running => Tone::Good,
        ProgressState::Refused | ProgressState::Stopped => Tone::Bad,
        ProgressState::Replaced => Tone::Plain,
        ProgressState::Compiling
        | ProgressState::AwaitingReleaseSignature
        | ProgressState::Published
        | ProgressState::Fetching
        | ProgressState::Starting => Tone::Busy,
    }
}

pub fn deployment_word(state: DeploymentState) -> (&'static str, Tone) {
    match state {
        DeploymentState::Waiting => ("waiting for a device", Tone::Plain),
        DeploymentState::InProgress => ("in progress", Tone::Busy),
        DeploymentState::Done => ("done", Tone::Good),
        DeploymentState::Failed => ("failed", Tone::Bad),
        DeploymentState::Replaced => ("replaced", Tone::Plain),
    }
}

/// What every page says while a thief of the gateway, or of one key, would get more
/// than he should.
pub fn trust_notice(trust: &TrustSummary) -> Option<String> {
    if trust.waits_for_root() {
        return Some(
            "No root document yet: no device can be let in. Make one with `farrier root init` and \
             hand it in with `farrier root publish`."
                .to_owned(),
        );
    }
    let alone = trust.is_one_root_key();
    let release = match trust.release_key_place {
        ReleaseKeyPlace::InProcess => "online",
        ReleaseKeyPlace::Signer => "with the signer",
        ReleaseKeyPlace::Offline => "offline",
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

/// For the foot of every page: who holds the release key.
pub fn release_key_place(trust: &TrustSummary) -> &'static str {
    match (trust.release_key_place, trust.signer_recompiles) {
        (ReleaseKeyPlace::InProcess, _) => "release key in the gateway",
        (ReleaseKeyPlace::Signer, false) => "release key with the signer",
        (ReleaseKeyPlace::Signer, true) => "release key with the signer, which compiles again",
        (ReleaseKeyPlace::Offline, _) => "release key offline",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(
        threshold: u32,
        root_key_count: u32,
        release_key_place: ReleaseKeyPlace,
    ) -> TrustSummary {
        TrustSummary {
            root_version: 1,
            epoch: 1,
            threshold,
            root_key_count,
            release_key_online: release_key_place == ReleaseKeyPlace::InProcess,
            release_key_place,
            ..TrustSummary::default()
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
        let notice = trust_notice(&trust(1, 1, ReleaseKeyPlace::InProcess)).unwrap();
        assert!(notice.starts_with("Demo trust: root 1 of 1, release key online –"), "{notice}");
        let offline = trust_notice(&trust(1, 1, ReleaseKeyPlace::Offline)).unwrap();
        assert!(offline.contains("release key offline"), "{offline}");
        let online = trust_notice(&trust(2, 3, ReleaseKeyPlace::InProcess)).unwrap();
        assert!(online.starts_with("Trust: root 2 of 3"), "{online}");
        // One signature of three is one key too.
        assert!(trust_notice(&trust(1, 3, ReleaseKeyPlace::Signer)).is_some());
    }

    #[test]
    fn real_keys_need_no_notice() {
        assert_eq!(trust_notice(&trust(2, 3, ReleaseKeyPlace::Offline)), None);
        assert_eq!(trust_notice(&trust(2, 3, ReleaseKeyPlace::Signer)), None);
    }

    #[test]
    fn a_gateway_without_a_root_says_what_is_missing() {
        let notice = trust_notice(&TrustSummary::default()).unwrap();
        assert!(notice.contains("farrier root publish"), "{notice}");
    }
}
