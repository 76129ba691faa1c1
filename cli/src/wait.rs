//! Watches a deployment until it has ended on every device, or time is up.

use crate::console::Console;
use crate::failure::{Exit, Failure};
use futures_util::StreamExt;
use gateway_api::{Deployment, DeploymentState, Event, ProgressState};
use gateway_client::{Client, ClientError, EventStream};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Also without an event: what a broken stream hides is seen this much later.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, PartialEq)]
pub enum Ended {
    /// By itself, well or not.
    Settled,
    OutOfTime,
}

/// Hands each new state to `on_change`. The stream was opened before the
/// deployment was made, so no event of it is missed.
pub async fn until_settled(
    client: &Client,
    mut events: EventStream,
    deployment: &mut Deployment,
    timeout: Duration,
    console: &Console,
    mut on_change: impl FnMut(&Deployment),
) -> Result<Ended, Failure> {
    let deadline = Instant::now() + timeout;
    let mut poll = interval(POLL_INTERVAL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    poll.tick().await;
    let mut has_events = true;
    while !is_settled(deployment) {
        let mut read_again = false;
        tokio::select! {
            () = sleep_until(deadline) => return Ok(Ended::OutOfTime),
            _ = poll.tick() => read_again = true,
            item = events.next(), if has_events => match item {
                Some(Ok(Event::Deployment { deployment: new })) if new.id == deployment.id => {
                    *deployment = new;
                    on_change(deployment);
                }
                Some(Ok(Event::DeploymentRemoved { id })) if id == deployment.id => {
                    return Err(Failure::new(Exit::Failed, "the deployment was removed meanwhile"));
                }
                Some(Ok(Event::Resync)) => read_again = true,
                Some(Ok(_)) => {}
                Some(Err(error)) => console.note(format!("events: {error}")),
                None => has_events = false,
            },
        }
        if read_again {
            match client.deployment(&deployment.id).await {
                Ok(new) => {
                    *deployment = new;
                    on_change(deployment);
                }
                Err(error) if is_worth_waiting(&error) => console.note(&error),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(Ended::Settled)
}

/// The gateway may be restarting; the deadline ends it if it does not come back.
pub fn is_worth_waiting(error: &ClientError) -> bool {
    error.is_transient() || error.status().is_some_and(|status| status >= 500)
}

/// The gateway's word, or each device's: one that stopped may be started again, but
/// who waits wants to know that it stopped.
pub fn is_settled(deployment: &Deployment) -> bool {
    let has_ended = |state: ProgressState| {
        matches!(
            state,
            ProgressState::Running
                | ProgressState::Refused
                | ProgressState::Stopped
                | ProgressState::Replaced
        )
    };
    match deployment.state {
        DeploymentState::Done | DeploymentState::Failed | DeploymentState::Replaced => true,
        DeploymentState::Waiting | DeploymentState::InProgress => {
            !deployment.progress.is_empty()
                && deployment.progress.iter().all(|device| has_ended(device.state))
        }
    }
}

/// Ok if it runs everywhere.
pub fn verdict(deployment: &Deployment, ended: Ended, timeout: Duration) -> Result<(), Failure> {
    let device_count = deployment.progress.len();
    let is_running = |state| state == ProgressState::Running;
    let running_count = deployment.progress.iter().filter(|d| is_running(d.state)).count();
    let told = format!("{}@{}", deployment.app, deployment.module_version);
    let id = &deployment.id;
    if ended == Ended::OutOfTime {
        let advice = match device_count {
            0 => "enrol a device: farrier device enrol-token".to_owned(),
            _ => format!("farrier deployment show {id}"),
        };
        let seconds = timeout.as_secs();
        let message = format!(
            "after {seconds} s {told} runs on {running_count} of {device_count} devices, and goes on"
        );
        return Err(Failure::new(Exit::OutOfTime, message).or_try(advice));
    }
    if deployment.state == DeploymentState::Replaced {
        return Err(Failure::new(Exit::Failed, format!("a later deployment has replaced {told}"))
            .or_try("farrier deployment ls"));
    }
    if running_count == device_count {
        return Ok(());
    }
    let exit = if running_count == 0 { Exit::Failed } else { Exit::Partial };
    let message = format!("{told} runs on {running_count} of {device_count} devices");
    Err(Failure::new(exit, message).or_try(format!(
        "do what is said for each device, then deploy again; farrier deployment show {id}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn exit_of(states: &[ProgressState], ended: Ended) -> Option<Exit> {
        let mut deployment = sample::deployment();
        let device = deployment.progress.remove(0);
        deployment.progress = states
            .iter()
            .map(|state| gateway_api::DeviceProgress { state: *state, ..device.clone() })
            .collect();
        verdict(&deployment, ended, TIMEOUT).err().map(|failure| failure.exit)
    }

    #[test]
    fn the_exit_code_tells_all_some_and_none_apart() {
        use ProgressState::{Fetching, Refused, Running, Stopped};
        assert_eq!(exit_of(&[Running, Running], Ended::Settled), None);
        assert_eq!(exit_of(&[Running, Refused], Ended::Settled), Some(Exit::Partial));
        assert_eq!(exit_of(&[Stopped, Refused], Ended::Settled), Some(Exit::Failed));
        assert_eq!(exit_of(&[Running, Fetching], Ended::OutOfTime), Some(Exit::OutOfTime));
    }

    #[test]
    fn a_deployment_without_a_device_goes_on() {
        let mut deployment = sample::deployment();
        deployment.state = DeploymentState::Waiting;
        deployment.progress.clear();
        assert!(!is_settled(&deployment));
    }
}
