//! What a log record is: every kind of event with its typed fields.
//!
//! Records borrow their text, so that one type serves encoding (from the caller's buffers) and
//! decoding (from a decompressed block). How they become bytes is told in `block`; how they
//! become JSON in `json`.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::level::Level;
use crate::timestamp::Timestamp;

/// One event at one instant.
///
/// Who wrote it and its sequence number belong to the block that holds it; see
/// [`Origin`](crate::Origin).
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// When it happened, by the writer's clock.
    pub time: Timestamp,
    /// What happened.
    pub event: Event<'a>,
}

/// What a record tells. The variants and their fields are those of the logging API.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The head of an HTTP request has arrived.
    Request(Request<'a>),
    /// The application attached data to a request.
    RequestMeta {
        /// The request.
        request: RequestId,
        /// Any JSON value.
        data: Json<'a>,
    },
    /// The head of the response was sent.
    Response(Response<'a>),
    /// The response body is done.
    ResponseFinished(ResponseFinished<'a>),
    /// A message of the application.
    Log {
        /// Who speaks: a request, the worker or the master.
        source: LogSource,
        /// How severe it is.
        level: Level,
        /// Any JSON value.
        data: Json<'a>,
    },
    /// A step in the life of the process or the cluster that has no fields.
    Lifecycle(Lifecycle),
    /// The master has spawned a worker.
    WorkerSpawned {
        /// The number of the new worker.
        worker: WorkerId,
    },
    /// The master saw a worker end.
    WorkerExited(WorkerExited<'a>),
    /// An exception that nobody caught, in the process that writes.
    UncaughtException {
        /// Whether the master or a worker met it.
        process: Process,
        /// The exception with the DEBUG entries kept until then.
        error: ErrorInfo<'a>,
    },
    /// Records were dropped because the disk did not take them.
    Lost(Lost<'a>),
    /// The wall clock was stepped.
    ClockStep(ClockStep),
    /// Writing or syncing a segment failed.
    IoError(IoError<'a>),
    /// A record of a kind that a newer version defined; kept, counted, not understood.
    Unknown {
        /// The kind, 96 to 127.
        kind: u8,
        /// Its fields, in an encoding this version does not know.
        payload: &'a [u8],
    },
}

/// Who speaks in a [`Event::Log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// Code that serves this request.
    Request(RequestId),
    /// The worker process as a whole.
    Worker,
    /// The master process.
    Master,
}

/// The role of a process in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Process {
    /// The process that spawns workers.
    Master,
    /// A process that serves requests.
    Worker,
}

/// The head of an HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    /// The request's id.
    pub request: RequestId,
    /// The client's address, if known.
    pub ip: Option<IpAddr>,
    /// The version of HTTP spoken.
    pub http_version: HttpVersion,
    /// The method.
    pub method: Method<'a>,
    /// The request target as received.
    pub url: &'a str,
}

/// The head of an HTTP response.
#[derive(Clone, Debug, PartialEq)]
pub struct Response<'a> {
    /// The request's id.
    pub request: RequestId,
    /// The status code, 0 to 65535; HTTP uses 100 to 599.
    pub status: u16,
    /// What went wrong while handling the request, if anything did.
    pub error: Option<ErrorInfo<'a>>,
    /// Whether `error` was expected: then the record is INFO, not ERROR. Ignored without an error.
    pub expected: bool,
    /// Body bytes, if known.
    pub bytes: Option<u64>,
    /// Microseconds since the request, if measured.
    pub duration_us: Option<u64>,
}

/// The end of a response body.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseFinished<'a> {
    /// The request's id.
    pub request: RequestId,
    /// What went wrong after the head was sent, if anything did.
    pub error: Option<ErrorInfo<'a>>,
    /// Body bytes, if known.
    pub bytes: Option<u64>,
    /// Microseconds since the request, if measured.
    pub duration_us: Option<u64>,
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerExited<'a> {
    /// The number of the worker.
    pub worker: WorkerId,
    /// Its exit code, if it exited.
    pub exit_code: Option<i32>,
    /// The name of the signal that ended it, such as `SIGKILL`.
    pub signal: Option<&'a str>,
}

impl WorkerExited<'_> {
    /// Whether this is a normal end: code 0, or asked for by SIGTERM or SIGINT.
    pub fn is_orderly(&self) -> bool {
        self.exit_code == Some(0) || matches!(self.signal, Some("SIGTERM" | "SIGINT"))
    }
}

/// An error or exception, with the DEBUG entries that were kept back until it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorInfo<'a> {
    /// Whether `text` is a stack trace or the text of a value.
    pub kind: ErrorKind,
    /// The stack trace, or the value as text.
    pub text: &'a str,
    /// Further properties of the error: a JSON object, if it has any.
    pub properties: Option<Json<'a>>,
    /// The DEBUG entries, oldest first.
    pub debug: Cow<'a, [DebugEntry<'a>]>,
}

/// What the text of an [`ErrorInfo`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text of a value that was thrown or returned.
    Value,
    /// A message with a stack trace.
    Stack,
}

/// A DEBUG message that was kept in memory until an error made it worth writing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DebugEntry<'a> {
    /// When it was logged.
    pub time: Timestamp,
    /// Any JSON value.
    pub data: Json<'a>,
}

/// Steps in the life of a process or cluster that carry no further fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the documentation; the API methods explain them")]
pub enum Lifecycle {
    WorkerStarted = 20,
    WorkerGoingOnline = 21,
    WorkerOnline = 22,
    WorkerGoingOffline = 23,
    WorkerOffline = 24,
    WorkerDone = 25,
    StartingUp = 40,
    StartingUpCompleted = 41,
    ShuttingDown = 42,
    ShuttingDownCompleted = 43,
}

impl Lifecycle {
    /// All steps, a worker's first.
    pub const ALL: [Self; 10] = [
        Self::WorkerStarted,
        Self::WorkerGoingOnline,
        Self::WorkerOnline,
        Self::WorkerGoingOffline,
        Self::WorkerOffline,
        Self::WorkerDone,
        Self::StartingUp,
        Self::StartingUpCompleted,
        Self::ShuttingDown,
        Self::ShuttingDownCompleted,
    ];

    /// The name as records print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkerStarted => "WORKER_STARTED",
            Self::WorkerGoingOnline => "WORKER_GOING_ONLINE",
            Self::WorkerOnline => "WORKER_ONLINE",
            Self::WorkerGoingOffline => "WORKER_GOING_OFFLINE",
            Self::WorkerOffline => "WORKER_OFFLINE",
            Self::WorkerDone => "WORKER_DONE",
            Self::StartingUp => "STARTING_UP",
            Self::StartingUpCompleted => "STARTING_UP_COMPLETED",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::ShuttingDownCompleted => "SHUTTING_DOWN_COMPLETED",
        }
    }

    /// Which role of process goes through this step.
    pub const fn process(self) -> Process {
        if (self as u8) < 40 { Process::Worker } else { Process::Master }
    }
}

/// How many records were dropped, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost<'a> {
    /// Dropped records by level, most severe first: index 0 is CRITICAL, 5 is TRACE.
    pub counts: [u64; 6],
    /// The time of the first dropped record.
    pub first: Timestamp,
    /// The time of the last dropped record.
    pub last: Timestamp,
    /// Why, such as `no space left on device`.
    pub reason: &'a str,
}

impl Lost<'_> {
    /// The dropped records of all levels.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// A step of the wall clock as the writer met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// What the clock was expected to show.
    pub expected: Timestamp,
    /// What it showed.
    pub found: Timestamp,
}

/// A failed write or sync of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoError<'a> {
    /// The operation: `write`, `sync`, `open`.
    pub operation: &'a str,
    /// The operating system's error number, 0 if there is none.
    pub code: i32,
    /// The file concerned.
    pub path: &'a str,
    /// The error as text.
    pub message: &'a str,
}

/// A version of HTTP, each part 0 to 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HttpVersion {
    major: u8,
    minor: u8,
}

impl HttpVersion {
    /// HTTP/1.0.
    pub const HTTP_10: Self = Self { major: 1, minor: 0 };
    /// HTTP/1.1.
    pub const HTTP_11: Self = Self { major: 1, minor: 1 };
    /// HTTP/2.
    pub const HTTP_2: Self = Self { major: 2, minor: 0 };
    /// HTTP/3.
    pub const HTTP_3: Self = Self { major: 3, minor: 0 };

    /// The version `major.minor`, if both are at most 7, as the format can store.
    pub const fn new(major: u8, minor: u8) -> Option<Self> {
        if major <= 7 && minor <= 7 { Some(Self { major, minor }) } else { None }
    }

    /// The part before the dot.
    pub const fn major(self) -> u8 {
        self.major
    }

    /// The part after the dot.
    pub const fn minor(self) -> u8 {
        self.minor
    }

    /// The version in six bits: major in bits 5 to 3, minor in bits 2 to 0.
    pub(crate) const fn bits(self) -> u8 {
        self.major << 3 | self.minor
    }

    /// The inverse of [`Self::bits`]; higher bits are ignored.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self { major: bits >> 3 & 7, minor: bits & 7 }
    }
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// An HTTP method: one of the nine of RFC 9110 and RFC 5789, or any other text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the methods' names")]
pub enum Method<'a> {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Connect,
    /// Any other method, as received.
    Other(&'a str),
}

impl<'a> Method<'a> {
    const KNOWN: [(&'static str, Method<'static>); 9] = [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("TRACE", Method::Trace),
        ("CONNECT", Method::Connect),
    ];

    /// The names of all methods that are known.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::KNOWN.iter().map(|(name, _)| *name)
    }

    /// The method named `text`; method names are case-sensitive (RFC 9110, section 9.1).
    pub fn new(text: &'a str) -> Self {
        Self::KNOWN
            .iter()
            .find(|(name, _)| *name == text)
            .map_or(Method::Other(text), |(_, method)| *method)
    }

    /// The method's name.
    pub const fn as_str(self) -> &'a str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
            Method::Other(text) => text,
        }
    }

    /// The byte that stands for the method, 1 to 9 in the order of the variants; 0 for another.
    pub(crate) fn code(self) -> u8 {
        match self {
            Method::Get => 1,
            Method::Head => 2,
            Method::Post => 3,
            Method::Put => 4,
            Method::Patch => 5,
            Method::Delete => 6,
            Method::Options => 7,
            Method::Trace => 8,
            Method::Connect => 9,
            Method::Other(_) => 0,
        }
    }

    /// The method with this code, if it is 1 to 9.
    pub(crate) fn from_code(code: u8) -> Option<Method<'static>> {
        let index = usize::from(code).checked_sub(1)?;
        Self::KNOWN.get(index).map(|(_, method)| *method)
    }
}

/// The id of one HTTP request: 16 bytes, printed as a UUID (RFC 9562).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The id with these bytes, in the order of a UUID's text.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, in the order of a UUID's text.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Appends the id as the text of a UUID: 36 ASCII bytes.
    pub fn write_text(self, out: &mut Vec<u8>) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        out.extend_from_slice(self.uuid().hyphenated().encode_lower(&mut text).as_bytes());
    }

    /// The id as a UUID.
    pub const fn uuid(self) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self.0)
    }
}

impl From<uuid::Uuid> for RequestId {
    fn from(uuid: uuid::Uuid) -> Self {
        Self(uuid.into_bytes())
    }
}

impl std::str::FromStr for RequestId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse::<uuid::Uuid>().map(Self::from)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid().hyphenated(), f)
    }
}

/// The number of a worker in its cluster, 0 to [`WorkerId::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(u32);

impl WorkerId {
    /// The largest worker number. One more, 2^24 - 1, stands for the master in block headers.
    pub const MAX: Self = Self(0xFF_FFFE);

    /// The worker with this number, if it is at most [`Self::MAX`].
    pub const fn new(number: u32) -> Option<Self> {
        if number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A JSON value as text: valid JSON (RFC 8259) on one line, without any control character.
///
/// The format stores and returns the text as it is and never builds a tree from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The value `null`.
    pub const NULL: Json<'static> = Json("null");

    /// Wraps text that the caller knows to be valid JSON, such as `serde_json`'s output.
    ///
    /// Text with a control character (U+0000 to U+001F) is not a single line of compact JSON and
    /// yields `None`. Other invalid text is the caller's error: it is stored and returned as it is.
    pub fn new(text: &'a str) -> Option<Self> {
        // A plain loop over bytes: the compiler turns it into vector instructions.
        let control = text.bytes().fold(false, |found, byte| found | (byte < 0x20));
        if control { None } else { Some(Self(text)) }
    }

    /// Wraps text that a decoder has found free of control characters.
    pub(crate) const fn from_checked(text: &'a str) -> Self {
        Self(text)
    }

    /// The JSON text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_codes_and_names_mirror_each_other() {
        for code in 1..=9 {
            let method = Method::from_code(code).unwrap();
            assert_eq!(method.code(), code);
            assert_eq!(Method::new(method.as_str()), method);
        }
        assert_eq!(Method::from_code(0), None);
        assert_eq!(Method::from_code(10), None);
        assert_eq!(Method::new("get"), Method::Other("get"));
    }

    #[test]
    fn json_refuses_control_characters_only() {
        assert!(Json::new("{\"a\":\"\\n\"}").is_some());
        assert!(Json::new("{\n}").is_none());
        assert!(Json::new("\u{1f}").is_none());
        assert!(Json::new("\"\u{7f}é\"").is_some());
    }

    #[test]
    fn orderly_exits_are_code_zero_and_asked_for_signals() {
        let exited = |exit_code, signal| WorkerExited { worker: WorkerId(1), exit_code, signal };
        assert!(exited(Some(0), None).is_orderly());
        assert!(exited(None, Some("SIGTERM")).is_orderly());
        assert!(!exited(None, Some("SIGKILL")).is_orderly());
        assert!(!exited(Some(1), None).is_orderly());
        assert!(!exited(None, None).is_orderly());
    }
}
