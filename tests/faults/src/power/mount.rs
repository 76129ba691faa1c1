//! A mounted disk that is unmounted with its value.

use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Children of a killed process see their closed socket and end.
const UNMOUNT_WITHIN: Duration = Duration::from_secs(20);

/// Why a disk cannot be had here, if it cannot.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it mounts file systems, which only root may".into());
    }
    for path in ["/dev/fuse", "/dev/loop-control", "/usr/sbin/mkfs.ext4"] {
        if !Path::new(path).exists() {
            return Some(format!("there is no {path}"));
        }
    }
    None
}

/// The same for a disk in memory.
pub fn tmpfs_missing() -> Option<String> {
    let is_root = rustix::process::geteuid().is_root();
    (!is_root).then(|| "it mounts file systems, which only root may".into())
}

/// A small disk in memory, unmounted with its value.
pub struct Tmpfs {
    folder: PathBuf,
}

impl Tmpfs {
    pub fn mount(folder: &Path, bytes: u64) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut mount = Command::new("mount");
        let options = format!("size={bytes},mode=0700");
        said(mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder))?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(&self.folder);
    }
}

pub struct Mounted {
    device: String,
    folder: PathBuf,
}

impl Mounted {
    /// Mounts the ext4 in a file by a loop device of its own.
    pub fn start(file: &Path, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut losetup = Command::new("/usr/sbin/losetup");
        let device = said(losetup.args(["--find", "--show"]).arg(file))?;
        let mut mount = Command::new("mount");
        // Data reach the disk as the file system likes; only what a program syncs is
        // sure, and little waits for long.
        mount.args(["-t", "ext4", "-o", "commit=1"]).arg(&device).arg(folder);
        if let Err(error) = said(&mut mount) {
            detach(&device);
            return Err(error);
        }
        Ok(Self { device, folder: folder.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.folder);
        detach(&self.device);
    }
}

fn unmount(folder: &Path) {
    let deadline = Instant::now() + UNMOUNT_WITHIN;
    while let Err(error) = said(Command::new("umount").arg(folder)) {
        if Instant::now() > deadline {
            // It goes when what still looks into it ends.
            eprintln!("{} is left to itself: {error:#}", folder.display());
            let _ = said(Command::new("umount").arg("--lazy").arg(folder));
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn detach(device: &str) {
    let _ = said(Command::new("/usr/sbin/losetup").arg("--detach").arg(device));
}

/// What a program printed, if it ended well.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("start {name}"))?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
