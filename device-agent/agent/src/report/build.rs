//! What this device runs, by version and by the bytes of the files.

use device_protocol::{BuildReport, FileBuild};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use worker_protocol::Hello;

/// Longer than any agent or runtime; a path to something endless is not hashed.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Without the files' hashes.
pub fn of_hello(hello: &Hello) -> BuildReport {
    BuildReport {
        agent: FileBuild { version: crate::AGENT.to_owned(), sha256_start: None },
        runtime: FileBuild { version: hello.runtime.clone(), sha256_start: None },
        wamr_version: hello.wamr_version.clone(),
        aot_version: hello.aot_version,
        target: hello.target.clone(),
        bounds_checks: hello.bounds_checks.clone(),
    }
}

/// Reads both programs. Takes some milliseconds, so it is done once, beside the loop.
pub fn add_hashes(builds: &mut BuildReport, runtime: &Path) {
    builds.agent.sha256_start = std::env::current_exe().ok().and_then(|path| hash_start(&path));
    builds.runtime.sha256_start = hash_start(runtime);
}

fn hash_start(path: &Path) -> Option<[u8; 8]> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file()))?;
    let mut file = file.take(FILE_BYTES_MAX + 1);
    let (mut hasher, mut read_bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => break,
            len => {
                hasher.update(&buffer[..len]);
                read_bytes += len as u64;
            }
        }
    }
    let hash = hasher.finalize();
    (read_bytes <= FILE_BYTES_MAX).then(|| hash.first_chunk().copied())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_the_start_of_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        assert_eq!(hash_start(&path), None);
        assert_eq!(hash_start(dir.path()), None, "a directory");
        std::fs::write(&path, "abc").unwrap();
        // The test vector of FIPS 180-2.
        assert_eq!(hash_start(&path), Some([0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]));
    }
}
