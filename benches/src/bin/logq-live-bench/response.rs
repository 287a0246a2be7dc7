//! One response of a server, read to its end and summed up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::Result;

/// One response, read and checked.
pub(crate) struct Response {
    stream: TcpStream,
    head: Vec<u8>,
    body: Framing,
}

/// How the body ends, and how much of it is left.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(u64),
    /// In a chunk's size line: what of the size was read, and whether it has begun.
    Size {
        size: u64,
        digits: bool,
    },
    /// In a chunk: bytes left.
    Chunk(u64),
    /// After the last chunk, or the last byte.
    Over,
}

/// What was read: how much, and a checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    crc: u32,
    pub(crate) complete: bool,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
    }

    /// Of `len` bytes that repeat `piece`.
    pub(crate) fn of(piece: &[u8], len: usize) -> Self {
        let mut sum = Self { complete: true, ..Self::default() };
        let mut left = len;
        while left > 0 {
            let part = piece.get(..left.min(piece.len())).unwrap_or_default();
            sum.add(part);
            left -= part.len();
        }
        sum
    }
}

impl Response {
    /// Asks, and waits for the head.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        let end = loop {
            if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut head).await? == 0 {
                return Err("no response".into());
            }
        };
        let text = String::from_utf8_lossy(head.get(..end).unwrap_or_default()).to_lowercase();
        if !text.starts_with("http/1.1 200") {
            return Err(text.lines().next().unwrap_or_default().into());
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = match length {
            Some(length) => Framing::Length(length.trim().parse()?),
            None => Framing::Size { size: 0, digits: false },
        };
        head.drain(..end);
        Ok(Self { stream, head, body })
    }

    /// Asks again and again, for so long.
    pub(crate) async fn open_within(
        address: SocketAddr,
        path: &str,
        time: Duration,
    ) -> Result<Self> {
        let begun = Instant::now();
        loop {
            match Self::open(address, path).await {
                Err(_) if begun.elapsed() < time => sleep(Duration::from_millis(10)).await,
                opened => return opened,
            }
        }
    }

    /// Reads to the end of the body, so many bytes at a time.
    pub(crate) async fn sum(self, buffer: usize) -> Result<Sum> {
        let mut sum = Sum::default();
        sum.complete = self.each(buffer, |bytes| sum.add(bytes)).await?;
        Ok(sum)
    }

    /// Gives the content as it comes. Returns whether the body ended as it should.
    pub(crate) async fn each(
        mut self,
        buffer: usize,
        mut content: impl FnMut(&[u8]),
    ) -> Result<bool> {
        let head = std::mem::take(&mut self.head);
        self.take(&head, &mut content)?;
        let mut buffer = vec![0; buffer];
        while !matches!(self.body, Framing::Over | Framing::Length(0)) {
            let len = self.stream.read(&mut buffer).await?;
            if len == 0 {
                return Ok(false);
            }
            self.take(buffer.get(..len).unwrap_or_default(), &mut content)?;
        }
        Ok(true)
    }

    /// Takes the framing off and gives what is content.
    fn take(&mut self, mut bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<()> {
        while let Some((first, after)) = bytes.split_first() {
            match self.body {
                Framing::Over | Framing::Length(0) => return Ok(()),
                Framing::Size { size, digits } => {
                    self.body = after_byte(size, digits, *first);
                    bytes = after;
                }
                Framing::Length(left) | Framing::Chunk(left) => {
                    let (part, rest) = bytes.split_at(bytes.len().min(usize::try_from(left)?));
                    content(part);
                    let left = left - part.len() as u64;
                    self.body = match self.body {
                        Framing::Length(_) => Framing::Length(left),
                        _ if left == 0 => Framing::Size { size: 0, digits: false },
                        _ => Framing::Chunk(left),
                    };
                    bytes = rest;
                }
            }
        }
        Ok(())
    }
}

/// Where a chunk's size line, or the line end before it, is after one more byte.
fn after_byte(size: u64, digits: bool, byte: u8) -> Framing {
    match (char::from(byte).to_digit(16), byte) {
        (Some(digit), _) => {
            Framing::Size { size: size.wrapping_mul(16) + u64::from(digit), digits: true }
        }
        (None, b'\n') if digits && size == 0 => Framing::Over,
        (None, b'\n') if digits => Framing::Chunk(size),
        _ => Framing::Size { size, digits },
    }
}

/// What readers read into: less each where there are many, so that this process stays small.
pub(crate) fn buffer(readers: usize) -> usize {
    ((32 << 20) / readers.max(1)).clamp(16 << 10, 256 << 10)
}
