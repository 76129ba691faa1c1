//! The guest's side of one call: its arguments and its memory.

use crate::{Errno, Failure, Outcome};
use std::fmt;

/// A linear memory.
pub trait Memory {
    /// `len` bytes at `address`, all of them within.
    fn slice(&mut self, address: u32, len: u32) -> Result<&mut [u8], OutOfBounds>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfBounds {
    pub address: u32,
    pub len: u32,
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, len } = self;
        write!(f, "out of bounds memory access: {len} bytes at {address} passed to WASI")
    }
}

/// More vectors than any C library passes (`IOV_MAX` of POSIX systems).
const VECTORS_MAX: u32 = 1024;
/// Address and length of each.
const VECTOR_BYTES: u32 = 8;
/// What one call reads or writes at most. It then says that it was less than asked for,
/// which every program has to expect.
pub const TRANSFER_BYTES_MAX: u32 = 1024 * 1024;
/// Longest path (`PATH_MAX`).
const PATH_BYTES_MAX: u32 = 4096;

pub struct Guest<'a> {
    args: &'a [u64],
    memory: &'a mut dyn Memory,
    bytes: u64,
}

impl<'a> Guest<'a> {
    pub fn new(args: &'a [u64], memory: &'a mut dyn Memory) -> Self {
        Self { args, memory, bytes: 0 }
    }

    /// Of its memory, read and written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn u64(&self, index: usize) -> u64 {
        // The types were compared when the module was loaded.
        self.args.get(index).copied().unwrap_or(0)
    }

    pub fn u32(&self, index: usize) -> u32 {
        self.u64(index) as u32
    }

    pub fn slice(&mut self, address: u32, len: u32) -> Result<&mut [u8], Failure> {
        let slice = self.memory.slice(address, len)?;
        self.bytes += u64::from(len);
        Ok(slice)
    }

    pub fn check(&mut self, address: u32, len: u32) -> Outcome {
        self.memory.slice(address, len)?;
        Ok(())
    }

    pub fn put(&mut self, address: u32, bytes: &[u8]) -> Outcome {
        // Whatever is put was bounded before.
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Overflow)?;
        self.slice(address, len)?.copy_from_slice(bytes);
        Ok(())
    }

    pub fn put_u32(&mut self, address: u32, number: u32) -> Outcome {
        self.put(address, &number.to_le_bytes())
    }

    pub fn put_u64(&mut self, address: u32, number: u64) -> Outcome {
        self.put(address, &number.to_le_bytes())
    }

    fn get_u32(&mut self, address: u32) -> Result<u32, Failure> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.slice(address, 4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    /// The path whose address and length are these arguments.
    pub fn path(&mut self, address_at: usize, len_at: usize) -> Result<String, Failure> {
        let (address, len) = (self.u32(address_at), self.u32(len_at));
        if len > PATH_BYTES_MAX {
            self.check(address, len)?;
            return Err(Errno::Nametoolong.into());
        }
        let bytes = self.slice(address, len)?;
        let path = std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)?;
        if path.is_empty() {
            return Err(Errno::Noent.into());
        }
        if path.contains('\0') {
            return Err(Errno::Inval.into());
        }
        Ok(path.to_owned())
    }

    /// The buffers of a call, whose address and count are these arguments, up to what one
    /// call transfers.
    pub fn vectors(&mut self, first_at: usize) -> Result<Vec<(u32, u32)>, Failure> {
        let (first, count) = (self.u32(first_at), self.u32(first_at + 1));
        if count > VECTORS_MAX {
            return Err(Errno::Inval.into());
        }
        let mut room = TRANSFER_BYTES_MAX;
        let mut vectors = Vec::new();
        for index in 0..count {
            let at = first.saturating_add(index * VECTOR_BYTES);
            let (address, len) = (self.get_u32(at)?, self.get_u32(at.saturating_add(4))?);
            // Also of one that is cut, all has to be the guest's.
            self.check(address, len)?;
            let len = len.min(room);
            room -= len;
            if len > 0 {
                vectors.push((address, len));
            }
        }
        Ok(vectors)
    }
}

/// An address some bytes further on. Beyond the last one is no memory either.
pub fn after(address: u32, bytes: u32) -> u32 {
    address.saturating_add(bytes)
}
