//! A client that sees what is on the wire: whether a response ended or was cut off, which a library
//! would hide.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No test waits longer than this for bytes that do not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As its framing says that it ends.
    Complete,
    /// The connection closed before.
    Cut,
}

/// A response whose head has come.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub trailers: Vec<(String, String)>,
    connection: BufReader<TcpStream>,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes to come.
    Length(u64),
    /// Chunks; so many bytes of the present one to come.
    Chunked(u64),
    UntilClose,
    Over(Ended),
}

/// Connects, without the patience of the system.
pub fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).expect("the server listens");
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    connection.set_nodelay(true).unwrap();
    connection
}

/// Sends a request without body and waits for the head of the response.
pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(address, method, path, headers, b"")
}

/// GET.
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(address, "GET", path, headers)
}

/// Sends a request with a body of known length, if it has one.
pub fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut connection = connect(address);
    let mut head = head(method, path, headers);
    if !body.is_empty() || matches!(method, "PUT" | "PATCH") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    // A server that refuses may close before it has read everything.
    let _ = connection.write_all(body);
    Answer::read(connection, method == "HEAD")
}

fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head
}

impl Answer {
    /// Reads the head of a response.
    pub fn read(connection: TcpStream, headless: bool) -> Self {
        let mut connection = BufReader::with_capacity(64 << 10, connection);
        let mut line = String::new();
        connection.read_line(&mut line).expect("a status line");
        let status: u16 = line.split(' ').nth(1).unwrap_or("0").parse().expect("a status");
        let headers = read_fields(&mut connection).expect("headers");
        let mut answer = Self {
            status,
            headers,
            trailers: Vec::new(),
            connection,
            framing: Framing::UntilClose,
        };
        answer.framing = if headless || matches!(status, 204 | 304) || status < 200 {
            Framing::Over(Ended::Complete)
        } else if let Some(len) = answer.header("content-length") {
            Framing::Length(len.parse().unwrap())
        } else if answer.header("transfer-encoding") == Some("chunked") {
            Framing::Chunked(0)
        } else {
            Framing::UntilClose
        };
        answer
    }

    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        fields.next().map(|(_, value)| value.as_str())
    }

    /// The value of a trailer.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        let mut fields = self.trailers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        fields.next().map(|(_, value)| value.as_str())
    }

    /// Some of the body, as it comes; empty at its end.
    pub fn some(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            let room = match self.framing {
                Framing::Over(_) => return 0,
                Framing::Length(0) => {
                    self.framing = Framing::Over(Ended::Complete);
                    continue;
                }
                Framing::Chunked(0) => {
                    self.framing = self.next_chunk().unwrap_or(Framing::Over(Ended::Cut));
                    continue;
                }
                Framing::Length(len) | Framing::Chunked(len) => {
                    buffer.len().min(usize::try_from(len).unwrap())
                }
                Framing::UntilClose => buffer.len(),
            };
            let count = match self.connection.read(&mut buffer[..room]) {
                Ok(count) => count,
                Err(error) if is_patience(&error) => panic!("the body stands still: {error}"),
                Err(_) => 0,
            };
            let taken = u64::try_from(count).unwrap();
            self.framing = match self.framing {
                Framing::UntilClose if count == 0 => Framing::Over(Ended::Complete),
                _ if count == 0 => Framing::Over(Ended::Cut),
                Framing::Length(len) => Framing::Length(len - taken),
                Framing::Chunked(len) => {
                    if len == taken && !self.is_line_end() {
                        Framing::Over(Ended::Cut)
                    } else {
                        Framing::Chunked(len - taken)
                    }
                }
                other => other,
            };
            if count > 0 {
                return count;
            }
        }
    }

    fn is_line_end(&mut self) -> bool {
        let mut end = [0; 2];
        self.connection.read_exact(&mut end).is_ok() && end == *b"\r\n"
    }

    fn next_chunk(&mut self) -> io::Result<Framing> {
        let mut line = String::new();
        if self.connection.read_line(&mut line)? == 0 {
            return Ok(Framing::Over(Ended::Cut));
        }
        let len = u64::from_str_radix(line.trim_end(), 16).expect("the size of a chunk");
        if len == 0 {
            self.trailers = read_fields(&mut self.connection)?;
            return Ok(Framing::Over(Ended::Complete));
        }
        Ok(Framing::Chunked(len))
    }

    /// Exactly so many bytes of the body.
    pub fn exactly(&mut self, len: usize) -> Vec<u8> {
        let mut body = vec![0; len];
        let mut filled = 0;
        while filled < len {
            let count = self.some(&mut body[filled..]);
            assert!(count > 0, "the body ended after {filled} of {len} bytes");
            filled += count;
        }
        body
    }

    /// The rest of the body, and how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, Ended) {
        let (mut body, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match self.some(&mut buffer) {
                0 => break,
                count => body.extend_from_slice(&buffer[..count]),
            }
        }
        let Framing::Over(ended) = self.framing else { unreachable!() };
        (body, ended)
    }

    /// The rest of a body that must be complete, as text.
    pub fn text(&mut self) -> String {
        let (body, ended) = self.rest();
        assert_eq!(ended, Ended::Complete);
        String::from_utf8(body).unwrap()
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn read_fields(connection: &mut BufReader<TcpStream>) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                fields.push((name.to_ascii_lowercase(), value.trim().to_owned()))
            }
            None => return Ok(fields),
        }
    }
}

/// A writer whose body has no known length.
pub struct Writing(TcpStream);

impl Writing {
    /// Begins with PUT.
    pub fn put(address: SocketAddr, path: &str) -> Self {
        Self::begin(address, "PUT", path, &[])
    }

    /// Goes on with PATCH.
    pub fn patch(address: SocketAddr, path: &str, offset: usize) -> Self {
        Self::begin(address, "PATCH", path, &[("Logq-Offset", &offset.to_string())])
    }

    pub fn begin(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut connection = connect(address);
        let mut head = head(method, path, headers);
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        connection.write_all(head.as_bytes()).unwrap();
        Self(connection)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).expect("the server takes bytes");
    }

    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write!(self.0, "{:x}\r\n", bytes.len())?;
        self.0.write_all(bytes)?;
        self.0.write_all(b"\r\n")
    }

    /// Ends the body and waits for the answer.
    pub fn finish(mut self) -> Answer {
        // A server that cut the stream off may have closed its side.
        let _ = self.0.write_all(b"0\r\n\r\n");
        Answer::read(self.0, false)
    }

    /// Waits for an answer to what was sent so far.
    pub fn answer(self) -> Answer {
        Answer::read(self.0, false)
    }

    /// Is gone without a word.
    pub fn break_off(self) {
        drop(self.0);
    }
}
