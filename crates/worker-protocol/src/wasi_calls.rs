//! The functions of WASI preview 1: numbers, names and types, all of them.
//!
//! As with the guest API, the worker registers them by this table, the gateway compares
//! uploads with it, and figures of calls travel by number. Order and types are those of
//! `wasi_snapshot_preview1.witx`, lowered to core WebAssembly: what is returned beside
//! the errno goes through a pointer, and all of them but one return the errno.

use crate::call_table::call_table;
use std::collections::BTreeSet;

/// What all of them are imported from.
pub const WASI_MODULE: &str = "wasi_snapshot_preview1";

/// What a program exports: called once, it runs to its end. `() -> ()`.
pub const WASI_START: &str = "_start";
/// What a module that is not a program may export, called before anything else of it.
pub const WASI_INITIALIZE: &str = "_initialize";

/// The first of their numbers; those below are of the guest API.
const NUMBER_BASE: u8 = 128;

call_table! {
    /// One function of WASI preview 1.
    WasiCall of WASI_MODULE {
        0 ArgsGet "args_get" (I32 I32) -> I32;
        1 ArgsSizesGet "args_sizes_get" (I32 I32) -> I32;
        2 EnvironGet "environ_get" (I32 I32) -> I32;
        3 EnvironSizesGet "environ_sizes_get" (I32 I32) -> I32;
        4 ClockResGet "clock_res_get" (I32 I32) -> I32;
        5 ClockTimeGet "clock_time_get" (I32 I64 I32) -> I32;
        6 FdAdvise "fd_advise" (I32 I64 I64 I32) -> I32;
        7 FdAllocate "fd_allocate" (I32 I64 I64) -> I32;
        8 FdClose "fd_close" (I32) -> I32;
        9 FdDatasync "fd_datasync" (I32) -> I32;
        10 FdFdstatGet "fd_fdstat_get" (I32 I32) -> I32;
        11 FdFdstatSetFlags "fd_fdstat_set_flags" (I32 I32) -> I32;
        12 FdFdstatSetRights "fd_fdstat_set_rights" (I32 I64 I64) -> I32;
        13 FdFilestatGet "fd_filestat_get" (I32 I32) -> I32;
        14 FdFilestatSetSize "fd_filestat_set_size" (I32 I64) -> I32;
        15 FdFilestatSetTimes "fd_filestat_set_times" (I32 I64 I64 I32) -> I32;
        16 FdPread "fd_pread" (I32 I32 I32 I64 I32) -> I32;
        17 FdPrestatGet "fd_prestat_get" (I32 I32) -> I32;
        18 FdPrestatDirName "fd_prestat_dir_name" (I32 I32 I32) -> I32;
        19 FdPwrite "fd_pwrite" (I32 I32 I32 I64 I32) -> I32;
        20 FdRead "fd_read" (I32 I32 I32 I32) -> I32;
        21 FdReaddir "fd_readdir" (I32 I32 I32 I64 I32) -> I32;
        22 FdRenumber "fd_renumber" (I32 I32) -> I32;
        23 FdSeek "fd_seek" (I32 I64 I32 I32) -> I32;
        24 FdSync "fd_sync" (I32) -> I32;
        25 FdTell "fd_tell" (I32 I32) -> I32;
        26 FdWrite "fd_write" (I32 I32 I32 I32) -> I32;
        27 PathCreateDirectory "path_create_directory" (I32 I32 I32) -> I32;
        28 PathFilestatGet "path_filestat_get" (I32 I32 I32 I32 I32) -> I32;
        29 PathFilestatSetTimes "path_filestat_set_times" (I32 I32 I32 I32 I64 I64 I32) -> I32;
        30 PathLink "path_link" (I32 I32 I32 I32 I32 I32 I32) -> I32;
        31 PathOpen "path_open" (I32 I32 I32 I32 I32 I64 I64 I32 I32) -> I32;
        32 PathReadlink "path_readlink" (I32 I32 I32 I32 I32 I32) -> I32;
        33 PathRemoveDirectory "path_remove_directory" (I32 I32 I32) -> I32;
        34 PathRename "path_rename" (I32 I32 I32 I32 I32 I32) -> I32;
        35 PathSymlink "path_symlink" (I32 I32 I32 I32 I32) -> I32;
        36 PathUnlinkFile "path_unlink_file" (I32 I32 I32) -> I32;
        37 PollOneoff "poll_oneoff" (I32 I32 I32 I32) -> I32;
        38 ProcExit "proc_exit" (I32);
        39 ProcRaise "proc_raise" (I32) -> I32;
        40 SchedYield "sched_yield" () -> I32;
        41 RandomGet "random_get" (I32 I32) -> I32;
        42 SockAccept "sock_accept" (I32 I32 I32) -> I32;
        43 SockRecv "sock_recv" (I32 I32 I32 I32 I32 I32) -> I32;
        44 SockSend "sock_send" (I32 I32 I32 I32 I32) -> I32;
        45 SockShutdown "sock_shutdown" (I32 I32) -> I32;
    }
}

impl WasiCall {
    /// Where it is in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// In figures of calls; distinct from every number of the guest API.
    pub fn number(self) -> u8 {
        NUMBER_BASE + self as u8
    }

    /// `None` for a function that this build does not know.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number.checked_sub(NUMBER_BASE)?)).copied()
    }
}

/// What is granted one by one, and some functions are of no use without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WasiCapability {
    Arguments,
    Environment,
    Stdout,
    Clock,
    Random,
    Directories,
    /// There are none to grant: what imports them has to be told so.
    Sockets,
}

impl WasiCapability {
    /// The field that grants it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Environment => "environment",
            Self::Stdout => "stdout",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Directories => "directories",
            Self::Sockets => "sockets",
        }
    }

    /// Of a module that imports these functions, given as `wasi_snapshot_preview1.fd_write`;
    /// others are passed over.
    pub fn needed_by<'a>(imports: impl IntoIterator<Item = &'a str>) -> BTreeSet<Self> {
        let calls = imports.into_iter().filter_map(WasiCall::from_import_name);
        calls.filter_map(WasiCall::capability).collect()
    }
}

impl WasiCall {
    /// What it is imported for. Functions on descriptors say nothing: the start of every
    /// program looks for open ones.
    pub fn capability(self) -> Option<WasiCapability> {
        match self {
            Self::ArgsGet => Some(WasiCapability::Arguments),
            Self::EnvironGet => Some(WasiCapability::Environment),
            Self::FdWrite => Some(WasiCapability::Stdout),
            Self::ClockResGet | Self::ClockTimeGet | Self::PollOneoff => {
                Some(WasiCapability::Clock)
            }
            Self::RandomGet => Some(WasiCapability::Random),
            Self::FdReaddir
            | Self::PathCreateDirectory
            | Self::PathFilestatGet
            | Self::PathFilestatSetTimes
            | Self::PathLink
            | Self::PathOpen
            | Self::PathReadlink
            | Self::PathRemoveDirectory
            | Self::PathRename
            | Self::PathSymlink
            | Self::PathUnlinkFile => Some(WasiCapability::Directories),
            Self::SockAccept | Self::SockRecv | Self::SockSend | Self::SockShutdown => {
                Some(WasiCapability::Sockets)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GuestCall;

    #[test]
    fn numbers_count_on_from_where_the_guest_api_cannot_get() {
        for (index, call) in WasiCall::ALL.iter().enumerate() {
            assert_eq!((call.index(), usize::from(call.number())), (index, 128 + index));
            assert_eq!(WasiCall::from_number(call.number()), Some(*call));
            assert_eq!(GuestCall::from_number(call.number()), None);
            assert_eq!(WasiCall::from_import_name(&call.import_name()), Some(*call));
        }
        for other in [0, 13, 127, 174, 255] {
            assert_eq!(WasiCall::from_number(other), None);
        }
        assert_eq!(WasiCall::from_import_name("wasi_unstable.fd_write"), None);
        assert_eq!(WasiCall::from_import_name("wasi_snapshot_preview1.fly"), None);
        assert_eq!(WasiCall::FdWrite.signature(), "(i32, i32, i32, i32) -> i32");
        assert_eq!(WasiCall::ProcExit.signature(), "(i32) -> ()");
        assert_eq!(WasiCall::SchedYield.signature(), "() -> i32");
    }

    #[test]
    fn imports_tell_what_has_to_be_granted() {
        let of = |imports: &[&str]| {
            let needed = WasiCapability::needed_by(imports.iter().copied());
            needed.into_iter().map(WasiCapability::name).collect::<Vec<_>>()
        };
        let every: Vec<String> = WasiCall::ALL.iter().map(|call| call.import_name()).collect();
        let every: Vec<&str> = every.iter().map(String::as_str).collect();
        let all =
            ["arguments", "environment", "stdout", "clock", "random", "directories", "sockets"];
        assert_eq!(of(&every), all);
        let of_any_program = ["fd_prestat_get", "fd_seek", "fd_close", "proc_exit", "sched_yield"];
        let names = of_any_program.map(|name| format!("{WASI_MODULE}.{name}"));
        assert!(of(&names.each_ref().map(String::as_str)).is_empty());
        assert_eq!(of(&["wasi_snapshot_preview1.poll_oneoff", "farrier.log"]), ["clock"]);
    }
}
