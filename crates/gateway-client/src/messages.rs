//! Cuts the bytes of an answer into server-sent messages, each of bounded length.

use crate::error::ClientError;
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::stream::{BoxStream, StreamExt};

/// Longest message, a device with all its applications. More is no event stream.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

pub(crate) type MessageStream = BoxStream<'static, Result<Event, ClientError>>;

/// Ends at the first error.
pub(crate) fn messages(request: String, response: reqwest::Response) -> MessageStream {
    let mut length = MessageLength::default();
    let name = request.clone();
    let bytes = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|source| ClientError::Interrupted {
            request: name.clone(),
            source: source.without_url(),
        })?;
        if length.after(&chunk) > MESSAGE_BYTES_MAX {
            let why = format!("one is longer than {MESSAGE_BYTES_MAX} bytes");
            return Err(unreadable(&name, why));
        }
        Ok(chunk)
    });
    let messages = bytes.eventsource().map(move |message| {
        message.map_err(|error| match error {
            EventStreamError::Transport(error) => error,
            EventStreamError::Utf8(error) => unreadable(&request, error.to_string()),
            EventStreamError::Parser(error) => unreadable(&request, format!("{:?}", error.code)),
        })
    });
    messages.boxed()
}

fn unreadable(request: &str, why: String) -> ClientError {
    ClientError::UnexpectedAnswer {
        request: request.to_owned(),
        expected: "a stream of events",
        why,
    }
}

/// Bytes since the last empty line, which ends a message. The parser buffers them.
#[derive(Default)]
struct MessageLength {
    bytes: usize,
    is_line_empty: bool,
}

impl MessageLength {
    fn after(&mut self, chunk: &[u8]) -> usize {
        for byte in chunk {
            match byte {
                b'\n' if self.is_line_empty => self.bytes = 0,
                b'\n' => self.is_line_empty = true,
                b'\r' => {}
                _ => self.is_line_empty = false,
            }
            self.bytes += 1;
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_starts_again_at_an_empty_line() {
        let mut length = MessageLength::default();
        assert_eq!(length.after(b"data: 1\n"), 8);
        assert_eq!(length.after(b"\n"), 1);
        assert_eq!(length.after(b"data: 1\r\n\r"), 11);
        assert_eq!(length.after(b"\ndata"), 5);
    }
}
