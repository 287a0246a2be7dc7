//! Records as a query hands them out: in order, each decoded when asked for.

use std::cell::OnceCell;

use logq_format::{Block, DecodeError, Level, Origin, Record, RecordType, Timestamp};

/// What orders records and tells whether two are the same one: time, writer, sequence number.
pub(crate) type Rank = (Timestamp, u32, u64);

/// What a record is ordered by, and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) time: Timestamp,
    pub(crate) writer: u32,
    pub(crate) sequence: u64,
    /// Index among the blocks of the slice.
    pub(crate) block: u32,
    /// Index within the block.
    pub(crate) index: u32,
    pub(crate) level: Level,
    pub(crate) record_type: RecordType,
    /// Whether it has been handed out before, by the answer that this one goes on with.
    pub(crate) is_done: bool,
    /// Whether only the decoded record tells what the expression says of it.
    pub(crate) is_open: bool,
}

impl Key {
    /// Equal ranks are the same record, written twice.
    pub(crate) fn rank(&self) -> Rank {
        (self.time, self.writer, self.sequence)
    }
}

/// A block that matching records are in.
#[derive(Debug)]
pub(crate) struct Decoded<'a> {
    pub(crate) origin: Origin,
    pub(crate) block: Block<'a>,
}

/// Room for the blocks of a slice; empty where none has been needed, `None` where it is damaged.
pub(crate) type Blocks<'a> = [OnceCell<Option<Decoded<'a>>>];

/// Some consecutive records of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    keys: &'a [Key],
    blocks: &'a Blocks<'a>,
}

impl<'a> Rows<'a> {
    /// The records with these keys; each key's block must be there.
    pub(crate) fn new(keys: &'a [Key], blocks: &'a Blocks<'a>) -> Self {
        Self { keys, blocks }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The records, in the order of the query.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Row<'a>> + use<'a> {
        let blocks = self.blocks;
        self.keys.iter().filter_map(move |key| Row::new(*key, blocks))
    }
}

/// One record of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    key: Key,
    decoded: &'a Decoded<'a>,
}

impl<'a> Row<'a> {
    /// The record with this key, if its block is there.
    pub(crate) fn new(key: Key, blocks: &'a Blocks<'a>) -> Option<Self> {
        let decoded = blocks.get(key.block as usize)?.get()?.as_ref()?;
        Some(Self { key, decoded })
    }

    pub(crate) fn rank(&self) -> Rank {
        self.key.rank()
    }

    /// Whether only the decoded record tells what the expression says of it.
    pub(crate) fn is_open(&self) -> bool {
        self.key.is_open
    }

    /// When it happened.
    pub fn time(&self) -> Timestamp {
        self.key.time
    }

    /// Who wrote it.
    pub fn origin(&self) -> Origin {
        self.decoded.origin
    }

    /// Its number among the records of its writer.
    pub fn sequence(&self) -> u64 {
        self.key.sequence
    }

    /// How severe it is.
    pub fn level(&self) -> Level {
        self.key.level
    }

    /// Its type.
    pub fn record_type(&self) -> RecordType {
        self.key.record_type
    }

    /// The record itself.
    ///
    /// # Errors
    ///
    /// Fails where the record holds what the format does not allow. The rows of a scan do not: such
    /// records are left out of it and told as gaps.
    pub fn record(&self) -> Result<Record<'a>, DecodeError> {
        self.decoded.block.record(self.key.index as usize)
    }
}
