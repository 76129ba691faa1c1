//! Arguments and environment.

use crate::guest::{Guest, after};
use crate::{Errno, Failure, Outcome};

/// The pointers in one place, the strings with their final NULs in another.
pub fn put(guest: &mut Guest<'_>, strings: &[String]) -> Outcome {
    let (mut pointer_at, mut text_at) = (guest.u32(0), guest.u32(1));
    for text in strings {
        guest.put_u32(pointer_at, text_at)?;
        guest.put(text_at, text.as_bytes())?;
        let len = to_u32(text.len())?;
        guest.put(after(text_at, len), &[0])?;
        (pointer_at, text_at) = (after(pointer_at, 4), after(text_at, len.saturating_add(1)));
    }
    Ok(())
}

pub fn put_sizes(guest: &mut Guest<'_>, strings: &[String]) -> Outcome {
    let bytes: usize = strings.iter().map(|text| text.len() + 1).sum();
    let (count, bytes) = (to_u32(strings.len())?, to_u32(bytes)?);
    guest.put_u32(guest.u32(0), count)?;
    guest.put_u32(guest.u32(1), bytes)
}

fn to_u32(number: usize) -> Result<u32, Failure> {
    // Grants are bounded far below.
    u32::try_from(number).map_err(|_| Errno::Overflow.into())
}
