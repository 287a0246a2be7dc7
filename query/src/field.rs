//! Fields of records by their names, and paths into JSON: `statusCode`, `data.user.id`, `error.text`.
//!
//! The names are those of the JSON output, in upper or lower case; some have a short form too:
//!
//! ```text
//! name          short          of records of type         known from
//! timestamp     time ts        all                        spine
//! level                        all                        spine
//! type                         all                        spine
//! workerId      worker         all; null for the master   spine; record of WORKER_SPAWNED, _EXITED
//! writer                       all                        spine
//! seq                          all                        spine
//! requestId     request        REQUEST to LOG of one      spine
//! ipAddress     ip             REQUEST, if known          record
//! httpVersion   http           REQUEST                    record
//! method                       REQUEST                    spine, unless it is a rare one
//! url                          REQUEST                    record
//! section                      REQUEST                    spine of most blocks with many of them; record
//! statusCode    status         RESPONSE                   spine
//! bytes         size           RESPONSE, _FINISHED        spine
//! durationMs    duration ms    RESPONSE, _FINISHED        spine
//! error                        what failed                record; that there is one: spine
//! data                         REQUEST_META, LOG, and     record
//!                              what loggers say of
//!                              themselves
//! event                        LIFECYCLE                  spine
//! exitCode      exit           WORKER_EXITED              record
//! signal                       WORKER_EXITED              record
//! ```
//!
//! A section is the first part of the url's path, by which `logq monitor` counts; JSON output does not have
//! it.
//!
//! "Spine" means that the value is known without touching the body of a block, which is most of its
//! bytes; see [`FieldPath::spine_value`].
//!
//! A path leads from `data` or `error` into JSON: `data.user.id`, `data.items[0].price`, and with
//! quotes for keys of other characters, `data."odd key"` or `data['odd key']`. Keys must be written
//! exactly. Of an error, `error.text` is its stack or value, whichever it has, and a key that is none
//! of `stack`, `value`, `text`, `expected`, `properties` and `debug` is looked up in its properties:
//! `error.code` is `error.properties.code`.

use std::borrow::Cow;
use std::fmt;

use logq_format::{
    DecodeError, ErrorInfo, ErrorKind, Event, Level, Origin, Record, RecordType, Spine, SpineRow,
    TypeSet, json, url_section,
};

use crate::expression::ExpressionError;
use crate::lookup::{Step, find};

mod path;
mod value;

pub(crate) use self::path::{after_root, quote, root};
pub use self::value::FieldValue;
pub(crate) use self::value::Number;

/// A field of records by name, perhaps with a path into its JSON.
///
/// `Display` writes the full name, in a form that parses back to the same path.
///
/// # Examples
///
/// ```
/// use logq_format::{Event, Json, Level, LogSource, Origin, Record, Timestamp, WriterId};
/// use logq_query::FieldPath;
///
/// let data = Json::new(r#"{"user":{"id":7},"items":[{"price":1.50}]}"#).ok_or("control")?;
/// let event = Event::Log { source: LogSource::Master, level: Level::Info, data };
/// let record = Record { time: Timestamp::from_micros(0), event };
/// let origin = Origin { writer: WriterId(1), worker: None };
///
/// let price = FieldPath::parse("data.items[0].price")?;
/// let value = price.value(&record, origin, 17).ok_or("no price")?;
/// assert_eq!((value.to_string(), value.as_f64()), ("1.50".to_owned(), Some(1.5)));
///
/// let status = FieldPath::parse("status")?;
/// assert_eq!(status.to_string(), "statusCode");
/// assert_eq!(status.value(&record, origin, 17), None);
///
/// let misspelt = FieldPath::parse("lvel").unwrap_err().to_string();
/// assert!(misspelt.contains("did you mean level?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath {
    root: Root,
    /// Only of `data` and `error`.
    steps: Vec<Step>,
}

/// What a path begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    Timestamp,
    Level,
    Type,
    Worker,
    Writer,
    Sequence,
    Request,
    Address,
    HttpVersion,
    Method,
    Url,
    Section,
    Status,
    Bytes,
    Duration,
    Error,
    Data,
    Event,
    ExitCode,
    Signal,
}

/// What is known of a field before the record is decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum Known<T> {
    /// The record does not have the field.
    Missing,
    /// The record has it, with this value.
    Value(T),
    /// The record has it; which value, only the decoded record tells.
    Present,
    /// Only the decoded record tells whether it has the field.
    Unknown,
}

/// Where a field of the records of one type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Records of the type do not have it.
    Nowhere,
    /// In the spine, if the record has it.
    Spine,
    /// In the spine, and every record of the type has it.
    SpineAlways,
    /// In the spine of most blocks, else in the body; every record of the type has it.
    SpineOrBody,
    /// In the body, if the record has it.
    Body,
    /// In the body, and every record of the type has it.
    BodyAlways,
}

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// Says where the text is no path, which name is unknown, and which one is similar.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        path::parse(text)
    }

    /// Every field of the JSON output as a whole, in its order.
    pub fn all() -> impl Iterator<Item = Self> {
        path::roots().map(|root| Self { root, steps: Vec::new() })
    }

    /// The value of the field in a record of `origin` with this sequence number; `None` if it does
    /// not have the field.
    ///
    /// Paths into data cost one pass over its text. Whole `error` objects, their DEBUG entries, and
    /// the data of what loggers say of themselves cost a rendering of the record.
    pub fn value<'r>(
        &self,
        record: &Record<'r>,
        origin: Origin,
        sequence: u64,
    ) -> Option<FieldValue<'r>> {
        Some(match self.root {
            Root::Timestamp => FieldValue::Time(record.time),
            Root::Level => FieldValue::Level(record.level()),
            Root::Type => FieldValue::text(record.record_type().as_str()),
            Root::Worker => worker(record.subject(origin)),
            Root::Writer => FieldValue::integer(origin.writer.0),
            Root::Sequence => FieldValue::integer(sequence),
            Root::Request => FieldValue::Request(record.request_id()?),
            Root::Event => FieldValue::text(record.event_name()?),
            _ => self.event_value(record, origin, sequence)?,
        })
    }

    /// The value of a field that only some events have.
    fn event_value<'r>(
        &self,
        record: &Record<'r>,
        origin: Origin,
        sequence: u64,
    ) -> Option<FieldValue<'r>> {
        match (self.root, &record.event) {
            (Root::Address, Event::Request(request)) => request.ip.map(FieldValue::Address),
            (Root::HttpVersion, Event::Request(request)) => {
                Some(FieldValue::Version(request.http_version))
            }
            (Root::Method, Event::Request(request)) => {
                Some(FieldValue::text(request.method.as_str()))
            }
            (Root::Url, Event::Request(request)) => Some(FieldValue::text(request.url)),
            (Root::Section, Event::Request(request)) => {
                Some(FieldValue::text(url_section(request.method.as_str(), request.url)))
            }
            (Root::Status, Event::Response(response)) => Some(FieldValue::integer(response.status)),
            (Root::Bytes, event) => measures(event).0.map(FieldValue::integer),
            (Root::Duration, event) => measures(event).1.map(FieldValue::Micros),
            (Root::ExitCode, Event::WorkerExited(exited)) => {
                exited.exit_code.map(FieldValue::integer)
            }
            (Root::Signal, Event::WorkerExited(exited)) => exited.signal.map(FieldValue::text),
            (Root::Data, Event::RequestMeta { data, .. } | Event::Log { data, .. }) => {
                let found = find(data.as_str(), &self.steps).map(FieldValue::from);
                // Text that is no JSON is the value nevertheless.
                let whole =
                    || self.steps.is_empty().then(|| FieldValue::Json(data.as_str().into()));
                found.or_else(whole)
            }
            (Root::Data, _) if own_data().contains(record.record_type()) => {
                self.rendered(record, origin, sequence)
            }
            (Root::Error, event) => {
                let (error, expected) = error(event)?;
                let rendered = || self.rendered(record, origin, sequence);
                self.error_value(error, expected).unwrap_or_else(rendered)
            }
            _ => None,
        }
    }

    /// The value of a path into an error; `None` if it takes a rendering to tell.
    fn error_value<'r>(
        &self,
        error: &ErrorInfo<'r>,
        expected: bool,
    ) -> Option<Option<FieldValue<'r>>> {
        let Some((Step::Key(first), rest)) = self.steps.split_first() else { return None };
        let is_stack = error.kind == ErrorKind::Stack;
        let text = |has: bool| (has && rest.is_empty()).then(|| FieldValue::text(error.text));
        Some(match first.as_str() {
            "text" => text(true),
            "stack" => text(is_stack),
            "value" => text(!is_stack),
            "expected" => (expected && rest.is_empty()).then_some(FieldValue::Bool(true)),
            "properties" => {
                error.properties.and_then(|json| find(json.as_str(), rest)).map(FieldValue::from)
            }
            _ => return None,
        })
    }

    /// The value as the line of JSON shows it: for what is rare.
    fn rendered(
        &self,
        record: &Record<'_>,
        origin: Origin,
        sequence: u64,
    ) -> Option<FieldValue<'static>> {
        let mut line = Vec::new();
        json::write_line(&mut line, record, origin, sequence);
        let line = String::from_utf8_lossy(&line);
        let root = Step::Key(self.root.name().to_owned());
        let steps: Vec<_> = std::iter::once(root).chain(self.steps.iter().cloned()).collect();
        let found = find(&line, &steps).map(|found| FieldValue::from(found).into_owned());
        // Text that is no JSON may hide where the field is, but not that it is there.
        found.or_else(|| self.steps.is_empty().then(|| FieldValue::Json("{}".into())))
    }

    /// What the spine tells of the field. Costs a look at a column.
    pub fn spine_value<'s>(&self, row: &SpineRow<'s, '_>, origin: Origin) -> Known<FieldValue<'s>> {
        let some = |value: Option<FieldValue<'s>>| value.map_or(Known::Missing, Known::Value);
        match (self.place(row.record_type()), self.root) {
            (Place::Nowhere, _) => Known::Missing,
            (_, Root::Timestamp) => Known::Value(FieldValue::Time(row.time())),
            (_, Root::Level) => Known::Value(FieldValue::Level(row.level())),
            (_, Root::Type) => Known::Value(FieldValue::text(row.record_type().as_str())),
            (Place::SpineAlways, Root::Worker) => Known::Value(worker(origin.worker)),
            (_, Root::Writer) => Known::Value(FieldValue::integer(origin.writer.0)),
            (_, Root::Sequence) => Known::Value(FieldValue::integer(row.sequence())),
            (_, Root::Request) => some(row.request_id().map(FieldValue::Request)),
            (_, Root::Status) => some(row.status().map(FieldValue::integer)),
            (_, Root::Bytes) => some(row.bytes().map(FieldValue::integer)),
            (_, Root::Duration) => some(row.duration_us().map(FieldValue::Micros)),
            (_, Root::Event) => some(row.event_name().map(FieldValue::text)),
            (_, Root::Method) => match row.method() {
                Some(method) => Known::Value(FieldValue::text(method.as_str())),
                None => Known::Present,
            },
            (_, Root::Section) => match row.url_section() {
                Some(section) => Known::Value(FieldValue::text(section)),
                None => Known::Present,
            },
            (_, Root::Error) if !row.has_error() => Known::Missing,
            (_, Root::Error) if self.steps.is_empty() => Known::Present,
            (Place::SpineOrBody | Place::BodyAlways, _) => Known::Present,
            _ => Known::Unknown,
        }
    }

    /// What the header of a block tells of the field in its records of this level and type, if
    /// `origin` has written it.
    pub fn kind_value(
        &self,
        level: Level,
        record_type: RecordType,
        origin: Origin,
    ) -> Known<FieldValue<'static>> {
        match (self.place(record_type), self.root) {
            (Place::Nowhere, _) => Known::Missing,
            (_, Root::Level) => Known::Value(FieldValue::Level(level)),
            (_, Root::Type) => Known::Value(FieldValue::text(record_type.as_str())),
            (_, Root::Writer) => Known::Value(FieldValue::integer(origin.writer.0)),
            (Place::SpineAlways, Root::Worker) => Known::Value(worker(origin.worker)),
            (Place::SpineAlways | Place::SpineOrBody | Place::BodyAlways, _) => Known::Present,
            _ => Known::Unknown,
        }
    }

    /// Whether the spine alone tells the value in every record of these types: then grouping and
    /// quantiles need no body.
    pub fn is_in_spine(&self, types: TypeSet) -> bool {
        let mut inside = RecordType::ALL.into_iter().filter(|each| types.contains(*each));
        inside.all(|record_type| {
            matches!(self.place(record_type), Place::Nowhere | Place::Spine | Place::SpineAlways)
        })
    }

    /// The same of the records of one block, of which the spine may tell more than of others.
    ///
    /// # Errors
    ///
    /// Fails where the column in question is damaged.
    pub fn is_in_this_spine(&self, spine: &Spine<'_>, types: TypeSet) -> Result<bool, DecodeError> {
        Ok(match self.root {
            _ if self.is_in_spine(types) => true,
            Root::Section => spine.url_sections()?.is_some(),
            Root::Method => spine.has_all_methods(),
            _ => false,
        })
    }

    /// Whether the spines of some blocks tell the value in every record of these types.
    pub fn may_be_in_spine(&self, types: TypeSet) -> bool {
        self.is_in_spine(types) || matches!(self.root, Root::Section | Root::Method)
    }

    /// The types whose records can have the field.
    pub fn types(&self) -> TypeSet {
        let has = |record_type: &RecordType| self.place(*record_type) != Place::Nowhere;
        RecordType::ALL.into_iter().filter(has).fold(TypeSet::EMPTY, TypeSet::with)
    }

    /// Where the field is in records of a type.
    pub(crate) fn place(&self, record_type: RecordType) -> Place {
        use RecordType as T;
        match (self.root, record_type) {
            (Root::Worker, T::WorkerSpawned | T::WorkerExited) => Place::BodyAlways,
            (
                Root::Timestamp
                | Root::Level
                | Root::Type
                | Root::Worker
                | Root::Writer
                | Root::Sequence,
                _,
            ) => Place::SpineAlways,
            (
                Root::Request,
                T::Request | T::RequestMeta | T::Response | T::ResponseFinished | T::RequestLog,
            ) => Place::SpineAlways,
            (Root::Address, T::Request) => Place::Body,
            (Root::HttpVersion | Root::Url, T::Request) => Place::BodyAlways,
            (Root::Method | Root::Section, T::Request) => Place::SpineOrBody,
            (Root::Status, T::Response) => Place::SpineAlways,
            (Root::Bytes | Root::Duration, T::Response | T::ResponseFinished) => Place::Spine,
            (Root::Error, T::UncaughtException) if self.steps.is_empty() => Place::BodyAlways,
            (Root::Error, T::Response | T::ResponseFinished | T::UncaughtException) => Place::Body,
            (Root::Data, _) if has_data().contains(record_type) => {
                if self.steps.is_empty() {
                    Place::BodyAlways
                } else {
                    Place::Body
                }
            }
            (
                Root::Event,
                T::WorkerLifecycle
                | T::MasterLifecycle
                | T::WorkerSpawned
                | T::WorkerExited
                | T::UncaughtException,
            ) => Place::SpineAlways,
            (Root::ExitCode | Root::Signal, T::WorkerExited) => Place::Body,
            _ => Place::Nowhere,
        }
    }

    pub(crate) fn root(&self) -> Root {
        self.root
    }

    pub(crate) fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }
}

/// The types of what loggers say of themselves.
fn own_data() -> TypeSet {
    use RecordType as T;
    [T::Lost, T::ClockStep, T::IoError, T::Unknown].into_iter().fold(TypeSet::EMPTY, TypeSet::with)
}

fn has_data() -> TypeSet {
    use RecordType as T;
    let logged = [T::RequestMeta, T::RequestLog, T::WorkerLog, T::MasterLog];
    logged.into_iter().fold(own_data(), TypeSet::with)
}

fn worker(worker: Option<logq_format::WorkerId>) -> FieldValue<'static> {
    worker.map_or(FieldValue::Null, |worker| FieldValue::integer(worker.get()))
}

/// Bytes and duration.
fn measures(event: &Event<'_>) -> (Option<u64>, Option<u64>) {
    match event {
        Event::Response(response) => (response.bytes, response.duration_us),
        Event::ResponseFinished(finished) => (finished.bytes, finished.duration_us),
        _ => (None, None),
    }
}

/// The error of an event, and whether it was expected.
fn error<'e, 'r>(event: &'e Event<'r>) -> Option<(&'e ErrorInfo<'r>, bool)> {
    match event {
        Event::Response(response) => response.error.as_ref().map(|e| (e, response.expected)),
        Event::ResponseFinished(finished) => finished.error.as_ref().map(|e| (e, false)),
        Event::UncaughtException { error, .. } => Some((error, false)),
        _ => None,
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.root.name())?;
        for step in &self.steps {
            match step {
                Step::Key(key) if path::is_plain(key) => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, ".{}", quote(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for FieldPath {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        Self::parse(text)
    }
}

/// A value that borrows from nothing can stand for a group of records.
impl FieldValue<'_> {
    /// The raw text, without a copy where it is text already.
    pub fn raw(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Json(text) => Cow::Borrowed(text),
            _ => Cow::Owned(self.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
