//! Passing bytes through while they are recorded.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// One of this process's own streams, to which bytes are passed through as they are and at once.
pub(crate) struct Tee {
    /// `None` once nobody reads them any more.
    file: Option<File>,
}

impl Tee {
    /// Passes bytes through to this stream.
    ///
    /// # Errors
    ///
    /// The stream's descriptor cannot be duplicated.
    pub(crate) fn new(stream: impl AsFd) -> io::Result<Self> {
        Ok(Self { file: Some(stream.as_fd().try_clone_to_owned()?.into()) })
    }

    /// Writes all of the bytes, waiting for the reader if need be. Where nobody reads them any more,
    /// recording goes on without.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if write_all(file, bytes).is_err() {
            self.file = None;
        }
    }
}

fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process that shares the stream may have told it not to wait.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                poll(&mut fds, PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
