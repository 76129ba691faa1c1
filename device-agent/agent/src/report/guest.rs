//! What modules do through the guest API: bounded, added up, and put in a report.

use device_protocol::{GuestReport, HostCallReport, InboxReport, MetricReport, StorageReport};
use module_package::SUBSCRIPTIONS_MAX;
use worker_protocol::{
    GuestCall, GuestUsage, HostCallUsage, InboxUsage, METRICS_MAX, NAME_BYTES_MAX, WasiCall,
};

/// Cuts what a worker says to what it could honestly say.
pub fn bound(usage: &mut GuestUsage) {
    let is_known = |number| {
        GuestCall::from_number(number).is_some() || WasiCall::from_number(number).is_some()
    };
    usage.host_calls.retain(|call| is_known(call.number));
    usage.host_calls.truncate(GuestCall::ALL.len() + WasiCall::ALL.len());
    usage.metrics.retain(|metric| metric.name.len() <= NAME_BYTES_MAX && metric.value.is_finite());
    usage.metrics.truncate(METRICS_MAX);
    usage.inboxes.retain(|inbox| inbox.channel.len() <= NAME_BYTES_MAX);
    usage.inboxes.truncate(SUBSCRIPTIONS_MAX);
}

/// Adds counts. What is a state, such as a metric, is of one worker alone.
pub fn add(total: &mut GuestUsage, usage: &GuestUsage) {
    for call in &usage.host_calls {
        let known = total.host_calls.iter_mut().find(|known| known.number == call.number);
        match known {
            Some(known) => {
                known.calls = known.calls.saturating_add(call.calls);
                known.bytes = known.bytes.saturating_add(call.bytes);
                known.time_ns = known.time_ns.saturating_add(call.time_ns);
            }
            None => total.host_calls.push(*call),
        }
    }
}

pub fn to_report(usage: &GuestUsage) -> GuestReport {
    let call = |call: &HostCallUsage| HostCallReport {
        number: call.number,
        calls: call.calls,
        bytes: call.bytes,
        time_ns: call.time_ns,
    };
    let inbox = |inbox: &InboxUsage| InboxReport {
        channel: inbox.channel.clone(),
        depth: inbox.depth,
        received: inbox.received,
        dropped: inbox.dropped,
    };
    let metrics = usage.metrics.iter().cloned();
    GuestReport {
        host_calls: usage.host_calls.iter().map(call).collect(),
        metrics: metrics
            .map(|metric| MetricReport { name: metric.name, value: metric.value })
            .collect(),
        storage: usage.storage.map(|storage| StorageReport {
            used_bytes: storage.used_bytes,
            quota_bytes: storage.quota_bytes,
        }),
        inboxes: usage.inboxes.iter().map(inbox).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use worker_protocol::Metric;

    #[test]
    fn a_worker_cannot_say_more_than_there_is() {
        let call = |number| HostCallUsage { number, calls: u64::MAX, bytes: 1, time_ns: 1 };
        let metric = |name: &str, value| Metric { name: name.into(), value };
        let mut usage = GuestUsage {
            host_calls: (0..=255).flat_map(|number| [call(number), call(number)]).collect(),
            metrics: vec![
                metric("good", 1.0),
                metric("bad", f64::NAN),
                metric(&"x".repeat(65), 1.0),
            ],
            ..GuestUsage::default()
        };
        usage.metrics.extend((0..METRICS_MAX).map(|number| metric(&number.to_string(), 0.0)));
        bound(&mut usage);
        assert_eq!(usage.host_calls.len(), GuestCall::ALL.len() + WasiCall::ALL.len());
        assert_eq!((usage.metrics.len(), usage.metrics[0].name.as_str()), (METRICS_MAX, "good"));
        let mut total = usage.clone();
        add(&mut total, &usage);
        assert_eq!(total.host_calls[0].calls, u64::MAX);
    }
}
