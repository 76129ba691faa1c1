//! The three streams of a WASI program: input from the test, output for it.

use super::{Arguments, Errno, Outcome, after, get_u32, put, put_u32, state};
use crate::host::keep;
use wamr::Caller;

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// `filetype.character_device`: what a terminal would be, and so never buffered by
/// whole blocks or sought in.
const CHARACTER_DEVICE: u8 = 2;
/// `rights`: bit 1 reads, bit 6 writes, bit 27 polls; no seeking.
const RIGHTS: u64 = 1 << 1 | 1 << 6 | 1 << 27;

/// Of `fdstat`: kind at 0, flags at 2, rights at 8 and, for what it opens, at 16.
const FDSTAT_BYTES: usize = 24;
/// Of `filestat`: kind at 16, number of links at 24, all else is 0.
const FILESTAT_BYTES: usize = 64;

/// Of `iovec` and `ciovec`: address and length.
const VECTOR_BYTES: u32 = 8;
/// More vectors than any C library passes (`IOV_MAX` of POSIX systems).
const VECTORS_MAX: u32 = 1024;

pub fn check(fd: u32) -> Outcome {
    match fd {
        STDIN | STDOUT | STDERR => Ok(()),
        _ => Err(Errno::Badf.into()),
    }
}

pub fn not_seekable(fd: u32) -> Outcome {
    check(fd)?;
    Err(Errno::Spipe.into())
}

pub fn fdstat_get(caller: &mut Caller<'_>, args: &Arguments<'_>) -> Outcome {
    check(args.u32(0))?;
    let mut stat = [0; FDSTAT_BYTES];
    stat[0] = CHARACTER_DEVICE;
    stat[8..16].copy_from_slice(&RIGHTS.to_le_bytes());
    put(caller, args.u32(1), &stat)
}

pub fn filestat_get(caller: &mut Caller<'_>, args: &Arguments<'_>) -> Outcome {
    check(args.u32(0))?;
    let mut stat = [0; FILESTAT_BYTES];
    stat[16] = CHARACTER_DEVICE;
    stat[24] = 1;
    put(caller, args.u32(1), &stat)
}

/// Address and length of each buffer.
fn vectors(
    caller: &mut Caller<'_>,
    args: &Arguments<'_>,
) -> Result<Vec<(u32, u32)>, super::Failure> {
    let (first, count) = (args.u32(1), args.u32(2));
    if count > VECTORS_MAX {
        return Err(Errno::Inval.into());
    }
    let mut found = Vec::new();
    for index in 0..count {
        let at = after(first, index * VECTOR_BYTES);
        found.push((get_u32(caller, at)?, get_u32(caller, after(at, 4))?));
    }
    Ok(found)
}

pub fn read(caller: &mut Caller<'_>, args: &Arguments<'_>) -> Outcome {
    if args.u32(0) != STDIN {
        return Err(Errno::Badf.into());
    }
    let mut total = 0;
    for (address, len) in vectors(caller, args)? {
        let state = state(caller)?;
        let rest = state.input.stdin.get(state.stdin_read..).unwrap_or_default();
        let bytes = rest[..rest.len().min(len as usize)].to_vec();
        state.stdin_read += bytes.len();
        put(caller, address, &bytes)?;
        total += bytes.len() as u32; // at most `len` each, and memory ends at 4 GiB
    }
    put_u32(caller, args.u32(3), total)
}

/// What is over the limit of an answer is dropped, and the guest is not told: a test
/// that compares output sees it.
pub fn write(caller: &mut Caller<'_>, args: &Arguments<'_>) -> Outcome {
    let fd = args.u32(0);
    if fd != STDOUT && fd != STDERR {
        return Err(Errno::Badf.into());
    }
    let mut total = 0u32;
    for (address, len) in vectors(caller, args)? {
        let bytes = caller.slice(address, len)?.to_vec();
        let state = state(caller)?;
        let kept = if fd == STDOUT { &mut state.output } else { &mut state.errors };
        keep(kept, &bytes);
        total = total.saturating_add(len);
    }
    put_u32(caller, args.u32(3), total)
}
