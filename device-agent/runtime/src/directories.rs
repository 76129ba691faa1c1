//! Directories that the starter hands over before the worker gives up opening files.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use worker_protocol::{DIRECTORIES_MAX, receive_directories};

/// What may be done below one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryUse {
    Read,
    Write,
}

impl DirectoryUse {
    /// One letter each, `r` or `w`, in the order in which they come.
    pub fn read(letters: &str) -> Option<Vec<Self>> {
        let of = |letter| match letter {
            'r' => Some(Self::Read),
            'w' => Some(Self::Write),
            _ => None,
        };
        let uses: Option<Vec<Self>> = letters.chars().map(of).collect();
        uses.filter(|uses| (1..=DIRECTORIES_MAX).contains(&uses.len()))
    }
}

pub struct GivenDirectory {
    pub descriptor: OwnedFd,
    pub given_for: DirectoryUse,
}

pub fn receive(socket: impl AsFd, uses: &[DirectoryUse]) -> io::Result<Vec<GivenDirectory>> {
    let received = receive_directories(socket, uses.len())?;
    let given = received.into_iter().zip(uses);
    Ok(given
        .map(|(descriptor, given_for)| GivenDirectory { descriptor, given_for: *given_for })
        .collect())
}
