//! The shape byte of a record: one byte that tells kind, level and which fields follow.
//!
//! The spine stores one shape byte per record. Everything a decoder must know to find a record's
//! fields in the columns follows from it, so that counts by level or kind read nothing else.

use crate::level::{Level, LevelSet};

/// Set in the shape of a record that is more severe than its kind usually is: a response with an
/// unexpected error, a response that failed to finish, a worker that ended badly.
const RAISED: u8 = 0x80;

pub(crate) const REQUEST: u8 = 1;
pub(crate) const REQUEST_META: u8 = 2;
pub(crate) const RESPONSE: u8 = 3;
pub(crate) const RESPONSE_FAILED: u8 = RESPONSE | RAISED;
pub(crate) const RESPONSE_FINISHED: u8 = 4;
pub(crate) const RESPONSE_FINISHED_FAILED: u8 = RESPONSE_FINISHED | RAISED;
pub(crate) const RESPONSE_EXPECTED_ERROR: u8 = 5;
pub(crate) const REQUEST_LOG: u8 = 12;
pub(crate) const WORKER_EXCEPTION: u8 = 26;
pub(crate) const WORKER_LOG: u8 = 32;
pub(crate) const WORKER_SPAWNED: u8 = 44;
pub(crate) const WORKER_EXITED: u8 = 45;
pub(crate) const WORKER_EXITED_BADLY: u8 = WORKER_EXITED | RAISED;
pub(crate) const MASTER_EXCEPTION: u8 = 46;
pub(crate) const MASTER_LOG: u8 = 52;
pub(crate) const LOST: u8 = 64;
pub(crate) const IO_ERROR: u8 = 65;
pub(crate) const CLOCK_STEP: u8 = 66;
/// The first of the 32 shapes that later versions may give to new kinds of records.
pub(crate) const FUTURE_FIRST: u8 = 96;
/// The last of them.
pub(crate) const FUTURE_LAST: u8 = 127;

/// The shape of a log record of this level: `base` is the shape for CRITICAL.
///
/// The numbers are those of the seed format, which has CRITICAL, ERROR, WARN and INFO at offsets
/// 0, 2, 3 and 4.
pub(crate) const fn log(base: u8, level: Level) -> u8 {
    base + match level {
        Level::Critical => 0,
        Level::Error => 2,
        Level::Warn => 3,
        Level::Info => 4,
        Level::Debug => 5,
        Level::Trace => 6,
    }
}

/// What kind of record it is, as filters name it; also a bit of a block header's [`TypeSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordType {
    /// The head of a request.
    Request = 0,
    /// Data attached to a request.
    RequestMeta = 1,
    /// The head of a response.
    Response = 2,
    /// The end of a response.
    ResponseFinished = 3,
    /// A message about a request.
    RequestLog = 4,
    /// A message of a worker.
    WorkerLog = 5,
    /// A message of the master.
    MasterLog = 6,
    /// A step in a worker's life.
    WorkerLifecycle = 7,
    /// A step in the master's life.
    MasterLifecycle = 8,
    /// An exception nobody caught.
    UncaughtException = 9,
    /// A worker was spawned.
    WorkerSpawned = 10,
    /// A worker ended.
    WorkerExited = 11,
    /// Records were dropped.
    Lost = 12,
    /// The wall clock was stepped.
    ClockStep = 13,
    /// Writing failed.
    IoError = 14,
    /// A kind this version does not know.
    Unknown = 23,
}

impl RecordType {
    /// All types, in the order of their bits.
    pub const ALL: [Self; 16] = [
        Self::Request,
        Self::RequestMeta,
        Self::Response,
        Self::ResponseFinished,
        Self::RequestLog,
        Self::WorkerLog,
        Self::MasterLog,
        Self::WorkerLifecycle,
        Self::MasterLifecycle,
        Self::UncaughtException,
        Self::WorkerSpawned,
        Self::WorkerExited,
        Self::Lost,
        Self::ClockStep,
        Self::IoError,
        Self::Unknown,
    ];

    /// The value of the JSON field `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::RequestMeta => "REQUEST_META",
            Self::Response => "RESPONSE",
            Self::ResponseFinished => "RESPONSE_FINISHED",
            Self::RequestLog | Self::WorkerLog | Self::MasterLog => "LOG",
            Self::WorkerLifecycle
            | Self::MasterLifecycle
            | Self::UncaughtException
            | Self::WorkerSpawned
            | Self::WorkerExited => "LIFECYCLE",
            Self::Lost => "LOST",
            Self::ClockStep => "CLOCK_STEP",
            Self::IoError => "IO_ERROR",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A set of record types, one bit each; 24 bits are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeSet(u32);

impl TypeSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);
    /// Every type, those of later versions too.
    pub const ALL: Self = Self(0xFF_FFFF);

    /// The set with the given bits; bits that name no type are kept as they are.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits, as block headers store them.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// This set and `record_type`.
    #[must_use]
    pub const fn with(self, record_type: RecordType) -> Self {
        Self(self.0 | 1 << record_type as u8)
    }

    /// Whether `record_type` is in the set.
    pub const fn contains(self, record_type: RecordType) -> bool {
        self.0 & 1 << record_type as u8 != 0
    }

    /// Whether the two sets share a type.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The types of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The columns a record's own fields are in; records of one family are numbered together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Family {
    Request,
    Meta,
    Response,
    Finished,
    RequestLog,
    WorkerLog,
    MasterLog,
    /// No fields, or only an error.
    Bare,
    /// Fields row by row in the opaque column.
    Opaque,
}

impl Family {
    pub(crate) const COUNT: usize = 9;
}

/// What a shape byte tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) family: Family,
    pub(crate) record_type: RecordType,
    pub(crate) level: Level,
    pub(crate) has_request: bool,
    pub(crate) has_error: bool,
}

/// The meaning of every shape byte; `None` where this version defines none.
pub(crate) static SHAPES: [Option<Shape>; 256] = build();

/// The meaning of one shape byte.
#[inline]
pub(crate) fn shape(byte: u8) -> Option<Shape> {
    SHAPES.get(usize::from(byte)).copied().flatten()
}

#[expect(clippy::indexing_slicing, reason = "a u8 always is an index into 256 elements")]
const fn build() -> [Option<Shape>; 256] {
    use Family as F;
    use RecordType as T;
    const fn of(family: Family, record_type: RecordType, level: Level) -> Shape {
        let has_request =
            matches!(family, F::Request | F::Meta | F::Response | F::Finished | F::RequestLog);
        Shape { family, record_type, level, has_request, has_error: false }
    }
    const fn failed(family: Family, record_type: RecordType, level: Level) -> Shape {
        Shape { has_error: true, ..of(family, record_type, level) }
    }

    let mut shapes = [None; 256];
    shapes[REQUEST as usize] = Some(of(F::Request, T::Request, Level::Info));
    shapes[REQUEST_META as usize] = Some(of(F::Meta, T::RequestMeta, Level::Info));
    shapes[RESPONSE as usize] = Some(of(F::Response, T::Response, Level::Info));
    shapes[RESPONSE_FAILED as usize] = Some(failed(F::Response, T::Response, Level::Error));
    shapes[RESPONSE_EXPECTED_ERROR as usize] = Some(failed(F::Response, T::Response, Level::Info));
    shapes[RESPONSE_FINISHED as usize] = Some(of(F::Finished, T::ResponseFinished, Level::Info));
    shapes[RESPONSE_FINISHED_FAILED as usize] =
        Some(failed(F::Finished, T::ResponseFinished, Level::Error));
    shapes[WORKER_EXCEPTION as usize] =
        Some(failed(F::Bare, T::UncaughtException, Level::Critical));
    shapes[MASTER_EXCEPTION as usize] =
        Some(failed(F::Bare, T::UncaughtException, Level::Critical));
    shapes[WORKER_SPAWNED as usize] = Some(of(F::Opaque, T::WorkerSpawned, Level::Info));
    shapes[WORKER_EXITED as usize] = Some(of(F::Opaque, T::WorkerExited, Level::Info));
    shapes[WORKER_EXITED_BADLY as usize] = Some(of(F::Opaque, T::WorkerExited, Level::Warn));
    shapes[LOST as usize] = Some(of(F::Opaque, T::Lost, Level::Warn));
    shapes[IO_ERROR as usize] = Some(of(F::Opaque, T::IoError, Level::Error));
    shapes[CLOCK_STEP as usize] = Some(of(F::Opaque, T::ClockStep, Level::Warn));

    let mut step = 0;
    while step < crate::record::Lifecycle::ALL.len() {
        let lifecycle = crate::record::Lifecycle::ALL[step];
        let record_type = match lifecycle.process() {
            crate::record::Process::Worker => T::WorkerLifecycle,
            crate::record::Process::Master => T::MasterLifecycle,
        };
        shapes[lifecycle as usize] = Some(of(F::Bare, record_type, Level::Info));
        step += 1;
    }
    let mut index = 0;
    while index < Level::ALL.len() {
        let level = Level::ALL[index];
        shapes[log(REQUEST_LOG, level) as usize] = Some(of(F::RequestLog, T::RequestLog, level));
        shapes[log(WORKER_LOG, level) as usize] = Some(of(F::WorkerLog, T::WorkerLog, level));
        shapes[log(MASTER_LOG, level) as usize] = Some(of(F::MasterLog, T::MasterLog, level));
        index += 1;
    }
    let mut future = FUTURE_FIRST;
    while future <= FUTURE_LAST {
        shapes[future as usize] = Some(of(F::Opaque, T::Unknown, Level::Info));
        future += 1;
    }
    shapes
}

/// The levels and types of a run of shape bytes; `None` if one of them is undefined.
pub(crate) fn summarize(shapes: &[u8]) -> Option<(LevelSet, TypeSet)> {
    let mut seen = [false; 256];
    for byte in shapes {
        if let Some(flag) = seen.get_mut(usize::from(*byte)) {
            *flag = true;
        }
    }
    let mut sets = (LevelSet::EMPTY, TypeSet::EMPTY);
    for (seen, shape) in seen.iter().zip(&SHAPES) {
        if *seen {
            let shape = (*shape)?;
            sets = (sets.0.with(shape.level), sets.1.with(shape.record_type));
        }
    }
    Some(sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row of the specification for a shape: level, type bit, request, error.
    fn row(shape: Shape) -> String {
        let yes = |has| if has { "yes" } else { "" };
        let (level, bit) = (shape.level, shape.record_type as u8);
        format!("{level}|{bit}|{}|{}", yes(shape.has_request), yes(shape.has_error))
    }

    #[test]
    fn every_defined_shape_is_listed_in_the_specification() {
        let specification = include_str!("../FORMAT.md");
        for (byte, shape) in SHAPES.iter().enumerate() {
            let start = format!("| `{byte:02X}` |");
            let listed = specification.lines().find(|line| line.starts_with(&start)).map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                cells[3..7].join("|")
            });
            let future = usize::from(FUTURE_FIRST)..=usize::from(FUTURE_LAST);
            let expected = shape.filter(|_| !future.contains(&byte)).map(row);
            assert_eq!(listed, expected, "shape {byte:02X}");
        }
    }

    #[test]
    fn log_shapes_keep_the_numbers_of_the_seed() {
        assert_eq!(log(REQUEST_LOG, Level::Critical), 12);
        assert_eq!(log(WORKER_LOG, Level::Error), 34);
        assert_eq!(log(MASTER_LOG, Level::Info), 56);
    }

    #[test]
    fn undefined_shapes_summarize_to_nothing() {
        assert!(summarize(&[REQUEST, 0]).is_none());
        let (levels, types) = summarize(&[REQUEST, RESPONSE_FAILED]).unwrap();
        assert!(levels.contains(Level::Info) && levels.contains(Level::Error));
        assert!(types.contains(RecordType::Response) && !types.contains(RecordType::Lost));
    }
}
