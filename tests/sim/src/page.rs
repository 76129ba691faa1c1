//! docs/benchmark-delivery.md: what was measured, on what, and whether the goals are met.

use crate::bench::Row;
use anyhow::Context;
use std::path::Path;

const TITLE: &str = "\
# Delivery: one artifact to many devices

Written by `cargo xtask bench delivery --write-docs`; do not edit.
";

const METHOD: &str = "\
A module whose artifact for x86_64 has about a megabyte is uploaded and deployed to
devices of `farrier-sim`: the agent's own code with its enrolment, login, protocol and
verification, many in one process, without a Wasm runtime. They, the gateway with its
broker and the compiler share one machine. Gateway and devices are built with the
profile `measured`, which is a release with more code generation units. MQTT is on
loopback, as `mqtt://`.

- *published*: the gateway's messages with blocks, with their topics.
- *written*: what the devices together received, which is what the broker wrote to
  them: every MQTT packet with a message, headers and manifests too, but not the
  packets that only acknowledge.
- *received*: the same for one device. Each lacks the whole artifact.
- *upload to verified*: from before the upload until the last device has every byte
  on its disk, its hash checked, and gives it to a worker; it contains the compile job
  and the gateway's check. *manifest to verified* begins at the first manifest that a
  device got.
- *raw*: as many bytes, in as many messages of the same quality of service (0),
  published at once by one client to as many subscribers that only count them, through
  the same broker with the same limits in a process of its own, in the same run. That
  is another process than the gateway's, because nobody but the gateway may publish
  there.
- *compressed*: blocks compressed in transit, the default. Where it says no, the
  gateway's `compress_blocks = false` shows what the protocol itself costs.
- *memory*: resident, after the delivery. The broker is inside the gateway's process,
  so that one figure is for both. All devices are in one other process.
- *load*: the machine's load average when the delivery began, and when the raw run
  ended. Above the number of processors, others used them too.
";

/// What it is compared with, at this many devices.
const GOALS_AT: usize = 1_000;

/// What a row is held against.
struct Goal {
    what: &'static str,
    limit: f64,
    of: fn(&Row) -> f64,
}

const GOALS: [Goal; 4] = [
    Goal { what: "published ÷ size", limit: 1.2, of: Row::published_ratio },
    Goal { what: "written ÷ (N × size)", limit: 1.1, of: Row::written_ratio },
    Goal { what: "most that one received ÷ size", limit: 1.3, of: Row::received_max_ratio },
    Goal { what: "time ÷ raw", limit: 3.0, of: Row::time_ratio },
];

pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| devices | compressed | artifact | published | × size | blocks to all, to one | written | × N × size | received: median, max | max × size | repeated blocks | connected again | upload to verified | manifest to verified | raw | time × raw | memory: gateway with broker, all devices | load |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        text += &format!(
            "| {} | {} | {} | {} | {:.3} | {}, {} | {} | {:.3} | {}, {} | {:.3} | {} | {} | {:.2} s | {:.2} s | {:.2} s | {:.2} | {} MB, {} MB | {:.1}, {:.1} |\n",
            row.devices,
            if row.compressed { "yes" } else { "no" },
            row.artifact_bytes,
            row.published_bytes,
            row.published_ratio(),
            row.shared_blocks,
            row.own_blocks,
            row.received_bytes,
            row.written_ratio(),
            row.received_median,
            row.received_max,
            row.received_max_ratio(),
            row.repeated_blocks,
            row.reconnections,
            row.from_upload.as_secs_f64(),
            row.from_manifest.as_secs_f64(),
            row.raw.as_secs_f64(),
            row.time_ratio(),
            row.gateway_rss_bytes / 1_000_000,
            row.sim_rss_bytes / 1_000_000,
            row.load.0,
            row.load.1,
        );
    }
    text
}

/// Of the rows with as many devices as the goals are for.
pub fn goals(rows: &[Row]) -> String {
    let mut text =
        String::from("| goal | limit | compressed | measured | |\n|---|---|---|---|---|\n");
    for goal in GOALS {
        for row in rows.iter().filter(|row| row.devices == GOALS_AT) {
            let measured = (goal.of)(row);
            text += &format!(
                "| {} | ≤ {:.1} | {} | {measured:.3} | {} |\n",
                goal.what,
                goal.limit,
                if row.compressed { "yes" } else { "no" },
                if measured <= goal.limit { "met" } else { "**not met**" },
            );
        }
    }
    text
}

pub fn write(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let sizes: Vec<String> = sizes(rows).iter().map(usize::to_string).collect();
    let page = format!(
        "{TITLE}\n`cargo xtask bench delivery --devices {}`, {}, {}.\n\n{METHOD}\n\
         Goals at {GOALS_AT} devices:\n\n{}\nEverything that was measured:\n\n{}",
        sizes.join(","),
        harness::commit_and_date()?,
        harness::machine()?,
        goals(rows),
        table(rows),
    );
    std::fs::write(path, page).context("write the page")
}

fn sizes(rows: &[Row]) -> Vec<usize> {
    let mut sizes: Vec<usize> = rows.iter().map(|row| row.devices).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}
