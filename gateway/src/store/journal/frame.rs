//! Frames: bytes with a mark, a length and a CRC, so that the end of what was
//! written whole can be found.
//!
//! ```text
//! "FJR1" | length u32 LE | CRC-32 u32 LE of length and payload | payload
//! ```
//!
//! What is written together is one frame with one CRC. A power cut can leave the
//! later half of a write and lose the earlier, so of two frames in one write the
//! second could be whole and the first not, which would look like damage.

use crc32fast::Hasher;

const MARK: &[u8; 4] = b"FJR1";
pub const FRAME_HEAD_BYTES: usize = 12;

/// Longest payload. A commit is at most half of it, see `local`.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

pub fn to_frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES + payload.len());
    frame.extend_from_slice(MARK);
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&crc(length, payload).to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn crc(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// The payload of the frame that begins here, if it is whole.
pub fn read_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_first_chunk::<FRAME_HEAD_BYTES>()?;
    let [mark @ .., l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    let payload = rest.get(..usize::try_from(length).ok()?)?;
    let is_whole = mark == *MARK
        && payload.len() <= PAYLOAD_BYTES_MAX
        && crc([l0, l1, l2, l3], payload) == u32::from_le_bytes([c0, c1, c2, c3]);
    is_whole.then_some(payload)
}

/// The payloads of all whole frames that begin somewhere in these bytes.
pub fn find_frames(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    starts.filter_map(|(start, _)| read_frame(&bytes[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_keeps_its_bytes() {
        assert_eq!(hex::encode(to_frame(b"abc")), "464a523103000000335de166616263");
        assert_eq!(read_frame(&to_frame(b"abc")), Some(&b"abc"[..]));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_frame_is_noticed() {
        let frame = to_frame(b"a payload");
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_frame(&damaged), None, "bit {bit}");
        }
        for len in 0..frame.len() {
            assert_eq!(read_frame(&frame[..len]), None, "cut at {len}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_frame_or_one_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_frame(&bytes);
            prop_assert_eq!(find_frames(&bytes).count(), 0);
        }

        #[test]
        fn a_frame_behind_garbage_is_found(before in proptest::collection::vec(any::<u8>(), 0..50)) {
            let bytes = [before, to_frame(b"found")].concat();
            prop_assert!(find_frames(&bytes).any(|payload| payload == b"found"));
        }
    }
}
