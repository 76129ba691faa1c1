//! Custom sections (`load_custom_section`).

use crate::cursor::Cursor;
use crate::error::ReadError;

/// `AOT_CUSTOM_SECTION_*` (`aot/aot_runtime.h`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomSection<'a> {
    /// Anything under a name; our profile note is `farrier.profile`.
    Raw { name: &'a str, bytes: &'a [u8] },
    /// Slots that position-independent code calls through, last slot first.
    NativeSymbols(Vec<&'a str>),
    /// Another sub-id, such as 3 for names.
    Other { sub_id: u32, bytes: &'a [u8] },
}

pub(crate) fn read<'a>(mut cursor: Cursor<'a>) -> Result<CustomSection<'a>, ReadError> {
    const WHAT: &str = "its sub-id and name";
    match cursor.u32(WHAT)? {
        0 => {
            let name = cursor.string(WHAT)?;
            Ok(CustomSection::Raw { name, bytes: cursor.rest() })
        }
        1 => {
            let symbols = cursor.list("the native symbols", |c| c.string("a native symbol"))?;
            Ok(CustomSection::NativeSymbols(symbols))
        }
        sub_id => Ok(CustomSection::Other { sub_id, bytes: cursor.rest() }),
    }
}
