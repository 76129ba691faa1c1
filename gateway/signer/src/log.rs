//! The signer's own log: one line a signature, each chained to the one before.
//!
//! ```text
//! <hash> <JSON>\n       hash = SHA-256 of the previous hash, a space, and the JSON
//! ```
//!
//! The first line's previous hash is 64 zeros. A line is on the disk before the
//! signature leaves the process, so every signature that exists is in it. What follows
//! the last line break was cut off by a power cut before its signature was handed out,
//! and is removed at the next start. Whoever can write the file can make another chain:
//! keep the head's hash elsewhere from time to time (`farrier-signer verify-log`).

use anyhow::{Context, bail};
use module_package::BlobId;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Far above what an entry has.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// What is written of a signature.
#[derive(Debug, Serialize)]
pub struct Entry<'e> {
    pub seq: u64,
    /// By the signer's clock, milliseconds since 1970.
    pub time_ms: u64,
    pub release_key: String,
    pub release: String,
    pub app: &'e str,
    pub app_version: u32,
    pub module: String,
    pub artifact: String,
    pub target: &'e str,
    pub developer: Option<String>,
    pub recompiled: bool,
    pub peer_uid: u32,
}

/// How far a log goes.
#[derive(Debug, PartialEq, Eq)]
pub struct LogState {
    pub entries: u64,
    pub head: String,
    /// Of whole lines.
    pub bytes: u64,
    pub torn_bytes: u64,
}

pub struct SignatureLog {
    file: File,
    entries: u64,
    head: String,
}

fn next_hash(previous: &str, json: &str) -> String {
    BlobId::of(format!("{previous} {json}").as_bytes()).to_string()
}

/// Follows the chain from the first line.
pub fn verify(path: &Path) -> anyhow::Result<LogState> {
    let file = File::open(path).with_context(|| format!("open the log {}", path.display()))?;
    let mut reader = BufReader::new(file);
    let mut state = LogState { entries: 0, head: "0".repeat(64), bytes: 0, torn_bytes: 0 };
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(state);
        }
        let number = state.entries + 1;
        if line.pop() != Some(b'\n') {
            if read as u64 == LINE_BYTES_MAX {
                bail!("line {number} of the log is longer than {LINE_BYTES_MAX} bytes");
            }
            state.torn_bytes = read as u64;
            return Ok(state);
        }
        let line = String::from_utf8(line).ok();
        let parts = line.as_deref().and_then(|line| line.split_once(' '));
        let Some((hash, json)) = parts else { bail!("line {number} of the log is no entry") };
        if next_hash(&state.head, json) != hash {
            bail!(
                "line {number} of the log does not follow from the one before: it was changed, or \
                 lines before it were removed"
            );
        }
        state.head = hash.to_owned();
        state.entries = number;
        state.bytes += read as u64;
    }
}

impl SignatureLog {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("open the log {}", path.display()))?;
        let state = verify(path)?;
        if state.torn_bytes > 0 {
            tracing::warn!(bytes = state.torn_bytes, "the log's last entry was cut off; removed");
            file.set_len(state.bytes).context("shorten the log")?;
        }
        file.sync_all().context("sync the log")?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).context("sync the log's folder")?;
        Ok(Self { file, entries: state.entries, head: state.head })
    }

    pub fn next_seq(&self) -> u64 {
        self.entries + 1
    }

    /// Returns when the entry would survive a power cut.
    pub fn append(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        let json = serde_json::to_string(entry).context("write the entry")?;
        let hash = next_hash(&self.head, &json);
        let before = self.file.metadata().context("look at the log")?.len();
        let written = self
            .file
            .write_all(format!("{hash} {json}\n").as_bytes())
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line would break the chain of the next one.
            let _ = self.file.set_len(before);
            return Err(error).context("write the log");
        }
        self.head = hash;
        self.entries += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64) -> Entry<'static> {
        Entry {
            seq,
            time_ms: 1,
            release_key: "k".into(),
            release: "r".into(),
            app: "filter",
            app_version: 1,
            module: "m".into(),
            artifact: "a".into(),
            target: "x86_64-linux",
            developer: None,
            recompiled: false,
            peer_uid: 0,
        }
    }

    fn log_of(count: u64) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signatures.log");
        let mut log = SignatureLog::open(&path).unwrap();
        for _ in 0..count {
            log.append(&entry(log.next_seq())).unwrap();
        }
        (folder, path)
    }

    #[test]
    fn a_log_goes_on_where_it_ended() {
        let (_folder, path) = log_of(2);
        let mut log = SignatureLog::open(&path).unwrap();
        assert_eq!(log.next_seq(), 3);
        log.append(&entry(3)).unwrap();
        let state = verify(&path).unwrap();
        assert_eq!((state.entries, state.torn_bytes), (3, 0));
        assert_eq!(state.head, log.head);
    }

    #[test]
    fn a_changed_removed_or_swapped_line_is_found() {
        let (_folder, path) = log_of(3);
        let good = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = good.lines().collect();
        let joined = |lines: &[&str]| lines.iter().map(|l| format!("{l}\n")).collect::<String>();
        for bad in [
            good.replacen("filter", "filtre", 1),
            joined(&lines[1..]),
            joined(&[lines[0], lines[2]]),
            joined(&[lines[1], lines[0], lines[2]]),
            good.replacen(' ', "", 1),
        ] {
            std::fs::write(&path, &bad).unwrap();
            assert!(verify(&path).is_err(), "{bad}");
            assert!(SignatureLog::open(&path).is_err());
        }
    }

    #[test]
    fn an_entry_that_was_cut_off_is_removed_and_the_chain_goes_on() {
        let (_folder, path) = log_of(2);
        let whole = std::fs::read(&path).unwrap();
        let second = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in second + 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut log = SignatureLog::open(&path).unwrap();
            assert_eq!(log.next_seq(), 2, "cut at {cut}");
            log.append(&entry(2)).unwrap();
            assert_eq!(verify(&path).unwrap().entries, 2);
        }
    }
}
