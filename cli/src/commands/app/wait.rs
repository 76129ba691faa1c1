//! Watches an application until each of its modules has ended on every device.

use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::wait::{Ended, is_settled, is_worth_waiting};
use gateway_api::{Application, DeviceProgress, ProgressState};
use gateway_client::Client;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const POLL_INTERVAL: Duration = Duration::from_millis(500);

pub async fn until_settled(
    client: &Client,
    mut application: Application,
    timeout: Duration,
    console: &Console,
) -> Result<(Application, Ended), Failure> {
    let deadline = Instant::now() + timeout;
    let version = application.version;
    let mut told = BTreeMap::new();
    loop {
        tell(&application, &mut told, console);
        if application.modules.iter().all(|module| is_settled(&module.deployment)) {
            return Ok((application, Ended::Settled));
        }
        if Instant::now() >= deadline {
            return Ok((application, Ended::OutOfTime));
        }
        sleep(POLL_INTERVAL).await;
        match client.application(&application.name).await {
            Ok(new) if new.version != version => {
                let message =
                    format!("{} has version {} by now, by somebody else", new.name, new.version);
                return Err(Failure::new(Exit::Failed, message));
            }
            Ok(new) => application = new,
            Err(error) if is_worth_waiting(&error) => console.note(&error),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Each state once, when it begins.
fn tell(
    application: &Application,
    told: &mut BTreeMap<(String, String), ProgressState>,
    console: &Console,
) {
    for module in &application.modules {
        for device in &module.deployment.progress {
            let key = (module.name.clone(), device.device.clone());
            if told.insert(key, device.state) != Some(device.state) {
                console.note(in_words(&module.name, device));
            }
        }
    }
}

fn in_words(module: &str, device: &DeviceProgress) -> String {
    let detail = match device.detail.as_str() {
        "" => String::new(),
        detail => format!(" ({detail})"),
    };
    format!("{module} on {}: {}{detail}", device.device_name, device.state.as_str())
}

/// Ok if every module runs wherever it shall.
pub fn verdict(application: &Application, ended: Ended, timeout: Duration) -> Result<(), Failure> {
    let all = application.modules.iter().flat_map(|module| &module.deployment.progress);
    let count = all.clone().count();
    let running = all.filter(|device| device.state == ProgressState::Running).count();
    let name = &application.name;
    let told = format!("{running} of {count} modules on devices run");
    let advice = match count {
        0 => "enrol a device: farrier device enrol-token".to_owned(),
        _ => format!("farrier app show {name}"),
    };
    let failure = |exit, message: String| Err(Failure::new(exit, message).or_try(advice));
    match ended {
        Ended::OutOfTime => {
            let message = format!("after {} s {told}, and {name} goes on", timeout.as_secs());
            failure(Exit::OutOfTime, message)
        }
        Ended::Settled if running == count => Ok(()),
        Ended::Settled if running == 0 => failure(Exit::Failed, format!("{name}: {told}")),
        Ended::Settled => failure(Exit::Partial, format!("{name}: {told}")),
    }
}
