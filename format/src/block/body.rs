//! The body: addresses, texts, JSON and errors of a block.
//!
//! The mirror image of `BlockBuilder::encode_body`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::opaque;
use super::spine::{Counts, Place, Spine};
use crate::column::{Ints, Texts, Utf8Texts};
use crate::cursor::{Cursor, unzigzag};
use crate::error::DecodeError;
use crate::limits::BLOCK_DEBUG_MAX;
use crate::record::{
    DebugEntry, ErrorInfo, ErrorKind, Event, HttpVersion, Json, Lifecycle, LogSource, Method,
    Process, Request, Response, ResponseFinished,
};
use crate::shape::{self, Family, RecordType, TypeSet};
use crate::timestamp::Timestamp;

/// The decoded body of one block.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    request_kinds: &'a [u8],
    addresses: Vec<Option<IpAddr>>,
    /// For each REQUEST the number of methods written out before it.
    other_method_ordinals: Vec<u32>,
    other_methods: TextColumn<'a>,
    urls: TextColumn<'a>,
    metas: TextColumn<'a>,
    request_logs: TextColumn<'a>,
    worker_logs: TextColumn<'a>,
    master_logs: TextColumn<'a>,
    errors: Errors<'a>,
    opaque: TextColumn<'a>,
}

/// The columns of errors and their DEBUG entries.
#[derive(Debug)]
struct Errors<'a> {
    kinds: &'a [u8],
    texts: TextColumn<'a>,
    properties: TextColumn<'a>,
    /// For each error the number of errors with properties before it.
    property_ordinals: Vec<u32>,
    /// For each error, where its DEBUG entries start; one more element at the end.
    debug_starts: Vec<u32>,
    debug_ages: Ints<'a>,
    debug_data: TextColumn<'a>,
}

const ERROR_IS_STACK: u8 = 1;
const ERROR_HAS_PROPERTIES: u8 = 2;

impl<'a> Body<'a> {
    /// Parses the raw body of the block that `spine` belongs to: the text columns that records of
    /// these types need, and the addresses if they are wanted.
    pub(crate) fn parse(
        raw: &'a [u8],
        spine: &Spine<'_>,
        types: TypeSet,
        with_addresses: bool,
    ) -> Result<Self, DecodeError> {
        let counts = spine.counts();
        let cursor = &mut Cursor::new(raw);
        let request_kinds = cursor.bytes("request kinds", counts.of(Family::Request))?;
        let addresses = take_addresses(cursor, request_kinds, with_addresses)?;
        let fixed = ErrorsFixed::take(cursor, counts.errors)?;
        let is_other = || spine.method_codes().iter().map(|code| *code == 0);
        let other_methods = is_other().filter(|is_other| *is_other).count();
        let other_method_ordinals =
            if other_methods > 0 { ordinals(is_other()) } else { Vec::new() };
        let columns = text_columns(counts, other_methods, &fixed, types);
        let [
            other_methods,
            urls,
            metas,
            request_logs,
            worker_logs,
            master_logs,
            errors,
            properties,
            debug,
            opaque,
        ] = take_texts(cursor, columns)?;
        Ok(Self {
            request_kinds,
            addresses,
            other_method_ordinals,
            other_methods,
            urls,
            metas,
            request_logs,
            worker_logs,
            master_logs,
            errors: fixed.with_texts(errors, properties, debug),
            opaque,
        })
    }

    /// The event of the record at `index`, whose fields are at `place`.
    pub(crate) fn event(
        &self,
        spine: &Spine<'_>,
        index: usize,
        time: Timestamp,
        place: Place,
    ) -> Result<Event<'a>, DecodeError> {
        let byte = spine.shape_byte(index);
        let invalid = DecodeError::Invalid { what: "record shape", found: u64::from(byte) };
        let shape = shape::shape(byte).ok_or(invalid.clone())?;
        let own = place.family as usize;
        let request = spine.request_id(place);
        let error =
            || shape.has_error.then(|| self.errors.get(place.error as usize, time)).transpose();
        let log = |source, data| Event::Log { source, level: shape.level, data };
        Ok(match shape.family {
            Family::Request => Event::Request(self.request(spine, place)?),
            Family::Meta => Event::RequestMeta { request, data: self.metas.json(own)? },
            Family::Response => {
                let (bytes, duration_us) = spine.response_measures(place);
                let expected = byte == shape::RESPONSE_EXPECTED_ERROR;
                let (status, error) = (spine.status(place), error()?);
                let response = Response { request, status, error, expected, bytes, duration_us };
                Event::Response(response)
            }
            Family::Finished => {
                let (bytes, duration_us) = spine.finished_measures(place);
                let error = error()?;
                Event::ResponseFinished(ResponseFinished { request, error, bytes, duration_us })
            }
            Family::RequestLog => log(LogSource::Request(request), self.request_logs.json(own)?),
            Family::WorkerLog => log(LogSource::Worker, self.worker_logs.json(own)?),
            Family::MasterLog => log(LogSource::Master, self.master_logs.json(own)?),
            Family::Bare => match error()? {
                Some(error) if byte == shape::MASTER_EXCEPTION => {
                    Event::UncaughtException { process: Process::Master, error }
                }
                Some(error) => Event::UncaughtException { process: Process::Worker, error },
                None => Event::Lifecycle(lifecycle(byte).ok_or(invalid)?),
            },
            Family::Opaque => opaque::decode(byte, self.opaque.bytes(own)?)?,
        })
    }

    fn request(&self, spine: &Spine<'_>, place: Place) -> Result<Request<'a>, DecodeError> {
        let own = place.family as usize;
        let method = match spine.method(place) {
            Some(known) => known,
            None => self.other_method(own)?,
        };
        Ok(Request {
            request: spine.request_id(place),
            ip: self.address(own),
            http_version: HttpVersion::from_bits(self.request_kinds.get(own).copied().unwrap_or(0)),
            method,
            url: self.url(own)?,
        })
    }

    /// The method that is written out of a REQUEST, by its number among those of the block.
    pub(crate) fn other_method(&self, own: usize) -> Result<Method<'a>, DecodeError> {
        let ordinal = self.other_method_ordinals.get(own).copied().unwrap_or(0);
        Ok(Method::Other(self.other_methods.text(ordinal as usize)?))
    }

    /// The url of a REQUEST.
    pub(crate) fn url(&self, own: usize) -> Result<&'a str, DecodeError> {
        self.urls.text(own)
    }

    /// The address of a REQUEST.
    pub(crate) fn address(&self, own: usize) -> Option<IpAddr> {
        self.addresses.get(own).copied().flatten()
    }
}

fn lifecycle(byte: u8) -> Option<Lifecycle> {
    Lifecycle::ALL.into_iter().find(|step| *step as u8 == byte)
}

/// For each flag the number of set flags before it.
fn ordinals(flags: impl Iterator<Item = bool>) -> Vec<u32> {
    let mut set = 0;
    flags
        .map(|flag| {
            let ordinal = set;
            set += u32::from(flag);
            ordinal
        })
        .collect()
}

/// Takes one address a request: bits 7 and 6 of its kind say whether and which.
fn take_addresses(
    cursor: &mut Cursor<'_>,
    kinds: &[u8],
    are_wanted: bool,
) -> Result<Vec<Option<IpAddr>>, DecodeError> {
    const WHAT: &str = "addresses";
    if !are_wanted {
        let len = kinds.iter().map(|kind| [0, 4, 16, 0].get(usize::from(kind >> 6)).unwrap_or(&0));
        cursor.bytes(WHAT, len.sum())?;
        return match kinds.iter().find(|kind| **kind >> 6 == 3) {
            Some(kind) => {
                Err(DecodeError::Invalid { what: "request kind", found: u64::from(*kind) })
            }
            None => Ok(Vec::new()),
        };
    }
    kinds
        .iter()
        .map(|kind| match kind >> 6 {
            0 => Ok(None),
            1 => Ok(Some(IpAddr::V4(Ipv4Addr::from(cursor.array::<4>(WHAT)?)))),
            2 => Ok(Some(IpAddr::V6(Ipv6Addr::from(cursor.array::<16>(WHAT)?)))),
            _ => Err(DecodeError::Invalid { what: "request kind", found: u64::from(*kind) }),
        })
        .collect()
}

/// The text columns in their order, of which those are wanted that records of `types` need.
fn text_columns(
    counts: &Counts,
    other_methods: usize,
    fixed: &ErrorsFixed<'_>,
    types: TypeSet,
) -> [Column; 10] {
    use Content::{Bytes, Json, Text};
    use RecordType as T;
    let failures =
        TypeSet::EMPTY.with(T::Response).with(T::ResponseFinished).with(T::UncaughtException);
    let column = |what, content, count, users: TypeSet| {
        let wanted = types.intersects(users);
        Column { what, content, count, wanted }
    };
    let of = |what, content, family, user| {
        column(what, content, counts.of(family), TypeSet::EMPTY.with(user))
    };
    let of_errors = |what, content, count| column(what, content, count, failures);
    let others = TypeSet::from_bits(!failures.bits());
    [
        column("methods", Text, other_methods, TypeSet::EMPTY.with(T::Request)),
        of("urls", Text, Family::Request, T::Request),
        of("request data", Json, Family::Meta, T::RequestMeta),
        of("request logs", Json, Family::RequestLog, T::RequestLog),
        of("worker logs", Json, Family::WorkerLog, T::WorkerLog),
        of("master logs", Json, Family::MasterLog, T::MasterLog),
        of_errors("errors", Text, counts.errors),
        of_errors("error properties", Json, fixed.with_properties()),
        of_errors("debug entries", Json, fixed.debug_total()),
        column("rare records", Bytes, counts.of(Family::Opaque), others),
    ]
}

/// Takes the directory of the text columns and then the columns themselves.
fn take_texts<'a, const N: usize>(
    cursor: &mut Cursor<'a>,
    columns: [Column; N],
) -> Result<[TextColumn<'a>; N], DecodeError> {
    let mut entries = [0_u64; N];
    for (entry, column) in entries.iter_mut().zip(&columns) {
        if column.count > 0 {
            *entry = cursor.varint(column.what)?;
        }
    }
    let mut texts = std::array::from_fn(|_| TextColumn::default());
    for ((text, column), entry) in texts.iter_mut().zip(columns).zip(entries) {
        let length = usize::try_from(entry >> 1).unwrap_or(usize::MAX);
        let bytes = cursor.bytes(column.what, length)?;
        if column.wanted && column.count > 0 {
            *text = column.parse(bytes, entry & 1 == 1)?;
        }
    }
    Ok(texts)
}

/// The columns of errors that come before the directory of texts.
struct ErrorsFixed<'a> {
    kinds: &'a [u8],
    debug_starts: Vec<u32>,
    debug_ages: Ints<'a>,
}

impl<'a> ErrorsFixed<'a> {
    fn take(cursor: &mut Cursor<'a>, count: usize) -> Result<Self, DecodeError> {
        let kinds = cursor.bytes("error kinds", count)?;
        if let Some(kind) = kinds.iter().find(|kind| **kind > 3) {
            return Err(DecodeError::Newer { what: "error kind", found: u64::from(*kind) });
        }
        if count == 0 {
            let (debug_starts, debug_ages) = (Vec::new(), Ints::default());
            return Ok(Self { kinds, debug_starts, debug_ages });
        }
        let width = cursor.u8("width of debug counts")?;
        let counts = Ints::take(cursor, "debug counts", count, width)?;
        // Each entry needs at least one byte of text further on.
        let limit = cursor.remaining().min(BLOCK_DEBUG_MAX) as u64;
        let mut debug_starts = vec![0];
        let mut total = 0_u64;
        for debug_count in counts.iter() {
            total = total.saturating_add(debug_count);
            if total > limit {
                return Err(DecodeError::Limit { what: "debug count", found: total, limit });
            }
            debug_starts.push(u32::try_from(total).unwrap_or(u32::MAX));
        }
        let width = cursor.u8("width of debug ages")?;
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let debug_ages = Ints::take(cursor, "debug ages", total, width)?;
        Ok(Self { kinds, debug_starts, debug_ages })
    }

    fn with_properties(&self) -> usize {
        self.kinds.iter().filter(|kind| **kind & ERROR_HAS_PROPERTIES != 0).count()
    }

    fn debug_total(&self) -> usize {
        self.debug_starts.last().map_or(0, |total| *total as usize)
    }

    fn with_texts(
        self,
        texts: TextColumn<'a>,
        properties: TextColumn<'a>,
        debug_data: TextColumn<'a>,
    ) -> Errors<'a> {
        let property_ordinals =
            ordinals(self.kinds.iter().map(|kind| kind & ERROR_HAS_PROPERTIES != 0));
        Errors {
            kinds: self.kinds,
            texts,
            properties,
            property_ordinals,
            debug_starts: self.debug_starts,
            debug_ages: self.debug_ages,
            debug_data,
        }
    }
}

impl<'a> Errors<'a> {
    /// The error with this number, of a record at `time`.
    fn get(&self, index: usize, time: Timestamp) -> Result<ErrorInfo<'a>, DecodeError> {
        let kind = self.kinds.get(index).copied().unwrap_or(0);
        let properties = if kind & ERROR_HAS_PROPERTIES == 0 {
            None
        } else {
            let ordinal = self.property_ordinals.get(index).copied().unwrap_or(0);
            Some(self.properties.json(ordinal as usize)?)
        };
        let start = self.debug_starts.get(index).map_or(0, |start| *start as usize);
        let end = self.debug_starts.get(index + 1).map_or(0, |end| *end as usize);
        let entry = |entry| {
            let age = unzigzag(self.debug_ages.get(entry));
            let time = time.saturating_add_micros(age.saturating_neg());
            Ok(DebugEntry { time, data: self.debug_data.json(entry)? })
        };
        let debug = (start..end).map(entry).collect::<Result<Vec<_>, DecodeError>>()?;
        Ok(ErrorInfo {
            kind: if kind & ERROR_IS_STACK == 0 { ErrorKind::Value } else { ErrorKind::Stack },
            text: self.texts.text(index)?,
            properties,
            debug: Cow::Owned(debug),
        })
    }
}

/// What the texts of a column are.
#[derive(Clone, Copy, Debug)]
enum Content {
    Bytes,
    /// UTF-8.
    Text,
    /// JSON on one line: UTF-8 without control characters.
    Json,
}

/// What is known of a text column before its bytes are looked at.
struct Column {
    what: &'static str,
    content: Content,
    count: usize,
    wanted: bool,
}

impl Column {
    /// Parses and checks the column as a whole.
    fn parse(self, bytes: &[u8], with_lengths: bool) -> Result<TextColumn<'_>, DecodeError> {
        let what = self.what;
        let texts = Texts::parse(what, bytes, with_lengths, self.count)?;
        if let Content::Bytes = self.content {
            return Ok(TextColumn::Bytes(texts));
        }
        let texts = Utf8Texts::new(what, texts)?;
        match self.content {
            Content::Json if !texts.is_free_of_controls() => {
                Err(DecodeError::Invalid { what, found: 0 })
            }
            _ => Ok(TextColumn::Text(texts)),
        }
    }
}

/// The texts of a column, or nothing where no record that is wanted has one.
#[derive(Debug, Default)]
enum TextColumn<'a> {
    #[default]
    Unparsed,
    Bytes(Texts<'a>),
    Text(Utf8Texts<'a>),
}

impl<'a> TextColumn<'a> {
    fn bytes(&self, index: usize) -> Result<&'a [u8], DecodeError> {
        match self {
            Self::Bytes(texts) => Ok(texts.bytes(index)),
            Self::Text(texts) => Ok(texts.get(index).as_bytes()),
            Self::Unparsed => Err(DecodeError::Unparsed),
        }
    }

    fn text(&self, index: usize) -> Result<&'a str, DecodeError> {
        match self {
            Self::Text(texts) => Ok(texts.get(index)),
            Self::Bytes(_) | Self::Unparsed => Err(DecodeError::Unparsed),
        }
    }

    /// The text as JSON; only of columns whose content was checked to be that.
    fn json(&self, index: usize) -> Result<Json<'a>, DecodeError> {
        self.text(index).map(Json::from_checked)
    }
}
