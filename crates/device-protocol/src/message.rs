//! The MQTT messages.

use crate::guest_report::TrapReport;
use crate::{
    BuildReport, Capabilities, GuestReport, OutletReport, RefusalCode, SiteName, SystemReport,
};
use minicbor::{Decode, Encode};
use module_limits::LimitHits;
use module_package::{ArtifactId, BlobId, DeviceId, ManifestId, ModuleId, NONCE_BYTES, ReleaseId};
use module_traps::TrapCounts;
use scheduling::{Allowance, InForce, TickReport};

/// Longest sealed report.
pub const REPORT_BYTES_MAX: usize = 64 * 1024;

/// Longest message of any kind from a device.
pub const UP_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A block of 32 KiB and its surroundings.
pub const BLOCK_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Most log lines in one message.
pub const LOG_LINES_MAX: usize = 64;

/// Everything about a device at one moment, sealed by the device in
/// `Domain::Report`. A later one replaces it; none is ever needed twice.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Report {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub device: DeviceId,
    /// Chosen at each start of the agent.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub boot_id: [u8; 16],
    /// Counts reports since the agent's start; a smaller one is late or replayed.
    #[n(3)]
    pub counter: u64,
    /// The manifest that the device has accepted last; 0 and 0 before the first.
    #[n(4)]
    pub epoch: u32,
    #[n(5)]
    pub seq: u64,
    #[n(6)]
    pub manifest: Option<ManifestId>,
    #[n(7)]
    pub uptime_ms: u64,
    #[n(8)]
    pub usage: DeviceUsage,
    #[n(9)]
    pub apps: Vec<AppReport>,
    /// The last document that was refused, until a good manifest comes.
    #[n(10)]
    pub refused: Option<Refused>,
    /// Figures of the workers include the emulator that runs them.
    #[n(11)]
    pub emulated: bool,
    /// The device asks for the time: the gateway answers by a heartbeat with this.
    #[cbor(n(12), with = "minicbor::bytes")]
    pub nonce: Option<[u8; NONCE_BYTES]>,
    /// Of the root document that the device trusts; none from older agents.
    #[n(13)]
    pub root_version: Option<u32>,
    /// How the device knows the time; none from older agents.
    #[n(14)]
    pub clock: Option<ClockTrust>,
    /// Of the device as a whole; none from older agents.
    #[n(70)]
    pub system: Option<SystemReport>,
    /// What runs there; none from older agents, and while it is not known.
    #[n(71)]
    pub builds: Option<BuildReport>,
    /// It leaves out what stands still: see [`Report::fill_in`] and `docs/reports.md`.
    #[n(72)]
    pub brief: Option<bool>,
    /// With some reports only; none from older agents.
    #[n(80)]
    pub capabilities: Option<Capabilities>,
    /// What the device's owner lets modules ask for, if anything.
    #[n(50)]
    pub scheduling: Option<Allowance>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ClockTrust {
    /// It does not: nothing that ends is refused for its age.
    #[n(0)]
    Unknown,
    /// Its configuration says that the clock is right.
    #[n(1)]
    Configured,
    /// A heartbeat told it, bound to a nonce of its own.
    #[n(2)]
    Heartbeat,
}

impl ClockTrust {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Configured => "configured",
            Self::Heartbeat => "heartbeat",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceUsage {
    /// CPU time of the agent and its workers since the agent's start.
    #[n(0)]
    pub cpu_us: u64,
    /// Of the whole device, over all CPUs: busy and total time since its start.
    #[n(1)]
    pub system_cpu_busy_ms: u64,
    #[n(2)]
    pub system_cpu_total_ms: u64,
    #[n(3)]
    pub memory_total_bytes: u64,
    #[n(4)]
    pub memory_available_bytes: u64,
    /// Resident memory of the agent itself.
    #[n(5)]
    pub agent_rss_bytes: u64,
    /// Bytes of the store in use.
    #[n(6)]
    pub store_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refused {
    #[n(0)]
    pub code: RefusalCode,
    #[n(1)]
    pub detail: String,
    /// How often it was refused, and on which report the first time.
    #[n(2)]
    pub count: u64,
    #[n(3)]
    pub seq: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct AppReport {
    #[n(0)]
    pub app: String,
    #[n(1)]
    pub release: ReleaseId,
    /// Known once the release was read.
    #[n(2)]
    pub module: Option<ModuleId>,
    #[n(3)]
    pub artifact: Option<ArtifactId>,
    #[n(4)]
    pub app_version: u32,
    #[n(5)]
    pub state: AppState,
    /// Why, where the state is not `Running`.
    #[n(6)]
    pub refusal: Option<RefusalCode>,
    #[n(7)]
    pub detail: String,
    /// Bytes that have arrived and are to arrive while `Fetching`.
    #[n(8)]
    pub fetched_bytes: u64,
    #[n(9)]
    pub fetch_total_bytes: u64,
    /// Counters since the worker started, see `worker_protocol::Usage`.
    #[n(10)]
    pub cpu_us: u64,
    #[n(11)]
    pub memory_bytes: u64,
    #[n(12)]
    pub memory_peak_bytes: u64,
    #[n(13)]
    pub calls: u64,
    #[n(14)]
    pub traps: u64,
    /// Fresh instances after a trap and workers started after one died.
    #[n(15)]
    pub restarts: u64,
    #[n(16)]
    pub published: u64,
    #[n(17)]
    pub publishes_dropped: u64,
    #[n(18)]
    pub log_lines: u64,
    #[n(19)]
    pub log_lines_dropped: u64,
    #[n(20)]
    pub checks_passed: u64,
    #[n(21)]
    pub checks_failed: u64,
    /// Resident memory of the worker process.
    #[n(22)]
    pub worker_rss_bytes: u64,
    /// A version that the device keeps running because the wanted one was refused.
    #[n(23)]
    pub fallback: bool,
    /// Of a metered module, see `worker_protocol::Usage`.
    #[n(24)]
    pub gas_used: Option<u64>,
    /// What is left of the health window of a version that has taken another's place.
    #[n(25)]
    pub trial_left_ms: Option<u32>,
    /// The last answer of the module's own health export; 0 is healthy.
    #[n(26)]
    pub health: Option<i32>,
    /// How often it reached its limits, once it did; see `worker_protocol::Usage`.
    #[n(27)]
    pub limits: Option<LimitHits>,
    /// It is called later than its interval because it used more gas than a second
    /// allows.
    #[n(28)]
    pub throttled: Option<bool>,
    /// What confines its worker, by name; empty where nothing does. `None`: there is no
    /// worker.
    #[n(29)]
    pub confinement: Option<Vec<String>>,
    /// Of a module that called anything of the guest API.
    #[n(30)]
    pub guest: Option<GuestReport>,
    /// `traps` by kind, once there was one.
    #[n(70)]
    pub trap_kinds: Option<TrapCounts>,
    /// What WAMR holds for the instance beside its linear memory; of the serving worker.
    #[n(71)]
    pub overhead_bytes: Option<u64>,
    /// CPU time of all the worker's threads, with its start; of the serving worker.
    #[n(72)]
    pub worker_cpu_us: Option<u64>,
    /// The channels that it has published on, with what waits to go out.
    #[n(73)]
    pub outlets: Option<Vec<OutletReport>>,
    /// Of a module with `tick` that runs: how punctual it was.
    #[n(51)]
    pub ticks: Option<TickReport>,
    /// Of a program, once it was started.
    #[n(60)]
    pub program: Option<ProgramReport>,
    /// The last one since the agent's start.
    #[n(74)]
    pub last_trap: Option<TrapReport>,
    /// Of a module that asked for more than the usual: what the kernel says that it has.
    #[n(50)]
    pub scheduling: Option<InForce>,
    /// Of a module that shares its worker's process with others.
    #[n(55)]
    pub company: Option<CompanyReport>,
}

/// A process that several modules share. Its memory and CPU time are theirs together.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct CompanyReport {
    #[n(0)]
    pub pid: u32,
    /// How many modules it runs, with this one.
    #[n(1)]
    pub modules: u32,
    /// How often this one was started again because another brought the process down.
    #[n(2)]
    pub displaced: u32,
    /// Which module did it the last time.
    #[n(3)]
    pub displaced_by: Option<String>,
}

/// How a module does that runs to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct ProgramReport {
    /// Since the worker started.
    #[n(0)]
    pub runs: u64,
    /// Of the last run that ended by itself.
    #[n(1)]
    pub exit_code: Option<u32>,
    /// It is not run again.
    #[n(2)]
    pub is_finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum AppState {
    /// Blocks of the release or the artifact are on their way.
    #[n(0)]
    Fetching,
    /// Whole and verified, the worker is starting or running its checks.
    #[n(1)]
    Starting,
    #[n(2)]
    Running,
    /// Trapped; a fresh instance follows.
    #[n(3)]
    BackingOff,
    /// Stopped because the manifest says so.
    #[n(4)]
    Stopped,
    /// Ended because a call ran too long; it stays so until the next deployment.
    #[n(5)]
    StoppedTimeLimit,
    /// Refused, with its code; an earlier version may go on running.
    #[n(6)]
    Refused,
}

impl AppState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::BackingOff => "backing off",
            Self::Stopped => "stopped",
            Self::StoppedTimeLimit => "stopped: time limit",
            Self::Refused => "refused",
        }
    }
}

/// Lines since the last message, oldest first, at most [`LOG_LINES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogMessage {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub lines: Vec<LogLine>,
    /// Lines lost on the device since its start because there were too many.
    #[n(2)]
    pub dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogLine {
    /// The application, or empty for the agent itself.
    #[n(0)]
    pub app: String,
    /// `error`, `warn`, `info` or `debug`.
    #[n(1)]
    pub level: String,
    #[n(2)]
    pub text: String,
    /// The device's clock, milliseconds since 1970; it may be wrong.
    #[n(3)]
    pub time_ms: u64,
}

/// One value that a module published.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PublishedMessage {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub app: String,
    #[n(2)]
    pub channel: String,
    /// Counts the worker's messages from 1.
    #[n(3)]
    pub seq: u64,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    #[n(5)]
    pub time_ms: u64,
}

/// Blocks that a device lacks of one blob.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Want {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub blob: BlobId,
    /// `None`: the number of blocks is not known yet, send the first. An empty one
    /// says that the device has the blob and wants nothing more.
    #[n(2)]
    pub missing: Option<Bitmap>,
    /// What the device can do with an answer, see [`Want::READS_DEFLATE`]. An agent
    /// from before there was a choice says nothing.
    #[n(3)]
    pub abilities: Option<u32>,
    /// The first request on a connection: nothing of what was sent before is still
    /// on its way.
    #[n(4)]
    pub restarted: Option<bool>,
    /// The device listens on its site's topic for the blob, not on everybody's.
    #[n(5)]
    pub site: Option<SiteName>,
}

impl Want {
    /// It reads blocks that are compressed by [`crate::Compression::Deflate`].
    pub const READS_DEFLATE: u32 = 1;
    /// It listens on its own topic for the blob too.
    pub const HAS_OWN_TOPIC: u32 = 2;

    pub fn can(&self, ability: u32) -> bool {
        self.abilities.is_some_and(|abilities| abilities & ability != 0)
    }
}

/// One bit a block, block 0 in the lowest bit of the first byte.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Bitmap(#[cbor(with = "minicbor::bytes")] pub Vec<u8>);

impl Bitmap {
    /// All of `len` blocks.
    pub fn full(len: u32) -> Self {
        let mut bytes = vec![0xff; len.div_ceil(8) as usize];
        if let Some(last) = bytes.last_mut()
            && !len.is_multiple_of(8)
        {
            *last = (1 << (len % 8)) - 1;
        }
        Self(bytes)
    }

    pub fn contains(&self, index: u32) -> bool {
        self.0.get(index as usize / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    pub fn insert(&mut self, index: u32) {
        if let Some(byte) = self.0.get_mut(index as usize / 8) {
            *byte |= 1 << (index % 8);
        }
    }

    pub fn remove(&mut self, index: u32) {
        if let Some(byte) = self.0.get_mut(index as usize / 8) {
            *byte &= !(1 << (index % 8));
        }
    }

    pub fn count(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The blocks in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        // Cannot overflow: a bitmap comes in a message of at most 64 KiB.
        (0..self.0.len() as u32 * 8).filter(|index| self.contains(*index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MESSAGE_VERSION;
    use proptest::prelude::*;

    fn report() -> Report {
        Report {
            version: MESSAGE_VERSION,
            device: DeviceId::of_key(&[1; 32]),
            boot_id: [2; 16],
            counter: 3,
            epoch: 1,
            seq: 4,
            manifest: Some(ManifestId::of(b"manifest")),
            uptime_ms: 5,
            usage: DeviceUsage::default(),
            apps: vec![],
            refused: Some(Refused {
                code: RefusalCode::Rollback,
                detail: "old".into(),
                count: 1,
                seq: Some(3),
            }),
            emulated: true,
            nonce: None,
            root_version: None,
            clock: None,
            system: None,
            builds: None,
            brief: None,
            capabilities: None,
            scheduling: None,
        }
    }

    /// The golden bytes of every message: a device in the field reads and writes these.
    #[test]
    fn the_bytes_of_the_messages_are_what_they_have_been() {
        let want = |abilities| Want {
            version: 1,
            blob: BlobId([7; 32]),
            missing: Some(Bitmap::full(9)),
            abilities,
            restarted: abilities.map(|_| true),
            site: abilities.map(|_| "north-1".parse().unwrap()),
        };
        let published = PublishedMessage {
            version: 1,
            app: "a".into(),
            channel: "b".into(),
            seq: 2,
            payload: vec![3],
            time_ms: 4,
        };
        let line = LogLine { app: "a".into(), level: "info".into(), text: "t".into(), time_ms: 1 };
        let log = LogMessage { version: 1, lines: vec![line], dropped: 0 };
        let hex_of = |bytes: Vec<u8>| hex::encode(bytes);
        // As agents wrote it that had no abilities to tell of.
        assert_eq!(
            hex_of(minicbor::to_vec(want(None)).unwrap()),
            format!("a30001015820{}0242ff01", "07".repeat(32))
        );
        assert_eq!(
            hex_of(minicbor::to_vec(want(Some(3))).unwrap()),
            format!("a60001015820{}0242ff01030304f505676e6f7274682d31", "07".repeat(32))
        );
        assert_eq!(
            hex_of(minicbor::to_vec(published).unwrap()),
            "a6000101616102616203020441030504"
        );
        assert_eq!(
            hex_of(minicbor::to_vec(log).unwrap()),
            "a300010181a40061610164696e666f02617403010200"
        );
        assert_eq!(hex_of(minicbor::to_vec(report()).unwrap()), GOLDEN_REPORT);
    }

    const GOLDEN_REPORT: &str = "ac00010176642d373263643665383432326334303766623664303902500202020202020202020202\
        020202020203030401050406582005b3abf2579a5eb66403cd78be557fd860633a1fe2103c764203\
        0defe32c657f070508a7000001000200030004000500060009800aa4000901636f6c64020103030bf5";

    #[test]
    fn a_bitmap_holds_what_was_put_in() {
        for len in [0, 1, 7, 8, 9, 1_536] {
            let mut bitmap = Bitmap::full(len);
            assert_eq!(bitmap.count(), len);
            assert!(bitmap.iter().eq(0..len));
            for index in 0..len {
                bitmap.remove(index);
            }
            assert!(bitmap.is_empty());
            bitmap.insert(len); // beyond the end: nothing, or a spare bit of the last byte
            assert!(bitmap.count() <= 1);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decoded_or_refused_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let _ = minicbor::decode::<Report>(&bytes);
            let _ = minicbor::decode::<Want>(&bytes);
            let _ = minicbor::decode::<LogMessage>(&bytes);
            let _ = minicbor::decode::<PublishedMessage>(&bytes);
        }
    }
}
