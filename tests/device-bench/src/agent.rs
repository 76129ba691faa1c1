//! An agent that is connected over TLS, with none, one and ten modules.

use anyhow::{Context, ensure};
use gateway_api::DeviceSelector;
use harness::{DeviceClass, Fleet, GatewayOptions, Kit, anonymous_bytes, resident_bytes};
use std::path::Path;
use std::time::Duration;

const DEVICE: &str = "demo-x86-64";

/// What a connection leaves behind in buffers has been used by then.
const SETTLES_WITHIN: Duration = Duration::from_secs(15);
/// Three reports.
pub const WATCHED_FOR: Duration = Duration::from_secs(15);

pub struct Measured {
    pub modules: usize,
    pub agent_bytes: u64,
    pub agent_anonymous_bytes: u64,
    /// Resident pages of its program; the rest are those of libraries.
    pub program_bytes: u64,
    /// Of these, in the blocks that it used in [`WATCHED_FOR`] while idle.
    pub program_used_bytes: Option<u64>,
    pub workers_bytes: u64,
}

pub fn measure(kit: &Kit, folder: &Path) -> anyhow::Result<Vec<Measured>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure_fleet(kit, &folder.join("fleet")))
}

async fn measure_fleet(kit: &Kit, data: &Path) -> anyhow::Result<Vec<Measured>> {
    let options = GatewayOptions { mqtt_tls: true, ..GatewayOptions::new(data) };
    let mut fleet = Fleet::start_with(kit.clone(), options)?;
    fleet.add_device(DeviceClass::X86_64).await?;
    let filter = fleet.kit.read_module("sensor-filter.wasm")?;
    let mut measured = vec![measure_now(&mut fleet, 0).await?];
    for count in 1..=10u8 {
        let name = format!("filter-{count}");
        // Other bytes, since the same ones are the same module: a custom section (0) of
        // three bytes with the name `n` and the number.
        let bytes = [filter.as_slice(), &[0, 3, 1, b'n', count]].concat();
        let upload = gateway_client::Upload::from_bytes(bytes);
        let module = fleet.client().push_module(Some(&name), &upload, |_, _| {}).await?.module;
        let new = Fleet::filter_deployment(&name, DeviceSelector::All);
        fleet.client().create_deployment(&new).await?;
        fleet.wait_running(DEVICE, &name, module.version).await?;
        if count == 1 || count == 10 {
            measured.push(measure_now(&mut fleet, count.into()).await?);
        }
    }
    Ok(measured)
}

async fn measure_now(fleet: &mut Fleet, modules: usize) -> anyhow::Result<Measured> {
    tokio::time::sleep(SETTLES_WITHIN).await;
    let agent = fleet.agent(DEVICE)?.process().pid();
    let workers = children_of(agent)?;
    ensure!(workers.len() == modules, "{} workers for {modules} modules", workers.len());
    let each = workers.iter().map(|worker| resident_bytes(*worker));
    let workers_bytes = each.sum::<anyhow::Result<u64>>()?;
    let (agent_bytes, agent_anonymous_bytes) = (resident_bytes(agent)?, anonymous_bytes(agent)?);
    // What was relocated is no longer the file's.
    let relocated_bytes = of_program(agent, "Anonymous:")?;
    let program_bytes = of_program(agent, "Rss:")?.saturating_sub(relocated_bytes);
    let program_used_bytes = match modules {
        0 => {
            // Forgets which pages were used (proc(5)).
            std::fs::write(format!("/proc/{agent}/clear_refs"), "1").context("clear_refs")?;
            tokio::time::sleep(WATCHED_FOR).await;
            Some(of_program(agent, "Referenced:")?)
        }
        _ => None,
    };
    Ok(Measured {
        modules,
        agent_bytes,
        agent_anonymous_bytes,
        program_bytes,
        program_used_bytes,
        workers_bytes,
    })
}

/// The sum of a figure over the parts of a process's memory that are its program.
fn of_program(pid: u32, figure: &str) -> anyhow::Result<u64> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"))?;
    let program = program.to_str().context("the program's path")?;
    let path = format!("/proc/{pid}/smaps");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let (mut is_program, mut kib) = (false, 0);
    for line in text.lines() {
        match line.split_once(char::is_whitespace) {
            Some((name, value)) if name.ends_with(':') => {
                if is_program && name == figure {
                    let value = value.trim().trim_end_matches(" kB");
                    kib += value.parse::<u64>().with_context(|| line.to_owned())?;
                }
            }
            // Addresses, rights, and at the end the file.
            _ => is_program = line.ends_with(program),
        }
    }
    Ok(kib * 1_024)
}

fn children_of(process: u32) -> anyhow::Result<Vec<u32>> {
    let mut children = vec![];
    for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let path = entry?.path().join("children");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        children.extend(text.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    Ok(children)
}
