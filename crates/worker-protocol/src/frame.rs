//! Length-prefixed CBOR frames over any byte stream.

use minicbor::{Decode, Encode};
use std::io::{self, Read, Write};

/// Largest frame: an artifact of 48 MiB and its surroundings.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other end closed the stream between two frames.
    #[error("the other end closed the connection")]
    Closed,
    #[error("read or write a frame")]
    Io(#[from] io::Error),
    #[error("a frame of {0} bytes exceeds the limit of {FRAME_BYTES_MAX}")]
    TooLong(usize),
    #[error("a frame is not the expected message: {0}")]
    Malformed(String),
}

pub fn write_frame(mut to: impl Write, message: &impl Encode<()>) -> Result<(), FrameError> {
    // Encoding to memory cannot fail for our own types; say so rather than panic.
    let body = minicbor::to_vec(message).map_err(|e| FrameError::Malformed(e.to_string()))?;
    let len = u32::try_from(body.len()).ok().filter(|len| *len as usize <= FRAME_BYTES_MAX);
    let len = len.ok_or(FrameError::TooLong(body.len()))?;
    to.write_all(&len.to_le_bytes())?;
    to.write_all(&body)?;
    Ok(to.flush()?)
}

pub fn read_frame<T: for<'b> Decode<'b, ()>>(mut from: impl Read) -> Result<T, FrameError> {
    let mut len = [0; 4];
    let mut filled = 0;
    while filled < len.len() {
        match from.read(&mut len[filled..]) {
            Ok(0) if filled == 0 => return Err(FrameError::Closed),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let len = u32::from_le_bytes(len) as usize;
    if len > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(len));
    }
    // Grows with what arrives, so a lying length costs the liar as much as us.
    let mut body = Vec::new();
    from.take(len as u64).read_to_end(&mut body)?;
    if body.len() < len {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    minicbor::decode(&body).map_err(|e| FrameError::Malformed(e.to_string()))
}
