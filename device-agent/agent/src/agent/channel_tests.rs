//! Messages to modules, through the whole loop.

use super::bench::Bench;
use super::{entry, number};
use device_protocol::AppState;
use module_package::{AppEntry, ChannelMessage, Provisions};
use worker_protocol::{Event, Published};

/// `deaf` and `filter` publish on `average`, to which `filter` and `listener` subscribe;
/// `filter` also to `speed`.
fn neighbours() -> Bench {
    let mut bench = Bench::new();
    bench.connect();
    let subscribed = |channels: &[&str]| {
        let subscriptions = channels.iter().map(ToString::to_string).collect();
        Provisions { subscriptions, ..Provisions::default() }.non_empty()
    };
    let mut entries = Vec::new();
    for (app, channels) in
        [("deaf", &[][..]), ("filter", &["average", "speed"]), ("listener", &["average"])]
    {
        let release = bench.release(app, 1, "ok");
        let release = bench.offer_release(&release);
        let mut entry = AppEntry { release, provisions: subscribed(channels), ..entry(app) };
        if app == "listener" {
            entry.channels = vec![];
        }
        entries.push(entry);
    }
    bench.give(1, entries);
    assert_eq!(bench.app("listener").state, AppState::Running);
    bench
}

fn refusal(bench: &Bench) -> Option<u16> {
    number(bench.report().refused.map(|refused| refused.code))
}

#[test]
fn what_a_module_publishes_reaches_its_neighbours_and_not_itself() {
    let mut bench = neighbours();
    let before = bench.delivered().len();
    let published = |channel: &str, payload: &str| {
        let (channel, payload) = (channel.into(), payload.as_bytes().to_vec());
        Event::Published(Published { channel, seq: 9, payload })
    };
    let mut delivered = |worker: usize, event: Event| -> Vec<String> {
        let before = bench.delivered().len();
        bench.say(worker, event);
        // Without the number, which counts also what was said at the start.
        let words = |line: &String| {
            let words: Vec<&str> = line.split(' ').collect();
            format!("{} {} {}", words[0], words[1], words[3])
        };
        bench.delivered()[before..].iter().map(words).collect()
    };
    assert_eq!(delivered(0, published("average", "a")), ["2 average a", "3 average a"]);
    assert_eq!(delivered(1, published("average", "b")), ["3 average b"], "not to itself");
    // `listener` may not publish on it, and nobody on what was not granted.
    assert_eq!(delivered(2, published("average", "c")), [""; 0]);
    assert_eq!(delivered(0, published("speed", "d")), [""; 0]);
    assert!(bench.delivered().len() == before + 3);
}

#[test]
fn a_message_of_the_gateway_reaches_the_module_that_it_is_for() {
    let mut bench = neighbours();
    let before = bench.delivered().len();
    bench.give_message(bench.channel_message(10, "filter", "speed"), 3);
    assert_eq!(bench.delivered()[before..], ["2 speed 1 10"]);
    bench.give_message(bench.channel_message(11, "filter", "speed"), 3);
    assert_eq!(bench.delivered()[before + 1..], ["2 speed 2 11"]);
    assert_eq!(refusal(&bench), None);
}

#[test]
fn a_message_that_is_not_for_now_is_refused_with_its_number() {
    let mut bench = neighbours();
    let before = bench.delivered().len();
    let good = bench.channel_message(10, "filter", "speed");
    bench.give_message(good.clone(), 3);
    bench.give_message(good.clone(), 3);
    assert_eq!(refusal(&bench), Some(52), "it came twice");
    bench.give_message(ChannelMessage { counter: 9, ..good.clone() }, 3);
    assert_eq!(refusal(&bench), Some(52), "it is late");
    let other_start = ChannelMessage { counter: 11, boot_id: [9; 16], ..good.clone() };
    bench.give_message(other_start, 3);
    assert_eq!(refusal(&bench), Some(52), "it was for another start of the agent");
    bench.give_message(
        ChannelMessage {
            counter: 12,
            channel: "average".into(),
            app: "deaf".into(),
            ..good.clone()
        },
        3,
    );
    assert_eq!(refusal(&bench), Some(53));
    bench.give_message(ChannelMessage { counter: 13, app: "none".into(), ..good.clone() }, 3);
    assert_eq!(refusal(&bench), Some(53));
    let long = ChannelMessage { counter: 14, payload: vec![0; 1_025], ..good.clone() };
    bench.give_message(long, 3);
    assert_eq!(refusal(&bench), Some(53));
    bench.give_message(ChannelMessage { counter: 15, ..good.clone() }, 9);
    assert_eq!(refusal(&bench), Some(4), "by a stranger");
    bench.give_message(ChannelMessage { counter: 15, ..good.clone() }, 2);
    assert_eq!(refusal(&bench), Some(6), "by the release key");
    let device = module_package::DeviceId::of_key(&[7; 32]);
    bench.give_message(ChannelMessage { counter: 15, device, ..good.clone() }, 3);
    assert_eq!(refusal(&bench), Some(8));
    assert_eq!(bench.delivered().len(), before + 1);
    bench.give_message(ChannelMessage { counter: 16, ..good }, 3);
    assert_eq!(bench.delivered().len(), before + 2, "it goes on");
}

#[test]
fn a_flood_of_messages_is_bounded() {
    let mut bench = neighbours();
    let before = bench.delivered().len();
    for counter in 1..=200 {
        let message = bench.channel_message(counter, "filter", "speed");
        bench.give_message_at_once(message);
    }
    assert_eq!(bench.delivered().len() - before, 50);
    bench.advance(1_100);
    assert_eq!(refusal(&bench), Some(54));
    bench.give_message(bench.channel_message(201, "filter", "speed"), 3);
    assert_eq!(bench.delivered().len() - before, 51);
}

#[test]
fn what_a_module_publishes_in_its_known_answers_is_no_news_for_its_neighbours() {
    let mut bench = neighbours();
    let mut entries = bench.entries();
    let release = bench.release("aloud", 1, "checks-aloud");
    let release = bench.offer_release(&release);
    entries.push(AppEntry { release, ..entry("aloud") });
    bench.give(2, entries);
    assert_eq!(bench.app("aloud").state, AppState::Running);
    assert!(bench.published().contains(&"aloud average check".to_owned()), "the gateway hears it");
    let delivered = bench.delivered();
    assert!(delivered.iter().any(|line| line.ends_with(" 20.5")), "{delivered:?}");
    assert!(!delivered.iter().any(|line| line.ends_with(" check")), "{delivered:?}");
}
