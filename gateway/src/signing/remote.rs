//! The way to `farrier-signer`: one connection over its Unix socket for each question.
//!
//! The signer is another process under another uid. It may be away at any time; then
//! releases wait and are offered again. What it gives back is checked like anything
//! else that comes from outside (`app::releases`).

use signer_protocol::{
    About, Answer, Ask, FrameError, SIGNER_PROTOCOL_VERSION, SignRequest, read_frame, write_frame,
};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For what the signer knows at once.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A signer that compiles again takes as long as a compilation may, and others' turns.
const SIGN_MAX: Duration = Duration::from_secs(15 * 60);

/// Whoever signs releases in another process.
pub trait RemoteSigner: Send + Sync {
    fn about(&self) -> Result<About, NotSigned>;
    fn sign(&self, request: SignRequest) -> Result<Vec<u8>, NotSigned>;
    /// For people, such as the socket's path.
    fn place(&self) -> String;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// It may be there later.
    #[error("the signer at {place} does not answer: {why}")]
    Away { place: String, why: String },
    #[error("the signer refuses: {0}")]
    Refused(String),
}

pub struct SignerClient {
    socket: PathBuf,
}

impl SignerClient {
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    fn away(&self, why: impl ToString) -> NotSigned {
        NotSigned::Away { place: self.place(), why: why.to_string() }
    }

    fn ask(&self, ask: &Ask, answer_max: Duration) -> Result<Answer, NotSigned> {
        let exchange = || -> Result<Answer, FrameError> {
            let stream = UnixStream::connect(&self.socket)?;
            stream.set_write_timeout(Some(ANSWER_MAX))?;
            stream.set_read_timeout(Some(answer_max))?;
            write_frame(&stream, ask)?;
            read_frame(&stream)
        };
        exchange().map_err(|error| match error {
            FrameError::Io(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.away(format!("no answer within {} s", answer_max.as_secs()))
            }
            FrameError::Io(e) => self.away(e),
            other => self.away(other),
        })
    }
}

impl RemoteSigner for SignerClient {
    fn about(&self) -> Result<About, NotSigned> {
        match self.ask(&Ask::About, ANSWER_MAX)? {
            Answer::About(about) if about.version == SIGNER_PROTOCOL_VERSION => Ok(about),
            Answer::About(about) => Err(self.away(format!(
                "it speaks version {} of the protocol, and this gateway {SIGNER_PROTOCOL_VERSION}; \
                 upgrade the older of the two",
                about.version
            ))),
            Answer::Refused { detail } => Err(NotSigned::Refused(detail)),
            Answer::Failed { detail } => Err(self.away(detail)),
            Answer::Sealed { .. } => Err(self.away("it answered something else")),
        }
    }

    fn sign(&self, request: SignRequest) -> Result<Vec<u8>, NotSigned> {
        match self.ask(&Ask::Sign(request), SIGN_MAX)? {
            Answer::Sealed { sealed } => Ok(sealed),
            Answer::Refused { detail } => Err(NotSigned::Refused(detail)),
            Answer::Failed { detail } => Err(self.away(detail)),
            Answer::About(_) => Err(self.away("it answered something else")),
        }
    }

    fn place(&self) -> String {
        self.socket.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    fn served(answer: impl FnOnce(UnixStream) + Send + 'static) -> NotSigned {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("signer.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || answer(listener.accept().unwrap().0));
        let error = SignerClient::new(&socket).about().unwrap_err();
        server.join().unwrap();
        error
    }

    #[test]
    fn a_signer_that_is_not_there_is_away() {
        let refused = SignerClient::new(Path::new("/nowhere/signer.sock")).about().unwrap_err();
        assert!(matches!(refused, NotSigned::Away { .. }));
        assert!(refused.to_string().contains("/nowhere/signer.sock"), "{refused}");
    }

    #[test]
    fn nonsense_and_silence_are_a_signer_that_is_away() {
        let asked = |stream: &UnixStream| read_frame::<Ask>(stream).unwrap();
        for garbage in [&b"\xff\xff\xff\xff"[..], b"\x01\x00\x00\x00\xff", b"\x09\x00"] {
            let error = served(move |mut stream| {
                asked(&stream);
                stream.write_all(garbage).unwrap();
            });
            assert!(matches!(error, NotSigned::Away { .. }), "{error}");
        }
        let error = served(move |stream| drop(asked(&stream)));
        assert!(error.to_string().contains("closed the connection"), "{error}");
    }
}
