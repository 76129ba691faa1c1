//! Tells other systems what happens: a POST for each notice to each configured receiver.
//!
//! `notice` turns the event bus into what is worth telling, once for all; each receiver
//! has a task and a bounded queue of its own, so that one that is slow or away delays and
//! loses nothing of the others. `delivery` signs, sends and repeats. Queues are in memory.
//! docs/webhooks.md is for who receives.

mod delivery;
mod notice;
#[cfg(test)]
mod tests;

use crate::app::App;
use crate::config::WebhookConfig;
use delivery::Receiver;
use notice::Watch;
use std::sync::Arc;
use tokio::task::JoinSet;

pub use delivery::Pace;
pub use notice::KINDS;

/// A receiver with its secret read.
pub struct Webhook {
    pub config: WebhookConfig,
    pub secret: Vec<u8>,
}

/// Until the set is dropped.
pub fn start(app: &Arc<App>, webhooks: Vec<Webhook>, pace: Pace) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    if webhooks.is_empty() {
        return Ok(tasks);
    }
    let mut receivers = Vec::new();
    for webhook in webhooks {
        let receiver = Arc::new(Receiver::new(webhook, pace, app.metrics().clone())?);
        tasks.spawn(receiver.clone().run());
        receivers.push(receiver);
    }
    tasks.spawn(watch(app.clone(), receivers));
    Ok(tasks)
}

async fn watch(app: Arc<App>, receivers: Vec<Arc<Receiver>>) {
    let mut newest = app.events().subscribe();
    let mut watch = Watch::beginning(&app, *newest.borrow());
    loop {
        for notice in watch.take(&app) {
            let wanting = receivers.iter().filter(|receiver| receiver.wants(notice.kind));
            wanting.for_each(|receiver| receiver.add(&notice));
        }
        if newest.changed().await.is_err() {
            return;
        }
    }
}
