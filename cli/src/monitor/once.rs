//! What is read once and not followed: standard input, and compressed archives.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::archive::Archive;

/// How long standard input is waited for before somebody looks at the time again.
const WAIT: u16 = 100;

/// A stream with an end.
pub(super) enum Once {
    Stdin,
    Archive(Box<Archive>),
}

/// What a stream gave.
pub(super) enum Got {
    Bytes(usize),
    /// Nothing has come yet.
    Nothing,
    End,
}

impl Once {
    /// Reads on. Does not wait for standard input, or if `waits`, a tenth of a second.
    ///
    /// # Errors
    ///
    /// The stream cannot be read, or is not what its first bytes say.
    pub(super) fn read(&mut self, buffer: &mut [u8], waits: bool) -> io::Result<Got> {
        let read = match self {
            Self::Archive(archive) => {
                return Ok(archive.read(buffer)?.map_or(Got::End, Got::Bytes));
            }
            Self::Stdin => {
                let stdin = io::stdin();
                if !is_ready(stdin.as_fd(), if waits { WAIT } else { 0 })? {
                    return Ok(Got::Nothing);
                }
                nix::unistd::read(stdin.as_fd(), buffer).map_err(io::Error::from)
            }
        };
        match read {
            Ok(0) => Ok(Got::End),
            Ok(len) => Ok(Got::Bytes(len)),
            Err(error) if is_passing(&error) => Ok(Got::Nothing),
            Err(error) => Err(error),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Whether reading would not wait: there is something, the end, or an error.
fn is_ready(descriptor: BorrowedFd<'_>, milliseconds: u16) -> io::Result<bool> {
    let mut fds = [PollFd::new(descriptor, PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(milliseconds)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
