//! A body that is read while it is sent, so that a large module needs no memory.

use crate::error::ClientError;
use futures_util::stream::{self, Stream};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncReadExt;

const CHUNK_BYTES: usize = 64 * 1024;

/// Told the bytes handed to the connection so far, and all of them.
pub(crate) type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// The bytes of a module.
#[derive(Debug, Clone)]
pub struct Upload {
    source: Source,
    bytes: u64,
}

#[derive(Debug, Clone)]
enum Source {
    Memory(Arc<[u8]>),
    File(PathBuf),
}

impl Upload {
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let content = bytes.into();
        Self { bytes: content.len() as u64, source: Source::Memory(content) }
    }

    /// A regular file. It is opened again for each attempt.
    pub async fn from_file(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        let path = path.as_ref();
        let error = |source| ClientError::ReadFile { path: path.to_owned(), source };
        let metadata = tokio::fs::metadata(path).await.map_err(error)?;
        if !metadata.is_file() {
            let kind = if metadata.is_dir() { "a directory" } else { "not a regular file" };
            return Err(error(io::Error::other(format!("it is {kind}"))));
        }
        Ok(Self { source: Source::File(path.to_owned()), bytes: metadata.len() })
    }

    pub fn len_bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) async fn to_body(&self, progress: Progress) -> Result<reqwest::Body, ClientError> {
        let reader: Box<dyn tokio::io::AsyncRead + Send + Unpin> = match &self.source {
            Source::Memory(content) => Box::new(io::Cursor::new(content.clone())),
            Source::File(path) => {
                let file = tokio::fs::File::open(path).await;
                let error = |source| ClientError::ReadFile { path: path.clone(), source };
                // What a growing file gains meanwhile is not part of the upload.
                Box::new(file.map_err(error)?.take(self.bytes))
            }
        };
        Ok(reqwest::Body::wrap_stream(chunks(reader, self.bytes, progress)))
    }
}

fn chunks(
    reader: Box<dyn tokio::io::AsyncRead + Send + Unpin>,
    bytes_total: u64,
    progress: Progress,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    stream::try_unfold((reader, 0u64), move |(mut reader, bytes_before)| {
        let progress = progress.clone();
        async move {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read_bytes = reader.read(&mut chunk).await?;
            if read_bytes == 0 {
                return Ok(None);
            }
            chunk.truncate(read_bytes);
            let bytes_sent = bytes_before + read_bytes as u64;
            progress(bytes_sent, bytes_total);
            Ok(Some((chunk, (reader, bytes_sent))))
        }
    })
}
