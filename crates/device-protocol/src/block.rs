//! One block of a blob on its way, as it is or compressed.
//!
//! The gateway packs, the device unpacks. Each block is compressed for itself, so
//! that any one can be lost, repeated or come first; what a device unpacks is
//! bounded by the size of a block before a byte of it is written. Whether a block is
//! the right one is not known here: its hash is, from a signed release.

use crate::MESSAGE_VERSION;
use minicbor::{Decode, Encode};
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use module_package::BLOCK_BYTES;
use std::borrow::Cow;

/// zlib's usual one. Level 9 gains half a percent on machine code for twice the time.
const DEFLATE_LEVEL: u8 = 6;

/// A block goes out as it is unless an eighth of it is saved: below that, the
/// device's work costs more than the bytes.
const SAVING_MIN: usize = 8;

/// The receiver knows the hash of each block of an artifact from the release, and
/// of a release from the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Block {
    #[n(0)]
    pub version: u32,
    #[n(1)]
    pub index: u32,
    /// Size of the whole blob, not compressed.
    #[n(2)]
    pub blob_bytes: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// How `bytes` are compressed, if they are. Only for devices that say that they
    /// read it.
    #[n(4)]
    pub compression: Option<Compression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Compression {
    /// RFC 1951, without a header.
    #[n(1)]
    Deflate,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {index} cannot be unpacked: {detail}")]
pub struct UnpackError {
    pub index: u32,
    pub detail: String,
}

impl Block {
    pub fn plain(index: u32, blob_bytes: u64, bytes: Vec<u8>) -> Self {
        Self { version: MESSAGE_VERSION, index, blob_bytes, bytes, compression: None }
    }

    /// Compressed where that pays.
    pub fn packed(index: u32, blob_bytes: u64, bytes: Vec<u8>) -> Self {
        let smaller = compress_to_vec(&bytes, DEFLATE_LEVEL);
        if smaller.len() > bytes.len() - bytes.len() / SAVING_MIN {
            return Self::plain(index, blob_bytes, bytes);
        }
        let compression = Some(Compression::Deflate);
        Self { compression, ..Self::plain(index, blob_bytes, smaller) }
    }

    /// The bytes of the blob in this block, at most `BLOCK_BYTES`.
    pub fn unpack(&self) -> Result<Cow<'_, [u8]>, UnpackError> {
        match self.compression {
            None if self.bytes.len() <= BLOCK_BYTES as usize => Ok(Cow::Borrowed(&self.bytes)),
            None => Err(self.unpack_error(format!("it has {} bytes", self.bytes.len()))),
            Some(Compression::Deflate) => {
                let unpacked = decompress_to_vec_with_limit(&self.bytes, BLOCK_BYTES as usize);
                unpacked.map(Cow::Owned).map_err(|e| self.unpack_error(format!("{:?}", e.status)))
            }
        }
    }

    fn unpack_error(&self, detail: String) -> UnpackError {
        UnpackError { index: self.index, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The golden bytes: a device in the field reads these.
    #[test]
    fn the_bytes_of_a_block_are_what_they_have_been() {
        let hex_of = |block: &Block| hex::encode(minicbor::to_vec(block).unwrap());
        assert_eq!(hex_of(&Block::plain(2, 3, vec![4])), "a4000101020203034104");
        let packed = Block {
            compression: Some(Compression::Deflate),
            ..Block::plain(2, 3, vec![0x63, 0x01, 0x00])
        };
        assert_eq!(hex_of(&packed), "a500010102020303436301000401");
        assert_eq!(packed.unpack().unwrap().as_ref(), [4]);
    }

    #[test]
    fn a_block_is_compressed_only_where_that_pays() {
        let code: Vec<u8> = (0..BLOCK_BYTES).map(|n| (n % 7) as u8).collect();
        let packed = Block::packed(0, 1, code.clone());
        assert_eq!(packed.compression, Some(Compression::Deflate));
        assert!(packed.bytes.len() < code.len() / 10);
        assert_eq!(packed.unpack().unwrap(), code);
        let noise: Vec<u8> = module_package::BlobId::of(b"noise").0.into();
        assert_eq!(Block::packed(0, 1, noise.clone()), Block::plain(0, 1, noise));
        assert_eq!(Block::packed(0, 0, vec![]).unpack().unwrap().as_ref(), b"");
    }

    #[test]
    fn a_bomb_is_refused_at_the_size_of_a_block() {
        let bomb = compress_to_vec(&vec![0; 1 << 28], 9);
        assert!(bomb.len() < 1 << 19);
        let compression = Some(Compression::Deflate);
        let block = Block { compression, ..Block::plain(0, 1, bomb) };
        assert!(block.unpack().unwrap_err().to_string().contains("HasMoreOutput"));
        let too_long = Block::plain(0, 1, vec![0; BLOCK_BYTES as usize + 1]);
        assert!(too_long.unpack().is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decoded_or_refused_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            let _ = minicbor::decode::<Block>(&bytes);
            let compression = Some(Compression::Deflate);
            let block = Block { compression, ..Block::plain(0, 1, bytes) };
            if let Ok(unpacked) = block.unpack() {
                prop_assert!(unpacked.len() <= BLOCK_BYTES as usize);
            }
        }

        #[test]
        fn what_was_packed_comes_out_again(
            bytes in proptest::collection::vec(0u8..6, 0..2_000)
        ) {
            let block = Block::packed(3, 9, bytes.clone());
            prop_assert_eq!(block.unpack().unwrap().into_owned(), bytes);
        }
    }
}
