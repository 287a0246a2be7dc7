//! The next bytes of something that is read once, as many as are needed at a time.

use std::io::{self, Read};

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

/// The next bytes of a reader.
pub(super) struct Window<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What lies before has been taken.
    start: usize,
    /// The place of `start` in all that is read.
    offset: u64,
    is_end: bool,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), start: 0, offset: 0, is_end: false }
    }

    /// How much has been taken.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes at hand.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// At least `len` bytes, unless there are fewer left.
    pub(super) fn at_least(&mut self, len: usize) -> io::Result<&[u8]> {
        while self.bytes().len() < len && !self.is_end {
            self.read_more(len)?;
        }
        Ok(self.bytes())
    }

    fn read_more(&mut self, len: usize) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + READ_BYTES.max(len.saturating_sub(held)), 0);
        let read = loop {
            let room = self.buffer.get_mut(held..).unwrap_or_default();
            match self.reader.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
        self.is_end = read? == 0;
        Ok(())
    }

    /// Takes bytes, at most those at hand.
    pub(super) fn take(&mut self, len: usize) {
        let len = len.min(self.bytes().len());
        self.start += len;
        self.offset += len as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that gives a byte at a time, and is interrupted in between.
    struct Drip(Vec<u8>, bool);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let Some(byte) = (!self.0.is_empty()).then(|| self.0.remove(0)) else { return Ok(0) };
            buffer[0] = byte;
            Ok(1)
        }
    }

    #[test]
    fn short_reads_are_completed_and_the_end_is_told() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut window = Window::new(Drip(bytes.clone(), false));
        assert_eq!(window.at_least(10).unwrap(), &bytes[..10]);
        window.take(7);
        assert_eq!(window.offset(), 7);
        assert_eq!(window.at_least(3).unwrap(), &bytes[7..10]);
        assert_eq!(window.at_least(1000).unwrap(), &bytes[7..]);
        window.take(1000);
        assert_eq!((window.offset(), window.at_least(1).unwrap()), (100, &[] as &[u8]));
    }
}
