//! What is read once and not followed: standard input, and compressed archives.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::file::OpenError;

/// How long standard input is waited for before somebody looks at the time again.
const WAIT: u16 = 100;

/// Compressed content by its first bytes.
const GZIP: &[u8] = b"\x1F\x8B";
const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";
/// What is known and cannot be read, with what can.
const FOREIGN: [(&[u8], &str); 2] = [(b"\xFD7zXZ\0", "xz"), (b"BZh", "bzip2")];

/// A stream with an end.
pub(super) enum Once {
    Stdin,
    Archive(Box<dyn Read>),
}

/// What a stream gave.
pub(super) enum Got {
    Bytes(usize),
    /// Nothing has come yet.
    Nothing,
    End,
}

impl Once {
    /// A compressed file; nothing if the file is not compressed, or cannot be looked at.
    ///
    /// # Errors
    ///
    /// It is compressed in a way that is not known here.
    pub(super) fn archive(path: &Path) -> Result<Option<Self>, OpenError> {
        // A pipe that is looked at could lose what is in it.
        if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(None);
        }
        let mut head = Vec::new();
        let Ok(mut file) = File::open(path) else { return Ok(None) };
        file.by_ref().take(6).read_to_end(&mut head)?;
        if let Some((_, program)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
            let advice =
                format!("compressed with {program}; try: {program} -dc FILE | logq monitor -");
            return Err(io::Error::new(io::ErrorKind::InvalidData, advice).into());
        }
        let whole = BufReader::new(io::Cursor::new(head.clone()).chain(file));
        Ok(if head.starts_with(GZIP) {
            Some(Self::Archive(Box::new(MultiGzDecoder::new(whole))))
        } else if head.starts_with(ZSTD) {
            Some(Self::Archive(Box::new(zstd::Decoder::with_buffer(whole)?)))
        } else {
            None
        })
    }

    /// Reads on. Does not wait for standard input, or if `waits`, a tenth of a second.
    ///
    /// # Errors
    ///
    /// The stream cannot be read, or is not what its first bytes say.
    pub(super) fn read(&mut self, buffer: &mut [u8], waits: bool) -> io::Result<Got> {
        let read = match self {
            Self::Archive(archive) => archive.read(buffer),
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
