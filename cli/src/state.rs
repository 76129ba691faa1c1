//! States of the API as words and their meaning for a reader.

use crate::grid::Tone;
use gateway_api::{ArtifactState, Connection, DeploymentState, ProgressState};

/// As the device reported it, such as `running` or `stopped: time limit`.
pub fn app(state: &str) -> (String, Tone) {
    let word = state.split([':', ' ']).next().unwrap_or_default();
    let tone = match word {
        "running" | "finished" => Tone::Good,
        "stopped" | "refused" | "failed" | "trapped" | "quarantined" => Tone::Bad,
        _ => Tone::Busy,
    };
    (state.to_owned(), tone)
}

pub fn artifact(state: ArtifactState) -> (String, Tone) {
    let tone = match state {
        ArtifactState::Ready => Tone::Good,
        ArtifactState::Refused => Tone::Bad,
        _ => Tone::Busy,
    };
    (state.as_str().to_owned(), tone)
}

pub fn connection(state: Connection) -> (String, Tone) {
    let tone = match state {
        Connection::Online => Tone::Good,
        Connection::New => Tone::Busy,
        Connection::Offline => Tone::Bad,
    };
    (state.as_str().to_owned(), tone)
}

pub fn progress(state: ProgressState) -> (String, Tone) {
    let tone = match state {
        ProgressState::Running => Tone::Good,
        ProgressState::Refused | ProgressState::Stopped => Tone::Bad,
        ProgressState::Replaced => Tone::Plain,
        _ => Tone::Busy,
    };
    (state.as_str().to_owned(), tone)
}

pub fn deployment(state: DeploymentState) -> (String, Tone) {
    let (word, tone) = match state {
        DeploymentState::Waiting => ("waiting", Tone::Busy),
        DeploymentState::InProgress => ("in-progress", Tone::Busy),
        DeploymentState::Done => ("done", Tone::Good),
        DeploymentState::Failed => ("failed", Tone::Bad),
        DeploymentState::Replaced => ("replaced", Tone::Plain),
    };
    (word.to_owned(), tone)
}
