//! What one call of a host function reads and writes of its caller.

use super::GuestState;
use wamr::{Caller, Trap, Value};
use worker_protocol::NAME_BYTES_MAX;

pub type Answer = Result<Option<Value>, Trap>;

/// The answer 0, or a length.
pub fn done(number: usize) -> Answer {
    // Lengths are bounded far below.
    Ok(Some(Value::I32(i32::try_from(number).unwrap_or(i32::MAX))))
}

pub struct HostCall<'a, 'c> {
    caller: &'a mut Caller<'c>,
    bytes: u64,
}

impl<'a, 'c> HostCall<'a, 'c> {
    pub fn new(caller: &'a mut Caller<'c>) -> Self {
        Self { caller, bytes: 0 }
    }

    /// Of the module's memory, read and written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `len` bytes at `address`, or a trap.
    pub fn slice(&mut self, address: u32, len: u32) -> Result<&mut [u8], Trap> {
        let slice = self.caller.slice(address, len)?;
        self.bytes += u64::from(len);
        Ok(slice)
    }

    /// Traps where [`Self::slice`] would, and counts nothing.
    pub fn check(&mut self, address: u32, len: u32) -> Result<(), Trap> {
        self.caller.slice(address, len).map(drop)
    }

    /// `None` for what is no name: empty, too long or not UTF-8.
    pub fn name(&mut self, address: u32, len: u32) -> Result<Option<String>, Trap> {
        let bytes = self.slice(address, len)?;
        if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX {
            return Ok(None);
        }
        Ok(std::str::from_utf8(bytes).ok().map(str::to_owned))
    }

    /// A little-endian f64.
    pub fn read_f64(&mut self, address: u32) -> Result<f64, Trap> {
        let mut bytes = [0; size_of::<f64>()];
        bytes.copy_from_slice(self.slice(address, size_of::<f64>() as u32)?);
        Ok(f64::from_le_bytes(bytes))
    }

    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Trap> {
        // Whatever is written was bounded before.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.slice(address, len)?.copy_from_slice(bytes);
        Ok(())
    }

    pub fn state(&mut self) -> Result<&mut GuestState, Trap> {
        self.caller.state().ok_or_else(|| Trap::new("the instance has no state for host functions"))
    }
}

/// Answers with the value's length, and writes it where it fits into `len` bytes. The
/// module sees by the length whether it did.
pub fn give(call: &mut HostCall<'_, '_>, address: u32, len: u32, value: &[u8]) -> Answer {
    if value.len() <= len as usize {
        call.write(address, value)?;
    }
    done(value.len())
}

/// The arguments as addresses, lengths and handles. The types were checked at load,
/// so a failure here is ours.
pub fn numbers<const N: usize>(args: &[Value]) -> Result<[u32; N], Trap> {
    let to_number = |arg: &Value| match arg {
        Value::I32(number) => number.cast_unsigned(),
        _ => 0,
    };
    let wrong = || Trap::new("a host function got another number of arguments");
    let args: &[Value; N] = args.try_into().map_err(|_| wrong())?;
    Ok(args.each_ref().map(to_number))
}
