//! A stream with devices in the test's hand.

use super::*;
use device_protocol::Bitmap;
use module_package::BlobId;
use std::collections::BTreeSet;

const BLOCKS: u32 = 64;

fn device(number: u32) -> DeviceId {
    DeviceId::of_key(&BlobId::of(&number.to_be_bytes()).0)
}

fn want(missing: Option<Bitmap>) -> Want {
    Want {
        version: 1,
        blob: BlobId::of(b"blob"),
        missing,
        abilities: Some(Want::READS_DEFLATE | Want::HAS_OWN_TOPIC),
        restarted: None,
        site: None,
    }
}

fn all() -> Want {
    want(Some(Bitmap::full(BLOCKS)))
}

/// Devices that get what is sent at once, and tell their progress as agents do.
#[derive(Default)]
struct Fleet {
    lacking: HashMap<DeviceId, Bitmap>,
    fresh: HashMap<DeviceId, u32>,
    received: HashMap<DeviceId, u32>,
    shared: u32,
    own: u32,
    /// These get nothing that is shared.
    deaf: BTreeSet<DeviceId>,
}

impl Fleet {
    fn join(&mut self, transfer: &mut Transfer, number: u32, now_ms: u64) {
        self.lacking.insert(device(number), Bitmap::full(BLOCKS));
        transfer.ask(&device(number), &Want { restarted: Some(true), ..all() }, now_ms);
    }

    fn pass(&mut self, transfer: &mut Transfer, now_ms: u64) {
        while let Next::Send(sending) = transfer.next(now_ms) {
            let readers: Vec<DeviceId> = match &sending.to {
                To::Own(device) => vec![device.clone()],
                To::Shared => {
                    let listens = |d: &&DeviceId| !self.deaf.contains(*d);
                    self.lacking.keys().filter(listens).cloned().collect()
                }
            };
            self.shared += u32::from(sending.to == To::Shared);
            self.own += u32::from(sending.to != To::Shared);
            readers.iter().for_each(|reader| self.get(transfer, reader, sending.index, now_ms));
        }
    }

    fn get(&mut self, transfer: &mut Transfer, reader: &DeviceId, index: u32, now_ms: u64) {
        *self.received.entry(reader.clone()).or_default() += 1;
        let Some(lacks) = self.lacking.get_mut(reader) else { return };
        lacks.remove(index);
        let fresh = self.fresh.entry(reader.clone()).or_default();
        *fresh += 1;
        if lacks.is_empty() {
            self.lacking.remove(reader);
            transfer.ask(reader, &want(Some(Bitmap::full(0))), now_ms);
        } else if *fresh >= 16 {
            *fresh = 0;
            transfer.ask(reader, &want(Some(lacks.clone())), now_ms);
        }
    }
}

#[test]
fn a_thousand_devices_that_ask_within_the_window_get_each_block_once() {
    let (mut transfer, mut fleet) = (Transfer::new(BLOCKS, 1_000, 0), Fleet::default());
    for number in 0..1_000 {
        fleet.join(&mut transfer, number, u64::from(number) / 10);
        if number < 999 {
            assert!(matches!(transfer.next(u64::from(number) / 10), Next::At(_)), "too early");
        }
    }
    fleet.pass(&mut transfer, 100);
    assert_eq!((fleet.shared, fleet.own), (BLOCKS, 0));
    assert!(fleet.received.values().all(|count| *count == BLOCKS));
    assert!(transfer.is_over());
}

#[test]
fn a_device_alone_does_not_wait_for_others() {
    let (mut transfer, mut fleet) = (Transfer::new(BLOCKS, 1, 0), Fleet::default());
    fleet.join(&mut transfer, 1, 0);
    fleet.pass(&mut transfer, 0);
    assert!(transfer.is_over());
    assert_eq!((fleet.shared, fleet.own), (0, BLOCKS));
}

#[test]
fn what_comes_late_takes_up_the_stream_and_costs_the_others_nothing() {
    let (mut transfer, mut fleet) = (Transfer::new(BLOCKS, 90, 0), Fleet::default());
    (0..90).for_each(|number| fleet.join(&mut transfer, number, 0));
    // Half of the stream is out when ten more come.
    let mut sent = 0;
    while sent < 12 {
        let Next::Send(sending) = transfer.next(300) else { panic!("it flows") };
        fleet.shared += 1;
        sent += 1;
        let readers: Vec<DeviceId> = fleet.lacking.keys().cloned().collect();
        readers.iter().for_each(|r| fleet.get(&mut transfer, r, sending.index, 300));
    }
    (90..100).for_each(|number| fleet.join(&mut transfer, number, 400));
    for now_ms in (400..6_000).step_by(100) {
        fleet.pass(&mut transfer, now_ms);
    }
    assert!(transfer.is_over(), "{transfer:?}");
    assert_eq!((fleet.shared, fleet.own), (BLOCKS + 12, 0));
    assert!(fleet.received.values().all(|count| *count == BLOCKS));
}

#[test]
fn a_block_that_one_device_lost_comes_to_it_alone_and_not_before_it_is_surely_lost() {
    let (mut transfer, mut fleet) = (Transfer::new(BLOCKS, 10, 0), Fleet::default());
    (0..10).for_each(|number| fleet.join(&mut transfer, number, 0));
    fleet.deaf.insert(device(3));
    fleet.pass(&mut transfer, 0);
    assert_eq!((fleet.shared, fleet.own), (BLOCKS, 0));
    // It asks too early, and its blocks may still be in the broker.
    transfer.ask(&device(3), &all(), 1_000);
    fleet.pass(&mut transfer, 1_000);
    assert_eq!((fleet.shared, fleet.own), (BLOCKS, 0));
    transfer.ask(&device(3), &all(), 12_000);
    fleet.pass(&mut transfer, 12_000);
    assert_eq!((fleet.shared, fleet.own), (BLOCKS, 1), "and then one first");
    for now_ms in (13_000..23_000).step_by(1_000) {
        let Some(lacks) = fleet.lacking.get(&device(3)) else { break };
        transfer.ask(&device(3), &want(Some(lacks.clone())), now_ms);
        fleet.pass(&mut transfer, now_ms);
    }
    assert_eq!((fleet.shared, fleet.own), (BLOCKS, BLOCKS));
    assert!(fleet.received.values().all(|count| *count == BLOCKS));
}

#[test]
fn one_that_asks_again_and_again_gets_it_alone_and_within_a_window() {
    let (mut transfer, mut fleet) = (Transfer::new(BLOCKS, 50, 0), Fleet::default());
    (1..50).for_each(|number| fleet.join(&mut transfer, number, 0));
    let mut shared = 0;
    for now_ms in (0..10_000).step_by(10) {
        let again = Want { restarted: Some(true), ..all() };
        transfer.ask(&device(0), &again, now_ms);
        fleet.pass(&mut transfer, now_ms);
        if fleet.lacking.is_empty() && shared == 0 {
            shared = fleet.shared;
        }
    }
    assert!(shared > 0, "the others are served");
    assert_eq!(fleet.shared, shared, "and nothing more is sent to all");
    let honest = (1..50).map(|number| fleet.received[&device(number)]);
    assert!(honest.clone().all(|count| count == BLOCKS), "{:?}", honest.collect::<Vec<_>>());
}

#[test]
fn a_device_that_went_away_does_not_hold_up_the_others() {
    let (mut transfer, mut fleet) = (Transfer::new(BLOCKS, 3, 0), Fleet::default());
    (0..3).for_each(|number| fleet.join(&mut transfer, number, 0));
    // Two of three never say a word again.
    fleet.deaf.extend([device(0), device(1)]);
    for now_ms in (0..9_000).step_by(100) {
        fleet.pass(&mut transfer, now_ms);
        let lacks = fleet.lacking.get(&device(2)).filter(|_| now_ms % 2_500 == 0);
        if let Some(lacks) = lacks.cloned() {
            transfer.ask(&device(2), &want(Some(lacks)), now_ms);
        }
    }
    assert!(!fleet.lacking.contains_key(&device(2)), "{transfer:?}");
    assert!(matches!(transfer.next(140_000), Next::Nothing) && transfer.is_over());
}

#[test]
fn an_agent_without_a_topic_of_its_own_is_served_on_everybodys() {
    let mut transfer = Transfer::new(BLOCKS, 1, 0);
    let old = Want {
        abilities: None,
        missing: Some(Bitmap(vec![0, 0, 0, 0, 0, 0, 0, 0, 0xff])),
        ..all()
    };
    transfer.ask(&device(1), &old, 0);
    assert!(transfer.is_over(), "it asks for blocks that there are not");
    let old = Want { missing: None, ..old };
    transfer.ask(&device(1), &old, 0);
    let takers = vec![device(1)];
    let first = Sending { index: 0, to: To::Shared, readers: 1, takers, compressed: false };
    assert_eq!(transfer.next(0), Next::Send(first));
    assert!(matches!(transfer.next(0), Next::At(_)));
}
