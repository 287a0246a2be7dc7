//! The one who writes a stream, and what the socket itself would take.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::readers::{LINE, line};
use crate::{Result, content};

/// A PUT that has begun.
pub(crate) struct Upload {
    connection: TcpStream,
    path: String,
    sent: usize,
    len: usize,
}

impl Upload {
    /// Begins a stream of `len` bytes.
    pub(crate) fn begin(put: SocketAddr, path: &str, len: usize) -> Result<Self> {
        let mut connection = TcpStream::connect(put)?;
        connection.set_nodelay(true)?;
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
            Content-Type: text/plain\r\nContent-Length: {len}\r\n\r\n"
        );
        connection.write_all(head.as_bytes())?;
        Ok(Self { connection, path: path.to_owned(), sent: 0, len })
    }

    /// Sends bytes of the body.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.connection.write_all(bytes)?;
        self.sent += bytes.len();
        Ok(())
    }

    /// Sends the first byte, which makes the stream, so that readers find it.
    pub(crate) fn first_byte(&mut self) -> Result<()> {
        self.write(content().get(..1).unwrap_or_default())
    }

    /// Sends what is left as fast as it goes. Returns how long it took until the answer was there.
    pub(crate) fn all(mut self) -> Result<Duration> {
        let piece = content();
        let start = Instant::now();
        while self.sent < self.len {
            let rest = piece.get(self.sent % piece.len()..).unwrap_or_default();
            let rest = rest.get(..rest.len().min(self.len - self.sent)).unwrap_or_default();
            self.write(rest)?;
        }
        self.finish()?;
        Ok(start.elapsed())
    }

    /// Sends a line that says when it was sent.
    pub(crate) fn line(&mut self) -> Result<()> {
        self.write(&line())
    }

    /// Sends what is left line by line, one each millisecond.
    pub(crate) fn lines(mut self) -> Result<()> {
        let mut due = Instant::now();
        while self.sent + LINE <= self.len {
            due += Duration::from_millis(1);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.line()?;
        }
        self.finish()
    }

    fn finish(mut self) -> Result<()> {
        let mut answer = String::new();
        self.connection.read_to_string(&mut answer)?;
        match answer.split(' ').nth(1) {
            Some("201") => Ok(()),
            _ => {
                Err(format!("PUT {}: {}", self.path, answer.lines().next().unwrap_or("no answer"))
                    .into())
            }
        }
    }
}

/// Sends `len` bytes from one socket to another through `relays` others that read and write them, with
/// nothing but threads and system calls. Bytes a second.
pub(crate) fn copy(len: usize, relays: usize) -> Result<f64> {
    let end = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut next = end.local_addr()?;
    let mut threads = vec![thread::spawn(move || forward(&end, |_| Ok(())))];
    for _ in 0..relays {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut to = TcpStream::connect(next)?;
        next = listener.local_addr()?;
        threads.push(thread::spawn(move || forward(&listener, |bytes| Ok(to.write_all(bytes)?))));
    }
    let piece = content();
    let mut connection = TcpStream::connect(next)?;
    let start = Instant::now();
    for _ in 0..len / piece.len() {
        connection.write_all(&piece)?;
    }
    drop(connection);
    for thread in threads {
        thread.join().map_err(|_| "a thread failed")??;
    }
    Ok(len as f64 / start.elapsed().as_secs_f64())
}

/// Reads what comes to `listener` and hands it on.
fn forward(listener: &TcpListener, mut on: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let (mut from, _) = listener.accept()?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            len => on(buffer.get(..len).unwrap_or_default())?,
        }
    }
}
