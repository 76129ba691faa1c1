//! Open directories that a starter hands to its worker, before anything is said: the
//! worker then gives up opening files, and keeps what lies below these.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Most of one worker.
pub const DIRECTORIES_MAX: usize = 8;

/// A message needs a byte.
const MARK: &[u8] = b"d";

/// Does nothing where there are none. There are at most [`DIRECTORIES_MAX`].
pub fn send_directories(socket: impl AsFd, directories: &[BorrowedFd<'_>]) -> io::Result<()> {
    if directories.is_empty() {
        return Ok(());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DIRECTORIES_MAX))];
    let mut buffer = SendAncillaryBuffer::new(&mut space);
    // The space is rounded up, and might hold one more.
    let fits = directories.len() <= DIRECTORIES_MAX
        && buffer.push(SendAncillaryMessage::ScmRights(directories));
    if !fits {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(socket, &[IoSlice::new(MARK)], &mut buffer, SendFlags::empty())?;
    Ok(())
}

/// As many as were promised, in the order in which they were sent.
pub fn receive_directories(socket: impl AsFd, count: usize) -> io::Result<Vec<OwnedFd>> {
    if count == 0 {
        return Ok(vec![]);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DIRECTORIES_MAX))];
    let mut buffer = RecvAncillaryBuffer::new(&mut space);
    let mut mark = [0];
    let mut slices = [IoSliceMut::new(&mut mark)];
    recvmsg(socket, &mut slices, &mut buffer, RecvFlags::CMSG_CLOEXEC)?;
    let mut received = Vec::new();
    for message in buffer.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            received.extend(descriptors);
        }
    }
    let is_whole = mark == MARK && received.len() == count;
    is_whole.then_some(received).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_sent_arrives_in_order_and_another_count_is_refused() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (first, second) = (UnixStream::pair().unwrap().0, std::fs::File::open("/").unwrap());
        let both = [first.as_fd(), second.as_fd()];
        send_directories(&ours, &both).unwrap();
        let received = receive_directories(&theirs, 2).unwrap();
        let stat = |fd: &OwnedFd| std::fs::File::from(fd.try_clone().unwrap()).metadata().unwrap();
        assert!(!stat(&received[0]).is_dir() && stat(&received[1]).is_dir());
        send_directories(&ours, &both[..1]).unwrap();
        assert!(receive_directories(&theirs, 2).is_err());
        assert!(receive_directories(&theirs, 0).unwrap().is_empty(), "and nothing is read");
        assert!(send_directories(&ours, &[first.as_fd(); DIRECTORIES_MAX + 1]).is_err());
    }
}
