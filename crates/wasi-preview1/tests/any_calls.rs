//! Whatever a program calls with whatever arguments: nothing panics, nothing outside of its
//! directories is read or changed, nothing is written that may not be, and no quota is
//! exceeded.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use wasi_preview1::{Dir, End, Memory, OutOfBounds, Program, Root, Stream, World};
use worker_protocol::{WasiCall, WasiGrants, WasiOutput};

const SECRET: &[u8] = b"the key of the device";
const PUBLIC: &[u8] = b"for everybody";
const QUOTA_BYTES: u64 = 20_000;
/// What the quota counts for a name.
const ENTRY_BYTES: u64 = 256;
const MEMORY_BYTES: usize = 65_536;

/// Where the paths are in the guest's memory, one every 64 bytes.
const PATHS: &[&str] = &[
    ".",
    "..",
    "a",
    "new",
    "new/b",
    "sub",
    "sub/deep",
    "sub/../a",
    "../outside/secret",
    "sub/../../outside/secret",
    "/outside/secret",
    "/etc/passwd",
    "out",
    "out/secret",
    "loop",
    "abs",
    "../common/public",
    "link",
    "a/",
    "sub/",
    "./a",
    "sub/./deep",
    "up/outside/secret",
    "",
    "..\u{0}",
    "fifo",
];
const PATH_STEP: u32 = 64;
/// An `iovec` here names the buffer after it.
const VECTOR_AT: u32 = 4_096;
const BUFFER_AT: u32 = 8_192;

struct Bytes(Vec<u8>);

impl Memory for Bytes {
    fn slice(&mut self, address: u32, len: u32) -> Result<&mut [u8], OutOfBounds> {
        let end = (address as usize).checked_add(len as usize);
        let range = end.and_then(|end| self.0.get_mut(address as usize..end));
        range.ok_or(OutOfBounds { address, len })
    }
}

struct Still;

impl World for Still {
    fn monotonic_ns(&mut self) -> u64 {
        5
    }

    fn wall_ns(&mut self) -> u64 {
        7
    }

    fn random(&mut self, place: &mut [u8]) -> Result<(), String> {
        place.fill(9);
        Ok(())
    }

    fn wait(&mut self, _: Duration) {}

    fn write(&mut self, _: Stream, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// A tree with what must stay out of reach beside two directories: one of the program's
/// own, with links that lead out, and one that it may only read.
fn make_tree(at: &Path) {
    for folder in ["outside", "private/sub", "common"] {
        fs::create_dir_all(at.join(folder)).unwrap();
    }
    fs::write(at.join("outside/secret"), SECRET).unwrap();
    fs::write(at.join("common/public"), PUBLIC).unwrap();
    fs::write(at.join("private/a"), b"own").unwrap();
    fs::write(at.join("private/sub/deep"), b"deeper").unwrap();
    let link = |target: &Path, name: &str| {
        std::os::unix::fs::symlink(target, at.join("private").join(name)).unwrap();
    };
    link(Path::new("../outside"), "out");
    link(Path::new("loop"), "loop");
    link(&at.join("outside/secret"), "abs");
    link(Path::new("a"), "link");
    link(Path::new(".."), "up");
    let secret_for_readers = at.join("common/out");
    std::os::unix::fs::symlink("../outside", secret_for_readers).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let (fifo, kind) = (at.join("common/fifo"), rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
}

fn open(path: &Path) -> Rc<Dir> {
    Rc::new(Dir::from_std_file(fs::File::open(path).unwrap()))
}

fn program(at: &Path) -> Program {
    let roots = vec![
        Root::new(open(&at.join("private")), "/data", Some(QUOTA_BYTES), true),
        Root::new(open(&at.join("common")), "/common", None, false),
    ];
    let grants = WasiGrants {
        arguments: vec!["x".into()],
        environment: vec!["A=b".into()],
        output: WasiOutput::Log,
        clock: true,
        random: true,
        ..WasiGrants::default()
    };
    Program::new("program", &grants, roots)
}

fn memory() -> Bytes {
    let mut bytes = vec![0; MEMORY_BYTES];
    for (path, index) in PATHS.iter().zip(0..) {
        let at = (index * PATH_STEP) as usize;
        bytes[at..at + path.len()].copy_from_slice(path.as_bytes());
    }
    for (number, at) in [(BUFFER_AT, VECTOR_AT), (512, VECTOR_AT + 4)] {
        bytes[at as usize..at as usize + 4].copy_from_slice(&number.to_le_bytes());
    }
    Bytes(bytes)
}

/// Names and contents below a folder, without following links.
fn content(at: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![at.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let content = match kind {
                kind if kind.is_dir() => {
                    folders.push(path.clone());
                    b"folder".to_vec()
                }
                kind if kind.is_symlink() => {
                    fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
                }
                kind if kind.is_file() => fs::read(&path).unwrap(),
                _ => b"other".to_vec(),
            };
            found.insert(path.strip_prefix(at).unwrap().display().to_string(), content);
        }
    }
    found
}

fn used_bytes(content: &BTreeMap<String, Vec<u8>>) -> u64 {
    content
        .values()
        .map(|bytes| if bytes == b"folder" { 0 } else { bytes.len() as u64 } + ENTRY_BYTES)
        .sum()
}

/// Mostly numbers that mean something to some function: descriptors, flags, the places of
/// paths and their lengths, rights, and sizes up to those of other worlds.
fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..9,
        6 => (0..PATHS.len() as u64).prop_map(|index| index * u64::from(PATH_STEP)),
        3 => 0u64..30,
        2 => Just(u64::from(VECTOR_AT)),
        2 => Just(u64::from(BUFFER_AT)),
        2 => Just(u64::MAX),
        1 => Just(1_000_000),
        1 => Just(i64::MAX as u64),
        1 => (0u64..64).prop_map(|bit| 1 << bit),
        1 => any::<u64>(),
    ]
}

fn call() -> impl Strategy<Value = (WasiCall, Vec<u64>)> {
    let any_call = (0..WasiCall::ALL.len(), prop::collection::vec(argument(), 9));
    // What only a right combination reaches: a path by its place and length, opened for all.
    let path = || 0..PATHS.len();
    let at = |index: usize| (index as u64 * u64::from(PATH_STEP), PATHS[index].len() as u64);
    let opened =
        (3u64..8, path(), 0u64..16, any::<bool>()).prop_map(move |(fd, path, flags, follow)| {
            let (address, len) = at(path);
            let args = vec![fd, follow.into(), address, len, flags, u64::MAX, u64::MAX, 0, 16];
            (WasiCall::PathOpen, args)
        });
    let written = (3u64..10, any::<bool>()).prop_map(|(fd, writes)| {
        let call = if writes { WasiCall::FdWrite } else { WasiCall::FdRead };
        (call, vec![fd, VECTOR_AT.into(), 1, 16])
    });
    let two_paths = (3u64..6, 3u64..6, path(), path(), 0u8..3).prop_map(
        move |(from, to, first, second, which)| {
            let ((a, a_len), (b, b_len)) = (at(first), at(second));
            match which {
                0 => (WasiCall::PathRename, vec![from, a, a_len, to, b, b_len]),
                1 => (WasiCall::PathLink, vec![from, 0, a, a_len, to, b, b_len]),
                _ => (WasiCall::PathSymlink, vec![a, a_len, to, b, b_len]),
            }
        },
    );
    let one_path = (3u64..6, path(), 0u8..4).prop_map(move |(fd, path, which)| {
        let (a, len) = at(path);
        match which {
            0 => (WasiCall::PathCreateDirectory, vec![fd, a, len]),
            1 => (WasiCall::PathUnlinkFile, vec![fd, a, len]),
            2 => (WasiCall::PathRemoveDirectory, vec![fd, a, len]),
            _ => (WasiCall::PathReadlink, vec![fd, a, len, BUFFER_AT.into(), 512, 16]),
        }
    });
    prop_oneof![
        3 => any_call.prop_map(|(index, args)| (WasiCall::ALL[index], args)),
        4 => opened,
        3 => written,
        2 => two_paths,
        2 => one_path,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_calls_get_out_of_the_directories_or_beyond_the_quota(
        calls in prop::collection::vec(call(), 1..40)
    ) {
        let tree = tempfile::tempdir().unwrap();
        make_tree(tree.path());
        let of = |folder: &str| content(&tree.path().join(folder));
        let (outside, common) = (of("outside"), of("common"));
        let (mut program, mut bytes) = (program(tree.path()), 0);
        let mut memory = memory();
        for (call, args) in &calls {
            let outcome = program.call(*call, args, &mut memory, &mut Still, &mut bytes);
            if let Ok(errno) = outcome {
                prop_assert!(errno <= 76, "{call:?} answers {errno}");
            }
            if let Err(End::Exit(_)) = outcome {
                prop_assert_eq!(*call, WasiCall::ProcExit);
            }
        }
        prop_assert_eq!(&of("outside"), &outside);
        prop_assert_eq!(&of("common"), &common);
        let has_secret = memory.0.windows(SECRET.len()).any(|window| window == SECRET);
        prop_assert!(!has_secret, "what is outside was read");
        let private = of("private");
        prop_assert!(used_bytes(&private) <= QUOTA_BYTES, "{} bytes", used_bytes(&private));
        let beside: Vec<_> = fs::read_dir(tree.path()).unwrap().collect();
        prop_assert_eq!(beside.len(), 3, "nothing new beside the directories");
    }
}

/// That the test above could see something: the same helpers do read and write what may be.
#[test]
fn what_is_granted_is_reached() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let (mut program, mut memory) = (program(tree.path()), memory());
    let path = |name: &str| PATHS.iter().position(|path| *path == name).unwrap() as u64;
    let mut call = |call: WasiCall, args: &[u64]| {
        program.call(call, args, &mut memory, &mut Still, &mut 0).unwrap()
    };
    let mut open = |fd: u64, name: &str, flags: u64, rights: u64| {
        let args = [fd, 1, path(name) * 64, name.len() as u64, flags, rights, u64::MAX, 0, 16];
        call(WasiCall::PathOpen, &args)
    };
    let (read, write) = (1 << 1, 1 << 6);
    assert_eq!(open(3, "new", 1, u64::MAX), 0);
    assert_eq!(open(3, "sub/../a", 0, read), 0);
    assert_eq!(open(3, "link", 0, read), 0);
    for out in ["out/secret", "abs", "up/outside/secret", "../outside/secret", "/etc/passwd"] {
        assert_eq!(open(3, out, 0, read), 76, "{out}");
    }
    assert_eq!(open(3, "loop", 0, read), 32);
    assert_eq!(open(4, "new", 1, read | write), 69, "the other may only be read");
    assert_eq!(open(4, "fifo", 0, read), 58, "and does not wait for a pipe's other end");
    // The new file is descriptor 5; its vector has 512 bytes.
    for _ in 0..30 {
        call(WasiCall::FdWrite, &[5, VECTOR_AT.into(), 1, 16]);
    }
    assert_eq!(fs::metadata(tree.path().join("private/new")).unwrap().len(), 30 * 512);
    assert_eq!(call(WasiCall::FdFilestatSetSize, &[5, 1 << 40]), 19);
    let mut written = 0;
    while call(WasiCall::FdWrite, &[5, VECTOR_AT.into(), 1, 16]) == 0 {
        written += 1;
        assert!(written < 100, "the quota has no end");
    }
    // A file that has no name any more counts until it is closed. (How much of the quota
    // was left over depends on the length of a path that a link names.)
    let name = path("new") * 64;
    assert_eq!(call(WasiCall::PathUnlinkFile, &[3, name, 3]), 0);
    assert_eq!(call(WasiCall::FdFilestatSetSize, &[5, 20_000]), 19);
    assert_eq!(call(WasiCall::FdClose, &[5]), 0);
    let again = [3, 1, name, 3, 1, u64::MAX, u64::MAX, 0, 16];
    assert_eq!(call(WasiCall::PathOpen, &again), 0);
    assert_eq!(call(WasiCall::FdFilestatSetSize, &[5, 15_000]), 0);
    // Nothing is renamed or linked from one directory to another.
    let public = path("../common/public") * 64 + 10;
    assert_eq!(call(WasiCall::PathLink, &[4, 0, public, 6, 3, path("new/b") * 64, 3]), 69);
    assert_eq!(call(WasiCall::PathRename, &[3, path("a") * 64, 1, 4, path("new") * 64, 3]), 69);
}

#[test]
fn a_directory_is_listed_by_name_and_again_from_any_entry() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let (mut program, mut memory) = (program(tree.path()), memory());
    let mut names = Vec::new();
    let (mut next, len) = (0, 100u32);
    loop {
        let args = [3, BUFFER_AT.into(), len.into(), next, 16];
        assert_eq!(
            program.call(WasiCall::FdReaddir, &args, &mut memory, &mut Still, &mut 0),
            Ok(0)
        );
        let written = u32::from_le_bytes(memory.0[16..20].try_into().unwrap());
        let buffer = &memory.0[BUFFER_AT as usize..(BUFFER_AT + written) as usize];
        let mut at = 0;
        while at + 24 <= buffer.len() {
            let name_len =
                u32::from_le_bytes(buffer[at + 16..at + 20].try_into().unwrap()) as usize;
            let Some(name) = buffer.get(at + 24..at + 24 + name_len) else { break };
            names.push(String::from_utf8(name.to_vec()).unwrap());
            next = u64::from_le_bytes(buffer[at..at + 8].try_into().unwrap());
            at += 24 + name_len;
        }
        if written < len {
            break;
        }
    }
    assert_eq!(names, [".", "..", "a", "abs", "link", "loop", "out", "sub", "up"]);
}
