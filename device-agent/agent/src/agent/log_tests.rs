//! What the device's log says of the deployments that it acts on.

use super::Bench;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The lines with this text that are logged meanwhile.
fn logged(text: &str, act: impl FnOnce()) -> Vec<serde_json::Value> {
    let log = Log::default();
    // While there is one subscriber only, a thread without it that comes to a line first
    // turns that line off for all.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone());
    tracing::subscriber::with_default(lines.finish(), act);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["message"].as_str() == Some(text)).collect()
}

#[test]
fn each_deployment_that_a_manifest_brings_is_told_by_its_id_and_no_other() {
    let mut bench = Bench::new();
    bench.connect();
    let text = "a deployment to carry out";
    let first = logged(text, || bench.deploy(1, &[("filter", "ok 1")]));
    let [line] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!((&line["app"], &line["generation"]), (&"filter".into(), &1.into()));
    let id = line["deployment.id"].as_str().unwrap().to_owned();
    assert!(id.strip_prefix("filter-").is_some_and(|n| n.parse::<u64>().is_ok()), "{id}");

    let second = logged(text, || bench.deploy(2, &[("filter", "ok 1"), ("alarm", "ok 2")]));
    let apps: Vec<_> = second.iter().map(|line| line["app"].as_str().unwrap()).collect();
    assert!(apps.contains(&"alarm"), "{second:?}");
    let gone = logged("to remove", || bench.deploy(3, &[("alarm", "ok 2")]));
    assert_eq!((gone.len(), gone[0]["app"].as_str()), (1, Some("filter")));
}
