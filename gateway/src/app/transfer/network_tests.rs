//! What holds whatever a network does: agents as they are, and a broker that is slow,
//! loses, repeats and mixes up messages, by seed.

use super::*;
use module_package::BlobId;
use proptest::prelude::*;
use std::collections::BTreeMap;

const STEP_MS: u64 = 20;
const PROGRESS_BLOCKS: u32 = 16;

#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    /// Of a hundred messages.
    lost: u64,
    repeated: u64,
    /// A message may come so much later than one sent after it.
    mixed_ms: u64,
    /// Of a hundred thousand steps of a device.
    reconnects: u64,
    until_ms: u64,
}

/// An agent's side, as `device-agent/agent/src/fetch` has it.
struct Agent {
    lacks: Bitmap,
    fresh: u32,
    asked_ms: u64,
    ask_at_ms: u64,
    delay_ms: u64,
    is_restarted: bool,
    received: u32,
    /// By arrival.
    down: BTreeMap<(u64, u64), u32>,
    latency_ms: u64,
}

impl Agent {
    fn new(blocks: u32, latency_ms: u64, joins_ms: u64) -> Self {
        Self {
            lacks: Bitmap::full(blocks),
            fresh: 0,
            asked_ms: 0,
            ask_at_ms: joins_ms,
            delay_ms: 2_000,
            is_restarted: true,
            received: 0,
            down: BTreeMap::new(),
            latency_ms,
        }
    }

    fn is_done(&self) -> bool {
        self.lacks.is_empty()
    }

    fn listens(&self, now_ms: u64) -> bool {
        !self.is_done() && (!self.is_restarted || now_ms >= self.ask_at_ms)
    }

    fn take(&mut self, index: u32, now_ms: u64) {
        self.received += 1;
        if self.lacks.contains(index) {
            self.lacks.remove(index);
            (self.fresh, self.delay_ms) = (self.fresh + 1, 2_000);
            let is_due = self.is_done() || self.fresh >= PROGRESS_BLOCKS;
            self.ask_at_ms = if is_due { now_ms } else { now_ms.max(self.asked_ms + 1_000) };
        }
    }

    fn poll(&mut self, now_ms: u64) -> Option<Want> {
        if now_ms < self.ask_at_ms {
            return None;
        }
        (self.asked_ms, self.fresh) = (now_ms, 0);
        self.ask_at_ms = if self.is_done() { u64::MAX } else { now_ms + self.delay_ms };
        self.delay_ms = (self.delay_ms * 2).min(30_000);
        Some(Want {
            version: 1,
            blob: BlobId::of(b"blob"),
            missing: Some(self.lacks.clone()),
            abilities: Some(Want::READS_DEFLATE | Want::HAS_OWN_TOPIC),
            restarted: std::mem::take(&mut self.is_restarted).then_some(true),
            site: None,
        })
    }
}

struct Network {
    transfer: Transfer,
    agents: Vec<Agent>,
    up: BTreeMap<(u64, u64), (usize, Want)>,
    faults: Faults,
    random: u64,
    messages: u64,
    now_ms: u64,
    shared: u32,
    own: u32,
}

fn device(number: usize) -> DeviceId {
    DeviceId::of_key(&BlobId::of(&number.to_be_bytes()).0)
}

impl Network {
    fn new(blocks: u32, agents: Vec<Agent>, faults: Faults, seed: u64) -> Self {
        Self {
            transfer: Transfer::new(blocks, agents.len(), 0),
            agents,
            up: BTreeMap::new(),
            faults,
            random: seed | 1,
            messages: 0,
            now_ms: 0,
            shared: 0,
            own: 0,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % end.max(1)
    }

    /// When the copies of a message arrive.
    fn arrivals(&mut self, latency_ms: u64) -> Vec<(u64, u64)> {
        let faults =
            if self.now_ms < self.faults.until_ms { self.faults } else { Faults::default() };
        let mut copies = u64::from(self.below(100) >= faults.lost);
        copies += u64::from(self.below(100) < faults.repeated);
        let at = |network: &mut Self| {
            network.messages += 1;
            (network.now_ms + latency_ms + network.below(faults.mixed_ms), network.messages)
        };
        (0..copies).map(|_| at(self)).collect()
    }

    fn send(&mut self, sending: &Sending) {
        let number_of = |to: &DeviceId| (0..self.agents.len()).find(|n| device(*n) == *to);
        let readers: Vec<usize> = match &sending.to {
            To::Shared => (0..self.agents.len()).collect(),
            To::Own(to) => number_of(to).into_iter().collect(),
        };
        self.shared += u32::from(sending.to == To::Shared);
        self.own += u32::from(sending.to != To::Shared);
        for number in readers {
            if self.agents[number].listens(self.now_ms) {
                for arrival in self.arrivals(self.agents[number].latency_ms) {
                    self.agents[number].down.insert(arrival, sending.index);
                }
            }
        }
    }

    fn step(&mut self) {
        self.now_ms += STEP_MS;
        let now_ms = self.now_ms;
        for number in 0..self.agents.len() {
            if now_ms < self.faults.until_ms && self.below(100_000) < self.faults.reconnects {
                let agent = &mut self.agents[number];
                agent.down.clear();
                (agent.is_restarted, agent.fresh, agent.ask_at_ms) = (true, 0, now_ms + 500);
            }
            while let Some(next) = self.agents[number].down.first_entry() {
                if next.key().0 > now_ms {
                    break;
                }
                let index = next.remove();
                self.agents[number].take(index, now_ms);
            }
            if let Some(want) = self.agents[number].poll(now_ms) {
                for arrival in self.arrivals(10) {
                    self.up.insert(arrival, (number, want.clone()));
                }
            }
        }
        while let Some(next) = self.up.first_entry() {
            if next.key().0 > now_ms {
                break;
            }
            let (number, want) = next.remove();
            self.transfer.ask(&device(number), &want, now_ms);
        }
        while let Next::Send(sending) = self.transfer.next(now_ms) {
            self.send(&sending);
        }
    }

    /// Until every agent has all.
    fn run(&mut self, within_ms: u64) {
        while !self.agents.iter().all(Agent::is_done) {
            assert!(self.now_ms < within_ms, "after {within_ms} ms: {:?}", self.transfer);
            self.step();
        }
    }
}

/// Blocks, and of each device the time that messages need to it and when it comes.
fn fleets(latency_ms: u64, joins_ms: u64) -> impl Strategy<Value = (u32, Vec<(u64, u64)>)> {
    (1u32..120, prop::collection::vec((1..latency_ms, 0..joins_ms), 1..12))
}

fn agents(blocks: u32, of: &[(u64, u64)]) -> Vec<Agent> {
    of.iter().map(|(latency_ms, joins_ms)| Agent::new(blocks, *latency_ms, *joins_ms)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_order_and_without_loss_every_block_is_sent_and_received_once(
        (blocks, of) in fleets(1_400, 200)
    ) {
        let mut network = Network::new(blocks, agents(blocks, &of), Faults::default(), 1);
        network.run(60_000);
        prop_assert_eq!(network.shared + network.own, blocks);
        prop_assert!(network.agents.iter().all(|agent| agent.received == blocks));
    }

    #[test]
    fn a_broker_that_needs_many_seconds_costs_little_that_is_sent_twice(
        (blocks, of) in fleets(9_000, 200)
    ) {
        let mut network = Network::new(blocks, agents(blocks, &of), Faults::default(), 1);
        network.run(400_000);
        let received: u32 = network.agents.iter().map(|agent| agent.received).sum();
        prop_assert!(received <= of.len() as u32 * (blocks + blocks / 4 + 4), "{}", received);
    }

    #[test]
    fn lost_repeated_and_mixed_up_messages_change_nothing_in_the_end(
        (blocks, of) in fleets(800, 5_000),
        lost in 0u64..50,
        repeated in 0u64..50,
        mixed_ms in 0u64..1_000,
        reconnects in 0u64..500,
        seed: u64,
    ) {
        let faults = Faults { lost, repeated, mixed_ms, reconnects, until_ms: 20_000 };
        let mut network = Network::new(blocks, agents(blocks, &of), faults, seed);
        network.run(200_000);
        while !network.transfer.is_over() {
            assert!(network.now_ms < 500_000, "it forgets what is done: {:?}", network.transfer);
            network.step();
        }
    }

    #[test]
    fn what_one_device_asks_for_makes_nothing_go_to_all_again(
        (blocks, of) in fleets(1_000, 200),
        asks in prop::collection::vec(
            (0u64..8_000, prop::collection::vec(any::<u8>(), 0..16), any::<Option<bool>>()),
            0..200
        ),
    ) {
        let mut network = Network::new(blocks, agents(blocks, &of), Faults::default(), 1);
        network.transfer = Transfer::new(blocks, of.len() + 1, 0);
        let liar = device(1_000);
        let mut asks = asks;
        asks.sort_by_key(|(at_ms, ..)| *at_ms);
        let mut asks = asks.into_iter().peekable();
        while network.now_ms < 20_000 {
            while let Some((_, bits, restarted)) = asks.next_if(|ask| ask.0 <= network.now_ms) {
                let want = Want {
                    version: 1,
                    blob: BlobId::of(b"blob"),
                    missing: Some(Bitmap(bits)),
                    abilities: Some(Want::HAS_OWN_TOPIC),
                    restarted,
                    site: None,
                };
                network.transfer.ask(&liar, &want, network.now_ms);
            }
            network.step();
        }
        prop_assert!(network.agents.iter().all(Agent::is_done));
        prop_assert!(network.shared <= blocks, "{} of {blocks}", network.shared);
        prop_assert!(network.agents.iter().all(|agent| agent.received == blocks));
    }
}

/// Found by the test above, once in some thousand cases: the lowest block was one that
/// only the silent one needed, and nobody got anything for as long as it was remembered.
#[test]
fn one_that_asks_and_falls_silent_holds_nobody_up() {
    let blocks = 80;
    let mut network = Network::new(blocks, agents(blocks, &[(1, 41)]), Faults::default(), 1);
    network.transfer = Transfer::new(blocks, 2, 0);
    let want = Want {
        version: 1,
        blob: BlobId::of(b"blob"),
        missing: Some(Bitmap(vec![7, 243, 11, 5, 21])),
        abilities: Some(Want::HAS_OWN_TOPIC),
        restarted: None,
        site: None,
    };
    while network.now_ms < 321 {
        network.step();
    }
    network.transfer.ask(&device(1_000), &want, network.now_ms);
    network.run(5_000);
    assert_eq!(network.agents[0].received, blocks);
}
