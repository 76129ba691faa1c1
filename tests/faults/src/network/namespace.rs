//! A network namespace that goes with its value.

use anyhow::{Context, ensure};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

const IP: &str = "ip";
const NFT: &str = "/usr/sbin/nft";

/// Why there can be none here, if there can be none.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it makes network namespaces, which only root may".into());
    }
    if !Path::new(NFT).exists() {
        return Some(format!("there is no {NFT}"));
    }
    Namespace::start().err().map(|error| format!("{error:#}"))
}

pub struct Namespace {
    name: String,
    interface: String,
    host: Ipv4Addr,
}

/// Namespaces of this process so far.
static COUNT: AtomicU8 = AtomicU8::new(0);

impl Namespace {
    pub fn start() -> anyhow::Result<Self> {
        let process = std::process::id();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("farrier-{process}-{number}");
        // An interface's name has 15 characters at most.
        let interface = format!("fr{:x}x{number:x}", process & 0xf_ffff);
        // From the process too, because several test runs may meet on a machine.
        let third = (process as u8).wrapping_mul(31).wrapping_add(number);
        let (host, inside) = (Ipv4Addr::new(10, 213, third, 1), Ipv4Addr::new(10, 213, third, 2));
        run(IP, &["netns", "add", &name])?;
        let namespace = Self { name, interface, host };
        let Self { name, interface, .. } = &namespace;
        let peer = ["link", "add", interface, "type", "veth", "peer", "name", "up0"];
        run(IP, &[&peer[..], &["netns", name]].concat())?;
        run(IP, &["address", "add", &format!("{host}/24"), "dev", interface])?;
        run(IP, &["link", "set", interface, "up"])?;
        namespace.inside(IP, &["address", "add", &format!("{inside}/24"), "dev", "up0"])?;
        namespace.inside(IP, &["link", "set", "up0", "up"])?;
        namespace.inside(IP, &["link", "set", "lo", "up"])?;
        let chains = "add table inet faults; \
             add chain inet faults in { type filter hook input priority 0; policy accept; }; \
             add chain inet faults out { type filter hook output priority 0; policy accept; }";
        namespace.inside(NFT, &[chains])?;
        Ok(namespace)
    }

    /// The host's address as those inside reach it.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// What is put before a command line to run it inside.
    pub fn wrapper(&self) -> Vec<String> {
        [IP, "netns", "exec", &self.name].map(str::to_owned).into()
    }

    /// Drops so many packets of a hundred on their way in, out or both.
    pub fn drop_packets(&self, percent: u8, chains: &[&str]) -> anyhow::Result<()> {
        for chain in chains {
            let matching = match percent {
                100.. => String::new(),
                percent => format!("numgen random mod 100 < {percent} "),
            };
            self.inside(NFT, &[&format!("add rule inet faults {chain} {matching}drop")])?;
        }
        Ok(())
    }

    /// Lets so many kilobits a second through in each direction.
    pub fn slow_down(&self, kilobits: u32) -> anyhow::Result<()> {
        let rate = format!("{kilobits}kbit");
        let tbf = ["root", "tbf", "rate", &rate, "burst", "4kb", "latency", "400ms"];
        run("tc", &[&["qdisc", "replace", "dev", &self.interface], &tbf[..]].concat())?;
        self.inside("tc", &[&["qdisc", "replace", "dev", "up0"], &tbf[..]].concat())
    }

    /// A good link again.
    pub fn heal(&self) -> anyhow::Result<()> {
        self.inside(NFT, &["flush table inet faults"])?;
        // An error means that there was none.
        let _ = run("tc", &["qdisc", "del", "dev", &self.interface, "root"]);
        let _ = self.inside("tc", &["qdisc", "del", "dev", "up0", "root"]);
        Ok(())
    }

    fn inside(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        run(IP, &[&["netns", "exec", &self.name, program], arguments].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its interface goes with it, and the other end of that too.
        if let Err(error) = run(IP, &["netns", "del", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("start {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
    Ok(())
}
