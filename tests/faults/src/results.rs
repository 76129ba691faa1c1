//! What each seed gave, one line of JSON each, so that a run can stop anywhere and
//! the next one goes on.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub kind: String,
    pub seed: u64,
    pub faults: u64,
    /// What the oracle found.
    pub violation: Option<String>,
    pub ms: u64,
    pub commit: String,
    /// Day, as `2026-11-27`.
    pub date: String,
}

/// The results below a folder, a file for each kind.
#[derive(Debug, Clone)]
pub struct Results {
    folder: PathBuf,
}

impl Results {
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("make the folder {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{kind}.jsonl"))
    }

    /// The last result of each seed of a kind. A line that a kill tore is left out.
    pub fn read(&self, kind: &str) -> BTreeMap<u64, Entry> {
        let text = std::fs::read_to_string(self.file(kind)).unwrap_or_default();
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        entries.map(|entry| (entry.seed, entry)).collect()
    }

    pub fn add(&self, entry: &Entry) -> anyhow::Result<()> {
        let path = self.file(&entry.kind);
        let line = format!("{}\n", serde_json::to_string(entry)?);
        let file = File::options().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.with_context(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_result_of_a_seed_counts_and_torn_lines_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results::open(folder.path()).unwrap();
        let mut entry = Entry {
            kind: "k".into(),
            seed: 7,
            faults: 0,
            violation: Some("lost".into()),
            ms: 5,
            commit: "abc".into(),
            date: "2026-11-27".into(),
        };
        results.add(&entry).unwrap();
        entry.violation = None;
        entry.faults = 3;
        results.add(&entry).unwrap();
        let file = folder.path().join("k.jsonl");
        let mut text = std::fs::read(&file).unwrap();
        text.extend(b"{\"kind\":\"k\",\"seed\":8,\"fau");
        std::fs::write(&file, text).unwrap();
        assert_eq!(results.read("k"), BTreeMap::from([(7, entry)]));
        assert!(results.read("other").is_empty());
    }
}
