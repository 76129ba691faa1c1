//! How a function says what went wrong: `errno` of `typenames.witx`.

use std::io;

/// Those that are answered here; the numbers are the interface's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Errno {
    Acces = 2,
    Again = 6,
    Badf = 8,
    Busy = 10,
    Dquot = 19,
    Exist = 20,
    Fbig = 22,
    Ilseq = 25,
    Intr = 27,
    Inval = 28,
    Io = 29,
    Isdir = 31,
    Loop = 32,
    Mfile = 33,
    Mlink = 34,
    Nametoolong = 37,
    Nfile = 41,
    Noent = 44,
    Nomem = 48,
    Nospc = 51,
    Notdir = 54,
    Notempty = 55,
    Notsock = 57,
    Notsup = 58,
    Overflow = 61,
    Perm = 63,
    Rofs = 69,
    Spipe = 70,
    Txtbsy = 74,
    Xdev = 75,
    Notcapable = 76,
}

impl Errno {
    pub fn code(self) -> u16 {
        self as u16
    }
}

impl From<&io::Error> for Errno {
    fn from(error: &io::Error) -> Self {
        let Some(code) = error.raw_os_error() else {
            return match error.kind() {
                // `cap-std` says so of a path that leads out of its directory.
                io::ErrorKind::PermissionDenied => Self::Notcapable,
                io::ErrorKind::InvalidInput => Self::Inval,
                io::ErrorKind::Unsupported => Self::Notsup,
                _ => Self::Io,
            };
        };
        use rustix::io::Errno as Os;
        match Os::from_raw_os_error(code) {
            Os::ACCESS => Self::Acces,
            Os::AGAIN => Self::Again,
            Os::BADF => Self::Badf,
            Os::BUSY => Self::Busy,
            Os::DQUOT => Self::Dquot,
            Os::EXIST => Self::Exist,
            Os::FBIG => Self::Fbig,
            Os::INTR => Self::Intr,
            Os::INVAL => Self::Inval,
            Os::ISDIR => Self::Isdir,
            Os::LOOP => Self::Loop,
            Os::MFILE => Self::Mfile,
            Os::MLINK => Self::Mlink,
            Os::NAMETOOLONG => Self::Nametoolong,
            Os::NFILE => Self::Nfile,
            Os::NOENT => Self::Noent,
            Os::NOMEM => Self::Nomem,
            Os::NOSPC => Self::Nospc,
            Os::NOTDIR => Self::Notdir,
            Os::NOTEMPTY => Self::Notempty,
            Os::OPNOTSUPP => Self::Notsup,
            Os::OVERFLOW => Self::Overflow,
            Os::PERM => Self::Perm,
            Os::ROFS => Self::Rofs,
            Os::SPIPE => Self::Spipe,
            Os::TXTBSY => Self::Txtbsy,
            Os::XDEV => Self::Xdev,
            _ => Self::Io,
        }
    }
}
