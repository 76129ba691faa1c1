//! A control group for each worker: memory, processor time and the number of threads.
//!
//! Version 2 where its controllers are there for us, else version 1. Nothing here is
//! required: what cannot be set is not claimed, and the report says what is in force.
//! A group is made below the agent's own, so that whoever limits the agent limits its
//! workers as well.

use procfs::process::{MountInfo, Process};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Of the agent's groups; its process id follows.
const PREFIX: &str = "farrier-agent-";

const CPU_PERIOD_US: u64 = 100_000;
/// Beside its linear memory: libraries, heaps, stacks.
const OWN_BYTES: u64 = 32 << 20;
/// The same of a module among others: its instance, tables and counters.
const MODULE_OWN_BYTES: u64 = 64 << 10;
/// The artifact arrives in a frame, is read from it, and becomes code.
const ARTIFACT_COPIES: u64 = 3;
/// The emulator and its translation of everything that runs.
const EMULATOR_BYTES: u64 = 512 << 20;
const TASKS_MAX: u64 = 16;
const EMULATOR_TASKS_MAX: u64 = 64;

/// What one worker may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of linear memory.
    pub memory_bytes_max: u64,
    pub artifact_bytes: u64,
    /// It gets no group for processor time: such groups hold real-time threads back, or
    /// have none, depending on how a kernel was built.
    pub is_real_time: bool,
    /// Of SCHED_FIFO: processor time without a pause after which the kernel ends the process.
    pub rttime_us_max: Option<u64>,
    /// Against other workers; 100 is the usual.
    pub cpu_weight: Option<u16>,
}

impl Room {
    /// Writable memory of the process.
    pub fn data_bytes_max(self) -> u64 {
        self.guest_bytes().saturating_add(OWN_BYTES)
    }

    /// What one module adds to a process that runs others already.
    pub fn module_bytes(self) -> u64 {
        self.guest_bytes().saturating_add(MODULE_OWN_BYTES)
    }

    fn guest_bytes(self) -> u64 {
        let artifact = self.artifact_bytes.saturating_mul(ARTIFACT_COPIES);
        self.memory_bytes_max.saturating_add(artifact)
    }
}

#[derive(Debug)]
pub struct Cgroups {
    /// One directory for each hierarchy, below which the workers' are made.
    parents: Vec<Parent>,
    cpu_percent_max: u64,
    is_emulated: bool,
}

#[derive(Debug)]
struct Parent {
    dir: PathBuf,
    is_v2: bool,
    controller: Controller,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    Memory,
    Cpu,
    Pids,
}

const CONTROLLERS: [(&str, Controller); 3] =
    [("memory", Controller::Memory), ("cpu", Controller::Cpu), ("pids", Controller::Pids)];

impl Cgroups {
    /// Makes the agent's groups where that is allowed.
    pub fn new(cpu_percent_max: u64, is_emulated: bool) -> Self {
        let parents = find_parents().unwrap_or_else(|e| {
            tracing::info!("no control groups for the workers: {e}");
            Vec::new()
        });
        Self { parents, cpu_percent_max, is_emulated }
    }

    /// Without any, for tests and where they are not wanted.
    pub fn none() -> Self {
        Self { parents: Vec::new(), cpu_percent_max: 0, is_emulated: false }
    }

    /// Puts a process that has just begun into a group of its own. What is in force.
    /// `data_bytes_max`: of the process, which may be of more modules than the room.
    pub fn admit(&self, name: &str, pid: u32, room: Room, data_bytes_max: u64) -> Vec<String> {
        let mut in_force = Vec::new();
        let is_wanted =
            |parent: &&Parent| !(room.is_real_time && parent.controller == Controller::Cpu);
        for parent in self.parents.iter().filter(is_wanted) {
            let what = parent.controller.name();
            match self.admit_to(parent, name, pid, room, data_bytes_max) {
                Ok(()) => {
                    let version = if parent.is_v2 { 2 } else { 1 };
                    in_force.push(format!("cgroup-v{version}-{what}"));
                }
                Err(e) => tracing::warn!(pid, "no group for {what}: {e}"),
            }
        }
        in_force
    }

    fn admit_to(
        &self,
        parent: &Parent,
        name: &str,
        pid: u32,
        room: Room,
        data_bytes_max: u64,
    ) -> io::Result<()> {
        let dir = parent.dir.join(name);
        match fs::create_dir(&dir) {
            // In version 2 all controllers share one.
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let quota_us = CPU_PERIOD_US * self.cpu_percent_max / 100;
        let emulator_bytes = if self.is_emulated { EMULATOR_BYTES } else { 0 };
        let memory_bytes = data_bytes_max.saturating_add(emulator_bytes);
        let tasks = if self.is_emulated { EMULATOR_TASKS_MAX } else { TASKS_MAX };
        let write = |file: &str, text: String| fs::write(dir.join(file), text);
        match (parent.controller, parent.is_v2) {
            (Controller::Memory, true) => write("memory.max", memory_bytes.to_string())?,
            (Controller::Memory, false) => {
                write("memory.limit_in_bytes", memory_bytes.to_string())?;
            }
            (Controller::Cpu, true) => {
                write("cpu.max", format!("{quota_us} {CPU_PERIOD_US}"))?;
                if let Some(weight) = room.cpu_weight {
                    write("cpu.weight", weight.to_string())?;
                }
            }
            (Controller::Cpu, false) => {
                write("cpu.cfs_period_us", CPU_PERIOD_US.to_string())?;
                write("cpu.cfs_quota_us", quota_us.to_string())?;
                if let Some(weight) = room.cpu_weight {
                    write("cpu.shares", shares_of(weight).to_string())?;
                }
            }
            (Controller::Pids, _) => write("pids.max", tasks.to_string())?,
        }
        write("cgroup.procs", pid.to_string())
    }

    /// Lets a group have what others leave, or what all get again. Kernels before 5.15 know
    /// nothing of the kind.
    pub fn lower(&self, name: &str, is_low: bool) -> io::Result<()> {
        let parent = self.parents.iter().find(|parent| parent.controller == Controller::Cpu);
        let parent = parent.ok_or(io::ErrorKind::NotFound)?;
        // Not made where the kernel has not made it.
        let mut file =
            fs::File::options().write(true).open(parent.dir.join(name).join("cpu.idle"))?;
        io::Write::write_all(&mut file, if is_low { b"1" } else { b"0" })
    }

    /// The process is gone.
    pub fn remove(&self, name: &str) {
        for parent in &self.parents {
            // A group that is not empty yet is swept at the next start of an agent.
            let _ = fs::remove_dir(parent.dir.join(name));
        }
    }
}

/// Version 1 counts from 1,024, and takes no less than 2.
fn shares_of(weight: u16) -> u64 {
    (u64::from(weight) * 1_024 / 100).max(2)
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for parent in &self.parents {
            sweep(&parent.dir);
        }
    }
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

fn find_parents() -> io::Result<Vec<Parent>> {
    let own = Process::myself().map_err(io::Error::other)?;
    let mounts = own.mountinfo().map_err(io::Error::other)?;
    let mut parents = Vec::new();
    for group in own.cgroups().map_err(io::Error::other)? {
        let is_v2 = group.hierarchy == 0;
        let is_its = |mount: &&MountInfo| match is_v2 {
            true => mount.fs_type == "cgroup2",
            false => {
                let has = |name: &String| mount.super_options.contains_key(name.as_str());
                mount.fs_type == "cgroup" && group.controllers.iter().any(has)
            }
        };
        let Some(mount) = mounts.0.iter().find(is_its) else { continue };
        // A container sees a part of the hierarchy only: what its mount shows.
        let path = Path::new(&group.pathname);
        let below = path.strip_prefix(&mount.root).unwrap_or(path);
        let dir = mount.mount_point.join(below.strip_prefix("/").unwrap_or(below));
        let controllers = match is_v2 {
            true => delegated(&dir),
            false => group.controllers.clone(),
        };
        let wanted = CONTROLLERS.iter().filter(|(name, _)| controllers.iter().any(|c| c == name));
        let wanted: Vec<Controller> = wanted.map(|(_, controller)| *controller).collect();
        if wanted.is_empty() {
            continue;
        }
        sweep_dead(&dir);
        let own_dir = dir.join(format!("{PREFIX}{}", std::process::id()));
        match make_parent(&own_dir, is_v2, &wanted) {
            Ok(()) => parents.extend(wanted.into_iter().map(|controller| Parent {
                dir: own_dir.clone(),
                is_v2,
                controller,
            })),
            Err(e) => tracing::info!("no control group {}: {e}", own_dir.display()),
        }
    }
    Ok(parents)
}

/// Controllers that the group above lets its children have.
fn delegated(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn make_parent(dir: &Path, is_v2: bool, controllers: &[Controller]) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    if is_v2 {
        let wanted = controllers.iter().map(|c| format!("+{}", c.name())).collect::<Vec<_>>();
        fs::write(dir.join("cgroup.subtree_control"), wanted.join(" "))?;
    }
    Ok(())
}

/// Removes the groups of agents that are no more.
fn sweep_dead(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            sweep(&entry.path());
        }
    }
}

fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Child, Command, ExitStatus, Stdio};

    /// A shell that waits for a line before it does this.
    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("read go; {script}")]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn go(mut child: Child) -> ExitStatus {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        child.wait().unwrap()
    }

    fn admitted(cgroups: &Cgroups, name: &str, script: &str) -> (Child, Vec<String>) {
        let child = shell(script);
        let room = Room {
            memory_bytes_max: 0,
            artifact_bytes: 0,
            is_real_time: false,
            rttime_us_max: None,
            cpu_weight: Some(50),
        };
        let in_force = cgroups.admit(name, child.id(), room, room.data_bytes_max());
        (child, in_force)
    }

    #[test]
    fn a_group_is_lowered_and_raised_again() {
        let cgroups = Cgroups::new(100, false);
        let (child, in_force) = admitted(&cgroups, "low", "true");
        let parent = cgroups.parents.iter().find(|p| p.controller == Controller::Cpu);
        let file = parent.map(|parent| parent.dir.join("low/cpu.idle"));
        match file.filter(|file| file.exists()) {
            Some(file) => {
                let is_low = || fs::read_to_string(&file).unwrap().trim() == "1";
                assert!(in_force.iter().any(|name| name.ends_with("-cpu")) && !is_low());
                for low in [true, false] {
                    cgroups.lower("low", low).unwrap();
                    assert_eq!(is_low(), low);
                }
            }
            None => assert!(cgroups.lower("low", true).is_err()),
        }
        assert!(cgroups.lower("no-such-group", true).is_err());
        go(child);
    }

    #[test]
    fn what_is_claimed_of_a_group_holds() {
        let mut cgroups = Cgroups::new(50, false);
        let hog = "head -c 300m /dev/zero | tail -c 200m";
        let (child, in_force) = admitted(&cgroups, "hog", hog);
        if in_force.iter().any(|name| name.ends_with("-memory")) {
            assert!(!go(child).success(), "200 MB in a group of 32 MB");
        } else {
            assert!(go(child).success());
        }
        let many =
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1 & done; wait";
        let (child, in_force) = admitted(&cgroups, "many", many);
        let is_limited = in_force.iter().any(|name| name.ends_with("-pids"));
        assert_eq!(go(child).success(), !is_limited);
        // So little that it is too little on the busiest machine.
        cgroups.cpu_percent_max = 2;
        let spin = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done";
        let (child, in_force) = admitted(&cgroups, "spin", spin);
        let limit = cgroups.parents.iter().find(|p| p.controller == Controller::Cpu);
        assert_eq!(in_force.iter().any(|name| name.ends_with("-cpu")), limit.is_some());
        go(child);
        if let Some(parent) = limit {
            let (file, weight) =
                if parent.is_v2 { ("cpu.weight", "50\n") } else { ("cpu.shares", "512\n") };
            let found = fs::read_to_string(parent.dir.join("spin").join(file)).unwrap();
            assert_eq!(found, weight);
            let stat = fs::read_to_string(parent.dir.join("spin/cpu.stat")).unwrap();
            let throttled = stat.lines().find_map(|line| line.strip_prefix("nr_throttled "));
            assert_ne!(
                throttled,
                Some("0"),
                "a fiftieth of a processor, and it wanted a whole one"
            );
        }
        let dirs: Vec<PathBuf> = cgroups.parents.iter().map(|parent| parent.dir.clone()).collect();
        // What the shells have left behind ends within a second.
        let names = ["hog", "many", "spin"];
        let is_empty = || dirs.iter().all(|dir| names.iter().all(|name| !dir.join(name).exists()));
        for _ in 0..200 {
            names.iter().for_each(|name| cgroups.remove(name));
            if is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        drop(cgroups);
        assert!(dirs.iter().all(|dir| !dir.exists()), "{dirs:?}");
    }
}
