//! Stores opened for questions, with what the machine knows of their writers: how far answers are
//! final, and who may still append.

use std::path::PathBuf;

use anyhow::Context as _;
use logq_format::Timestamp;
use logq_reader::{Coverage, LifeState, Liveness, OpenError, Snapshot, WriterLife};
use logq_writer::{Clock as _, SystemClock};

use crate::stores;

/// How far the answers of a snapshot are final.
#[derive(Debug)]
pub(crate) struct Finality {
    /// When that was found out.
    pub(crate) now: Timestamp,
    /// No record before this can come any more; `None` if nobody knows, [`Timestamp::MAX`] if nobody
    /// is left who could append one.
    pub(crate) watermark: Option<Timestamp>,
    /// The writers that live, or may live for all that is known, the slowest first.
    pub(crate) living: Vec<WriterLife>,
    /// The writers that have ended without leaving their segments in good order.
    pub(crate) gone: Vec<WriterLife>,
}

/// Opens stores. Where their segments do not say that every writer has left, the kernel is asked;
/// that costs some ten system calls, and three more for each segment.
///
/// # Errors
///
/// As [`Snapshot::open`].
pub(crate) fn open(stores: &[PathBuf]) -> anyhow::Result<(Snapshot, Finality)> {
    let snapshot = stores::open(stores)?;
    let now = SystemClock.now();
    // Nobody here appends to what came through a pipe.
    if snapshot.coverage().holding.is_empty() || stores::is_stream(stores) {
        let watermark = snapshot.coverage().watermark;
        return Ok((snapshot, Finality { now, watermark, living: Vec::new(), gone: Vec::new() }));
    }
    let looks = stores.iter().map(|store| Liveness::of(store, now));
    let mut looks = looks.collect::<Result<Vec<_>, OpenError>>()?;
    let finality = Finality::of(now, &looks);
    // What is judged by a look must have been opened behind it.
    let snapshot = match looks.pop() {
        Some(look) if looks.is_empty() => look.snapshot,
        _ => Snapshot::open(stores).context("cannot open the stores again")?,
    };
    Ok((snapshot, finality))
}

impl Finality {
    fn of(now: Timestamp, looks: &[Liveness]) -> Self {
        let writers = looks.iter().flat_map(|look| &look.writers);
        let (gone, mut living): (Vec<_>, Vec<_>) =
            writers.copied().partition(|life| life.state == LifeState::Gone);
        living.sort_by_key(|life| (life.holder.floor, life.holder.origin));
        let watermarks = looks.iter().map(|look| look.watermark);
        let watermark = match living.is_empty() {
            true => Some(Timestamp::MAX),
            false => watermarks.min().flatten(),
        };
        Self { now, watermark, living, gone }
    }

    /// The writers that may hold records back that are earlier than a time.
    pub(crate) fn holding(&self, before: Timestamp) -> Vec<&WriterLife> {
        let holds =
            |life: &&WriterLife| life.state != LifeState::Idle && life.holder.floor < before;
        self.living.iter().filter(holds).collect()
    }

    /// The end of what is known: the watermark or, where nobody is left, the last record.
    pub(crate) fn end(&self, coverage: &Coverage) -> Option<Timestamp> {
        match self.watermark {
            Some(Timestamp::MAX) => coverage.last.map(|last| last.saturating_add_micros(1)),
            watermark => watermark,
        }
    }
}
