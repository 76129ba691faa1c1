//! Length-prefixed CBOR frames over any byte stream.
//!
//! A frame's body is one message, and after it the number of the guest that it concerns
//! where that is not 0. Whoever starts a worker for one module never writes a number, and
//! a hello has none, so that both ends understand it whatever their versions are.

use minicbor::{Decode, Decoder, Encode};
use std::fmt;
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

/// Which of a worker's modules a message concerns, by a number that its starter gave it
/// with `Load`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct GuestId(#[n(0)] pub u32);

impl GuestId {
    /// Of a worker that runs one module.
    pub const ONLY: Self = Self(0);
}

impl fmt::Display for GuestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub fn write_frame(to: impl Write, message: &impl Encode<()>) -> Result<(), FrameError> {
    write_guest_frame(to, GuestId::ONLY, message)
}

pub fn write_guest_frame(
    mut to: impl Write,
    guest: GuestId,
    message: &impl Encode<()>,
) -> Result<(), FrameError> {
    // Encoding to memory cannot fail for our own types; say so rather than panic.
    let malformed = |e: &dyn fmt::Display| FrameError::Malformed(e.to_string());
    let mut body = minicbor::to_vec(message).map_err(|e| malformed(&e))?;
    if guest != GuestId::ONLY {
        body.extend(minicbor::to_vec(guest).map_err(|e| malformed(&e))?);
    }
    let len = u32::try_from(body.len()).ok().filter(|len| *len as usize <= FRAME_BYTES_MAX);
    let len = len.ok_or(FrameError::TooLong(body.len()))?;
    to.write_all(&len.to_le_bytes())?;
    to.write_all(&body)?;
    Ok(to.flush()?)
}

/// Whichever guest it concerns.
pub fn read_frame<T: for<'b> Decode<'b, ()>>(from: impl Read) -> Result<T, FrameError> {
    read_guest_frame(from).map(|(_, message)| message)
}

pub fn read_guest_frame<T: for<'b> Decode<'b, ()>>(
    mut from: impl Read,
) -> Result<(GuestId, T), FrameError> {
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
    decode_body(&body)
}

/// What is in a frame, for those who read frames themselves.
pub fn decode_body<T: for<'b> Decode<'b, ()>>(body: &[u8]) -> Result<(GuestId, T), FrameError> {
    let mut decoder = Decoder::new(body);
    let mut decode = || {
        let message = decoder.decode()?;
        let is_over = decoder.position() == body.len();
        let guest = if is_over { GuestId::ONLY } else { decoder.decode()? };
        Ok((guest, message))
    };
    decode().map_err(|e: minicbor::decode::Error| FrameError::Malformed(e.to_string()))
}
