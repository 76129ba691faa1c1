//! Backups: one file with everything that a gateway needs to be itself again.
//!
//! A tar archive, so that people can look into it:
//!
//! ```text
//! snapshot        every record, as in the journal's snapshots
//! blobs/HASH      modules, artifacts, releases
//! keys/NAME       with --with-keys only
//! contents        CBOR: the place in the journal, and size and SHA-256 of each file
//! ```
//!
//! It is made from the journal's files, which another process may be writing: what it
//! holds is the state after some record, whole. Blobs are never deleted and are there
//! before the record that names them. `contents` comes last, so an archive that was
//! cut off is known by its absence.

use super::journal::{Entries, Journal, JournalError, JournalLimits, NewRecord, Reader};
use super::journal::{read_snapshot, to_snapshot};
use super::note::{GATEWAY, Note};
use super::{Blobs, FileBlobs, Records};
use audit_chain::{Action, Position};
use durable_disk::{Disk, RealDisk, sync_dir};
use minicbor::{Decode, Encode};
use module_package::BlobId;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BACKUP_VERSION: u32 = 1;
const CONTENTS: &str = "contents";
const SNAPSHOT: &str = "snapshot";
/// Of one file in an archive: the largest snapshot or module that makes sense.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{operation} {path}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the backup {path} is not whole: {what}. Nothing was restored; use another one")]
    Damaged { path: PathBuf, what: String },
    #[error("the data directory {path} is not empty; restore into a new one")]
    NotEmpty { path: PathBuf },
    #[error("blob {0} is missing or damaged in the data directory, and a record names it")]
    Blob(BlobId),
    #[error("there are no keys in {0}")]
    NoKeys(PathBuf),
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct Contents {
    #[n(0)]
    version: u32,
    #[n(1)]
    made_at_ms: u64,
    #[n(2)]
    seq: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    hash: [u8; 32],
    #[n(4)]
    files: Vec<FileSum>,
}

#[derive(Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct FileSum {
    #[n(0)]
    name: String,
    #[n(1)]
    bytes: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    hash: [u8; 32],
}

/// What a backup holds.
#[derive(Debug)]
pub struct BackupSummary {
    pub made_at_ms: u64,
    pub place: Position,
    pub entries: usize,
    pub blobs: usize,
    pub keys: usize,
}

fn io_error<'a>(operation: &'static str, path: &'a Path) -> impl Fn(io::Error) -> BackupError + 'a {
    move |source| BackupError::Io { operation, path: path.to_owned(), source }
}

/// Writes a backup of a data directory, also of one that a gateway is using.
pub fn make_backup(
    data_dir: &Path,
    to: &Path,
    with_keys: bool,
    now_ms: u64,
) -> Result<BackupSummary, BackupError> {
    let journal = data_dir.join("journal");
    let replayed = replay(&journal)?;
    let snapshot = to_snapshot(replayed.0, &replayed.1);
    let blobs_dir = data_dir.join("blobs");
    let part = to.with_extension("part");
    let mut options = fs::OpenOptions::new();
    // Beside records it may hold keys.
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&part);
    let mut archive = Archive {
        tar: tar::Builder::new(file.map_err(io_error("write", &part))?),
        path: &part,
        files: vec![],
    };
    archive.add(SNAPSHOT, &snapshot)?;
    let named = blobs_named_by(&replayed.1)?;
    for (blob, is_needed) in &named {
        match read_blob(&blobs_dir, *blob) {
            Some(bytes) => archive.add(&format!("blobs/{blob}"), &bytes)?,
            // An artifact can be compiled again; a module cannot.
            None if *is_needed => return Err(BackupError::Blob(*blob)),
            None => tracing::warn!(%blob, "a blob that can be made again is missing, and left out"),
        }
    }
    let mut keys = 0;
    if with_keys {
        let dir = data_dir.join("keys");
        for entry in fs::read_dir(&dir).map_err(io_error("list", &dir))? {
            let path = entry.map_err(io_error("list", &dir))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            archive
                .add(&format!("keys/{name}"), &fs::read(&path).map_err(io_error("read", &path))?)?;
            keys += 1;
        }
        if keys == 0 {
            return Err(BackupError::NoKeys(dir));
        }
    }
    let blobs = archive.files.iter().filter(|file| file.name.starts_with("blobs/")).count();
    archive.finish(replayed.0, now_ms)?;
    fs::rename(&part, to).map_err(io_error("name", to))?;
    let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_dir(parent).map_err(io_error("sync", parent))?;
    let entries = replayed.1.len();
    Ok(BackupSummary { made_at_ms: now_ms, place: replayed.0, entries, blobs, keys })
}

/// Again where a running gateway has removed a file between listing and reading it.
fn replay(journal: &Path) -> Result<(Position, Entries), BackupError> {
    let mut last = None;
    for _ in 0..3 {
        match (Reader { disk: &RealDisk, dir: journal }).replay() {
            Ok(replayed) if replayed.head.seq > 0 => return Ok((replayed.head, replayed.entries)),
            Ok(_) => break,
            Err(error) => last = Some(error),
        }
    }
    let source = io::Error::from(io::ErrorKind::NotFound);
    let none = JournalError::Io { operation: "find records in", path: journal.to_owned(), source };
    Err(last.unwrap_or(none).into())
}

struct Archive<'a> {
    tar: tar::Builder<File>,
    path: &'a Path,
    files: Vec<FileSum>,
}

impl Archive<'_> {
    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        self.tar.append_data(&mut header, name, bytes).map_err(io_error("write", self.path))?;
        let hash = Sha256::digest(bytes).into();
        self.files.push(FileSum { name: name.to_owned(), bytes: bytes.len() as u64, hash });
        Ok(())
    }

    fn finish(mut self, place: Position, made_at_ms: u64) -> Result<(), BackupError> {
        let files = std::mem::take(&mut self.files);
        let (seq, hash) = (place.seq, place.hash);
        let contents = Contents { version: BACKUP_VERSION, made_at_ms, seq, hash, files };
        // Encoding to memory has no failing case for these field types.
        let contents = minicbor::to_vec(&contents).expect("contents can be encoded");
        self.add(CONTENTS, &contents)?;
        let error = io_error("write", self.path);
        let mut file = self.tar.into_inner().map_err(&error)?;
        file.flush().and_then(|()| file.sync_all()).map_err(error)
    }
}

/// The blobs that records name, and whether they can never be made again.
fn blobs_named_by(entries: &Entries) -> Result<BTreeMap<BlobId, bool>, BackupError> {
    let mut records = Records::default();
    for (key, value) in entries {
        records.add_entry(key, value).map_err(|e| BackupError::Damaged {
            path: PathBuf::from("journal"),
            what: e.to_string(),
        })?;
    }
    let mut named = BTreeMap::new();
    for artifact in &records.artifacts {
        named.insert(BlobId::from(artifact.artifact), false);
    }
    for unsigned in &records.unsigned {
        named.insert(BlobId::from(unsigned.artifact), false);
    }
    for provenance in &records.provenances {
        named.insert(provenance.envelope, false);
    }
    // Devices run these, and a release cannot be signed again where its key is offline.
    for release in &records.releases {
        named.insert(release.release.into(), false);
        named.insert(release.artifact.into(), false);
    }
    for module in &records.modules {
        named.insert(BlobId(module.module.0), true);
    }
    Ok(named)
}

fn read_blob(dir: &Path, blob: BlobId) -> Option<Vec<u8>> {
    let bytes = fs::read(dir.join(blob.to_string())).ok()?;
    (BlobId::of(&bytes) == blob).then_some(bytes)
}

/// Hands each file of a backup on while it is read, and checks all of them at the end.
fn read_backup(
    path: &Path,
    mut take: impl FnMut(&str, &[u8]) -> Result<(), BackupError>,
) -> Result<(Contents, Entries), BackupError> {
    let damaged = |what: String| BackupError::Damaged { path: path.to_owned(), what };
    let mut archive = tar::Archive::new(File::open(path).map_err(io_error("open", path))?);
    let mut found = Vec::new();
    let mut contents: Option<Contents> = None;
    let mut entries = None;
    for file in archive.entries().map_err(|e| damaged(e.to_string()))? {
        let file = file.map_err(|e| damaged(e.to_string()))?;
        let name = file.path().map_err(|e| damaged(e.to_string()))?.to_string_lossy().into_owned();
        if contents.is_some() || !is_expected(&name) {
            return Err(damaged(format!("{name:?} does not belong there")));
        }
        let (size, mut bytes) = (file.size(), Vec::new());
        let read = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
        read.map_err(|e| damaged(format!("{name}: {e}")))?;
        if bytes.len() as u64 != size {
            return Err(damaged(format!("{name} is cut off")));
        }
        match name.as_str() {
            CONTENTS => {
                let read = minicbor::decode(&bytes).map_err(|e| damaged(e.to_string()))?;
                contents = Some(read);
                continue;
            }
            SNAPSHOT => {
                let read =
                    read_snapshot(&bytes).map_err(|what| damaged(format!("{name}: {what}")))?;
                entries = Some(read);
            }
            _ => {}
        }
        let hash = Sha256::digest(&bytes).into();
        take(&name, &bytes)?;
        found.push(FileSum { name, bytes: size, hash });
    }
    let contents = contents.ok_or_else(|| damaged("its end is missing".into()))?;
    if contents.version != BACKUP_VERSION {
        return Err(damaged(format!("it has version {}, of a newer gateway", contents.version)));
    }
    if found != contents.files {
        return Err(damaged("its files are not those that it lists".into()));
    }
    let (place, entries) = entries.ok_or_else(|| damaged("it has no records".into()))?;
    if (place.seq, place.hash) != (contents.seq, contents.hash) {
        return Err(damaged("its records are of another place than it says".into()));
    }
    Ok((contents, entries))
}

/// Only names that this module writes, so no path leads out of the data directory.
fn is_expected(name: &str) -> bool {
    let is_plain = |name: &str| {
        !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match name.split_once('/') {
        None => name == CONTENTS || name == SNAPSHOT,
        Some(("blobs", hash)) => hash.parse::<BlobId>().is_ok(),
        Some(("keys", name)) => !name.is_empty() && is_plain(name),
        Some(_) => false,
    }
}

/// Checks a backup and changes nothing.
pub fn verify_backup(path: &Path) -> Result<BackupSummary, BackupError> {
    let (contents, entries) = read_backup(path, |name, bytes| check_blob(path, name, bytes))?;
    Ok(summary(&contents, &entries))
}

fn check_blob(path: &Path, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
    match name.strip_prefix("blobs/") {
        Some(hash) if BlobId::of(bytes).to_string() != hash => Err(BackupError::Damaged {
            path: path.to_owned(),
            what: format!("{name} has another content than its name says"),
        }),
        _ => Ok(()),
    }
}

fn summary(contents: &Contents, entries: &Entries) -> BackupSummary {
    let count = |prefix| contents.files.iter().filter(|f| f.name.starts_with(prefix)).count();
    BackupSummary {
        made_at_ms: contents.made_at_ms,
        place: Position { seq: contents.seq, hash: contents.hash },
        entries: entries.len(),
        blobs: count("blobs/"),
        keys: count("keys/"),
    }
}

/// Makes a data directory of a backup. The directory is put in place when it is whole.
pub fn restore_backup(
    from: &Path,
    data_dir: &Path,
    now_ms: u64,
) -> Result<BackupSummary, BackupError> {
    let is_used = fs::read_dir(data_dir).is_ok_and(|mut entries| entries.next().is_some());
    if is_used {
        return Err(BackupError::NotEmpty { path: data_dir.to_owned() });
    }
    let disk = RealDisk;
    let part = data_dir.with_extension("restoring");
    if part.exists() {
        fs::remove_dir_all(&part).map_err(io_error("remove", &part))?;
    }
    let keys_dir = part.join("keys");
    for dir in [&part, &keys_dir] {
        disk.create_dir(dir).map_err(io_error("make", dir))?;
    }
    let blobs_dir = part.join("blobs");
    let blobs = FileBlobs::open(&blobs_dir).map_err(io_error("make", &blobs_dir))?;
    let (contents, entries) = read_backup(from, |name, bytes| {
        check_blob(from, name, bytes)?;
        if name.starts_with("blobs/") {
            let put = blobs.put(bytes).map(drop);
            put.map_err(|e| io_error("write", &blobs_dir)(io::Error::other(e)))?;
        } else if let Some(key) = name.strip_prefix("keys/") {
            let path = keys_dir.join(key);
            super::data_dir::write_private(&path, bytes).map_err(io_error("write", &path))?;
        }
        Ok(())
    })?;
    let found = summary(&contents, &entries);
    begin_journal(&part.join("journal"), &found, &entries, now_ms)?;
    sync_dir(&part).map_err(io_error("sync", &part))?;
    if data_dir.exists() {
        fs::remove_dir(data_dir).map_err(io_error("replace", data_dir))?;
    }
    fs::rename(&part, data_dir).map_err(io_error("name", data_dir))?;
    let parent = data_dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_dir(parent).map_err(io_error("sync", parent))?;
    Ok(found)
}

/// The chain goes on behind the backup's last record, and says that it was restored.
fn begin_journal(
    dir: &Path,
    found: &BackupSummary,
    entries: &Entries,
    now_ms: u64,
) -> Result<(), BackupError> {
    let snapshot = to_snapshot(found.place, entries);
    let disk = Arc::new(RealDisk);
    let limits = JournalLimits::default();
    let mut journal = Journal::create_behind(disk, dir, limits, &snapshot, found.place)?;
    let subject = format!("of record {}, made at {} ms", found.place.seq, found.made_at_ms);
    let actions = vec![Action { what: "backup restored".into(), subject }];
    let note = Note { actor: GATEWAY.into(), actions, signatures: vec![] };
    journal.append(vec![NewRecord { time_ms: now_ms, note, entries: vec![] }])?;
    Ok(())
}

/// Whether the blobs that records name are there and whole: how many are, and those
/// that are not.
pub fn verify_blobs(
    data_dir: &Path,
    entries: &Entries,
) -> Result<(usize, Vec<BlobId>), BackupError> {
    let named = blobs_named_by(entries)?;
    let dir = data_dir.join("blobs");
    let bad =
        named.keys().filter(|blob| read_blob(&dir, **blob).is_none()).copied().collect::<Vec<_>>();
    Ok((named.len() - bad.len(), bad))
}

/// Reads the journal of a data directory from end to end.
pub fn verify_data_dir(data_dir: &Path) -> Result<super::Verified, JournalError> {
    super::journal::verify_journal(&RealDisk, &data_dir.join("journal"))
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{check_chain, device};
    use super::super::{Change, LocalStore, Store};
    use super::*;

    fn used_data_dir(dir: &Path) -> LocalStore {
        fs::create_dir_all(dir.join("keys")).unwrap();
        fs::write(dir.join("keys/root.cbor"), b"root").unwrap();
        FileBlobs::open(&dir.join("blobs")).unwrap();
        let store = LocalStore::open(dir, true).unwrap();
        for number in 1..=5 {
            store.commit(&[Change::Device(device(number))]).unwrap();
        }
        store
    }

    #[test]
    fn a_backup_of_a_running_gateway_restores_whole_and_its_chain_goes_on() {
        let work = tempfile::tempdir().unwrap();
        let (old, new, file) =
            (work.path().join("old"), work.path().join("new"), work.path().join("backup"));
        let store = used_data_dir(&old);
        let made = make_backup(&old, &file, false, 7).unwrap();
        assert_eq!((made.entries, made.keys), (6, 0));
        // After the backup; it is not in it.
        store.commit(&[Change::Device(device(9))]).unwrap();
        assert_eq!(verify_backup(&file).unwrap().place, made.place);
        restore_backup(&file, &new, 8).unwrap();
        assert!(fs::read_dir(new.join("keys")).unwrap().next().is_none(), "no key was in it");
        let restored = LocalStore::open(&new, false).unwrap();
        assert_eq!(restored.load().unwrap().devices.len(), 5);
        let page = restored.audit(0, 10).unwrap();
        assert_eq!((page.first_seq, page.heads.len()), (made.place.seq + 1, 1));
        restored.commit(&[Change::Device(device(6))]).unwrap();
        drop(restored);
        verify_data_dir(&new).unwrap();
        check_chain(&store);
        let refused = restore_backup(&file, &new, 9).unwrap_err();
        assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused}");
    }

    #[test]
    fn keys_are_in_a_backup_only_if_asked_for() {
        let work = tempfile::tempdir().unwrap();
        let (old, new, file) =
            (work.path().join("old"), work.path().join("new"), work.path().join("backup"));
        let _store = used_data_dir(&old);
        assert_eq!(make_backup(&old, &file, true, 7).unwrap().keys, 1);
        restore_backup(&file, &new, 8).unwrap();
        assert_eq!(fs::read(new.join("keys/root.cbor")).unwrap(), b"root");
    }

    #[test]
    fn a_damaged_or_cut_backup_is_refused_and_restores_nothing() {
        let work = tempfile::tempdir().unwrap();
        let (old, new, file) =
            (work.path().join("old"), work.path().join("new"), work.path().join("backup"));
        let _store = used_data_dir(&old);
        make_backup(&old, &file, true, 7).unwrap();
        let whole = fs::read(&file).unwrap();
        let expected = verify_backup(&file).unwrap().place;
        for at in (0..whole.len()).step_by(61) {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            fs::write(&file, &damaged).unwrap();
            // Padding between the files is nobody's; all else is noticed.
            match verify_backup(&file) {
                Ok(found) => assert_eq!(found.place, expected, "byte {at}"),
                Err(_) => {
                    restore_backup(&file, &new, 8).unwrap_err();
                    assert!(!new.exists(), "byte {at}");
                }
            }
        }
        for len in (0..whole.len() - 1_024).step_by(97) {
            fs::write(&file, &whole[..len]).unwrap();
            assert!(verify_backup(&file).is_err(), "cut at {len}");
        }
    }
}
