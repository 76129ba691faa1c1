//! Frames of `worker-protocol` over an asynchronous socket.
//!
//! The protocol's own reader blocks and takes frames of the size of an artifact.
//! What a worker may send us is small, so a worker that went astray cannot make
//! the agent allocate more than [`EVENT_BYTES_MAX`].

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};
use worker_protocol::{Event, FrameError, GuestId, decode_body};

/// A log line or a published value of 1 KiB, a hello, and much room.
const EVENT_BYTES_MAX: usize = 64 * 1024;

pub struct EventReader<R> {
    from: R,
    /// What has arrived of the present frame: reading can be cancelled anywhere.
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> EventReader<R> {
    pub fn new(from: R) -> Self {
        Self { from, buffer: Vec::new() }
    }

    pub async fn next(&mut self) -> Result<(GuestId, Event), FrameError> {
        self.fill(4).await?;
        // Cannot panic: four bytes are there.
        let length: [u8; 4] = self.buffer[..4].try_into().expect("four bytes");
        let length = u32::from_le_bytes(length) as usize;
        if length > EVENT_BYTES_MAX {
            return Err(FrameError::TooLong(length));
        }
        self.fill(4 + length).await?;
        let (guest, event) = decode_body(&self.buffer[4..])?;
        self.buffer.clear();
        Ok((guest, event))
    }

    async fn fill(&mut self, length: usize) -> Result<(), FrameError> {
        while self.buffer.len() < length {
            let missing = length - self.buffer.len();
            let mut limited = (&mut self.from).take(missing as u64);
            if limited.read_buf(&mut self.buffer).await? == 0 {
                return Err(match self.buffer.is_empty() {
                    true => FrameError::Closed,
                    false => io::Error::from(io::ErrorKind::UnexpectedEof).into(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_frame_in_pieces_is_read_even_when_reading_was_cancelled_between_them() {
        runtime().block_on(async {
            let (mut near, far) = tokio::io::duplex(1 << 20);
            let mut frame = Vec::new();
            worker_protocol::write_frame(&mut frame, &Event::Started).unwrap();
            let mut reader = EventReader::new(far);
            for byte in &frame[..frame.len() - 1] {
                near.write_all(&[*byte]).await.unwrap();
                let cut = tokio::time::timeout(Duration::from_millis(1), reader.next()).await;
                assert!(cut.is_err());
            }
            near.write_all(&frame[frame.len() - 1..]).await.unwrap();
            assert_eq!(reader.next().await.unwrap(), (GuestId::ONLY, Event::Started));
            drop(near);
            assert!(matches!(reader.next().await, Err(FrameError::Closed)));
        });
    }

    #[test]
    fn a_lying_length_is_refused_before_anything_is_allocated() {
        runtime().block_on(async {
            let (mut near, far) = tokio::io::duplex(64);
            near.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
            let mut reader = EventReader::new(far);
            assert!(matches!(reader.next().await, Err(FrameError::TooLong(_))));
        });
    }
}
