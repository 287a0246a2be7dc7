//! The body: addresses, texts, JSON and errors of a block.
//!
//! The mirror image of `BlockBuilder::encode_body`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::opaque;
use super::spine::{Place, Spine};
use crate::column::{Ints, Texts, Utf8Texts};
use crate::cursor::{Cursor, unzigzag};
use crate::error::DecodeError;
use crate::limits::BLOCK_DEBUG_MAX;
use crate::record::{
    DebugEntry, ErrorInfo, ErrorKind, Event, HttpVersion, Json, Lifecycle, LogSource, Method,
    Process, Request, Response, ResponseFinished,
};
use crate::shape::{self, Family};
use crate::timestamp::Timestamp;

/// The decoded body of one block.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    request_kinds: &'a [u8],
    addresses: Vec<Option<IpAddr>>,
    /// For each REQUEST the number of methods written out before it.
    other_method_ordinals: Vec<u32>,
    other_methods: Utf8Texts<'a>,
    urls: Utf8Texts<'a>,
    metas: JsonTexts<'a>,
    request_logs: JsonTexts<'a>,
    worker_logs: JsonTexts<'a>,
    master_logs: JsonTexts<'a>,
    errors: Errors<'a>,
    opaque: Texts<'a>,
}

/// The columns of errors and their DEBUG entries.
#[derive(Debug)]
struct Errors<'a> {
    kinds: &'a [u8],
    texts: Utf8Texts<'a>,
    properties: JsonTexts<'a>,
    /// For each error the number of errors with properties before it.
    property_ordinals: Vec<u32>,
    /// For each error, where its DEBUG entries start; one more element at the end.
    debug_starts: Vec<u32>,
    debug_ages: Ints<'a>,
    debug_data: JsonTexts<'a>,
}

const ERROR_IS_STACK: u8 = 1;
const ERROR_HAS_PROPERTIES: u8 = 2;

impl<'a> Body<'a> {
    /// Parses the raw body of the block that `spine` belongs to.
    pub(crate) fn parse(raw: &'a [u8], spine: &Spine<'_>) -> Result<Self, DecodeError> {
        let counts = spine.counts();
        let cursor = &mut Cursor::new(raw);
        let request_kinds = cursor.bytes("request kinds", counts.of(Family::Request))?;
        let addresses = take_addresses(cursor, request_kinds)?;
        let fixed = ErrorsFixed::take(cursor, counts.errors)?;
        let other_method_ordinals = ordinals(spine.method_codes().iter().map(|code| *code == 0));
        let other_methods = spine.method_codes().iter().filter(|code| **code == 0).count();

        let texts = [
            ("methods", other_methods),
            ("urls", counts.of(Family::Request)),
            ("request data", counts.of(Family::Meta)),
            ("request logs", counts.of(Family::RequestLog)),
            ("worker logs", counts.of(Family::WorkerLog)),
            ("master logs", counts.of(Family::MasterLog)),
            ("errors", counts.errors),
            ("error properties", fixed.with_properties()),
            ("debug entries", fixed.debug_total()),
            ("rare records", counts.of(Family::Opaque)),
        ];
        let [
            methods,
            urls,
            metas,
            request_logs,
            worker_logs,
            master_logs,
            errors,
            properties,
            debug,
            opaque,
        ] = take_texts(cursor, texts)?;
        Ok(Self {
            request_kinds,
            addresses,
            other_method_ordinals,
            other_methods: Utf8Texts::new("methods", methods)?,
            urls: Utf8Texts::new("urls", urls)?,
            metas: JsonTexts::new("request data", metas)?,
            request_logs: JsonTexts::new("request logs", request_logs)?,
            worker_logs: JsonTexts::new("worker logs", worker_logs)?,
            master_logs: JsonTexts::new("master logs", master_logs)?,
            errors: fixed.with_texts(errors, properties, debug)?,
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
        let error = || shape.has_error.then(|| self.errors.get(place.error as usize, time));
        let log = |source, data| Event::Log { source, level: shape.level, data };
        Ok(match shape.family {
            Family::Request => Event::Request(self.request(spine, place)),
            Family::Meta => Event::RequestMeta { request, data: self.metas.get(own) },
            Family::Response => {
                let (bytes, duration_us) = spine.response_measures(place);
                let expected = byte == shape::RESPONSE_EXPECTED_ERROR;
                let (status, error) = (spine.status(place), error());
                let response = Response { request, status, error, expected, bytes, duration_us };
                Event::Response(response)
            }
            Family::Finished => {
                let (bytes, duration_us) = spine.finished_measures(place);
                let error = error();
                Event::ResponseFinished(ResponseFinished { request, error, bytes, duration_us })
            }
            Family::RequestLog => log(LogSource::Request(request), self.request_logs.get(own)),
            Family::WorkerLog => log(LogSource::Worker, self.worker_logs.get(own)),
            Family::MasterLog => log(LogSource::Master, self.master_logs.get(own)),
            Family::Bare => match error() {
                Some(error) if byte == shape::MASTER_EXCEPTION => {
                    Event::UncaughtException { process: Process::Master, error }
                }
                Some(error) => Event::UncaughtException { process: Process::Worker, error },
                None => Event::Lifecycle(lifecycle(byte).ok_or(invalid)?),
            },
            Family::Opaque => opaque::decode(byte, self.opaque.bytes(own))?,
        })
    }

    fn request(&self, spine: &Spine<'_>, place: Place) -> Request<'a> {
        let own = place.family as usize;
        let method = spine.method(place).unwrap_or_else(|| {
            let ordinal = self.other_method_ordinals.get(own).copied().unwrap_or(0);
            Method::Other(self.other_methods.get(ordinal as usize))
        });
        Request {
            request: spine.request_id(place),
            ip: self.addresses.get(own).copied().flatten(),
            http_version: HttpVersion::from_bits(self.request_kinds.get(own).copied().unwrap_or(0)),
            method,
            url: self.urls.get(own),
        }
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
) -> Result<Vec<Option<IpAddr>>, DecodeError> {
    const WHAT: &str = "addresses";
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

/// Takes the directory of the text columns and then the columns themselves.
fn take_texts<'a, const N: usize>(
    cursor: &mut Cursor<'a>,
    columns: [(&'static str, usize); N],
) -> Result<[Texts<'a>; N], DecodeError> {
    let mut entries = [0_u64; N];
    for (entry, (what, count)) in entries.iter_mut().zip(&columns) {
        if *count > 0 {
            *entry = cursor.varint(what)?;
        }
    }
    let mut texts = std::array::from_fn(|_| Texts::default());
    for ((column, entry), (what, count)) in texts.iter_mut().zip(entries).zip(columns) {
        if count > 0 {
            let length = usize::try_from(entry >> 1).unwrap_or(usize::MAX);
            let bytes = cursor.bytes(what, length)?;
            *column = Texts::parse(what, bytes, entry & 1 == 1, count)?;
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
        texts: Texts<'a>,
        properties: Texts<'a>,
        debug: Texts<'a>,
    ) -> Result<Errors<'a>, DecodeError> {
        let property_ordinals =
            ordinals(self.kinds.iter().map(|kind| kind & ERROR_HAS_PROPERTIES != 0));
        Ok(Errors {
            kinds: self.kinds,
            texts: Utf8Texts::new("errors", texts)?,
            properties: JsonTexts::new("error properties", properties)?,
            property_ordinals,
            debug_starts: self.debug_starts,
            debug_ages: self.debug_ages,
            debug_data: JsonTexts::new("debug entries", debug)?,
        })
    }
}

impl<'a> Errors<'a> {
    /// The error with this number, of a record at `time`.
    fn get(&self, index: usize, time: Timestamp) -> ErrorInfo<'a> {
        let kind = self.kinds.get(index).copied().unwrap_or(0);
        let properties = (kind & ERROR_HAS_PROPERTIES != 0).then(|| {
            let ordinal = self.property_ordinals.get(index).copied().unwrap_or(0);
            self.properties.get(ordinal as usize)
        });
        let start = self.debug_starts.get(index).map_or(0, |start| *start as usize);
        let end = self.debug_starts.get(index + 1).map_or(0, |end| *end as usize);
        let debug: Vec<_> = (start..end)
            .map(|entry| DebugEntry {
                time: time
                    .saturating_add_micros(unzigzag(self.debug_ages.get(entry)).saturating_neg()),
                data: self.debug_data.get(entry),
            })
            .collect();
        ErrorInfo {
            kind: if kind & ERROR_IS_STACK == 0 { ErrorKind::Value } else { ErrorKind::Stack },
            text: self.texts.get(index),
            properties,
            debug: Cow::Owned(debug),
        }
    }
}

/// A column of JSON values, checked to have no control characters.
#[derive(Debug, Default)]
struct JsonTexts<'a>(Utf8Texts<'a>);

impl<'a> JsonTexts<'a> {
    fn new(what: &'static str, texts: Texts<'a>) -> Result<Self, DecodeError> {
        let texts = Utf8Texts::new(what, texts)?;
        if texts.is_free_of_controls() {
            Ok(Self(texts))
        } else {
            Err(DecodeError::Invalid { what, found: 0 })
        }
    }

    fn get(&self, index: usize) -> Json<'a> {
        // The whole column was checked when it was parsed.
        Json::from_checked(self.0.get(index))
    }
}
