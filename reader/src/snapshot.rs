//! A store as it was at one moment.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use logq_format::*;

use crate::error::{OpenError, ReadError};
use crate::query::{Order, Query};
use crate::report::{Coverage, Report};
use crate::rows::{Decoded, Key, Row, Rows};
use crate::summary::Summary;
use crate::tally::{Field, Tally, Value};

/// One or more stores as they were when they were opened.
///
/// What is appended later is not seen. Reading takes no lock and disturbs no writer.
#[derive(Debug)]
pub struct Snapshot {
    segments: Vec<(PathBuf, u64)>,
}

impl Snapshot {
    /// Opens stores: directories of segments, or single segments.
    ///
    /// A directory without anything in it is an empty store.
    ///
    /// # Errors
    ///
    /// Fails where a path does not exist, is no store, or cannot be read.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, OpenError> {
        let mut segments = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let unreadable = |source: std::io::Error| match source.kind() {
                std::io::ErrorKind::NotFound => OpenError::NoSuchPath { path: path.into() },
                _ => OpenError::Unreadable { path: path.into(), source },
            };
            if std::fs::metadata(path).map_err(unreadable)?.is_file() {
                segments.push((path.to_owned(), 0));
                continue;
            }
            let (mut others, mut found) = (0, Vec::new());
            for entry in std::fs::read_dir(path).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                match segment_number(&entry.file_name().to_string_lossy()) {
                    Some(number) => found.push((entry.path(), number)),
                    None => others += 1,
                }
            }
            if found.is_empty() && others > 0 {
                let holds = format!("a directory of {others} other files");
                return Err(OpenError::NotAStore { path: path.into(), holds });
            }
            found.sort_by_key(|segment| segment.1);
            segments.extend(found);
        }
        Ok(Self { segments })
    }

    /// Whether there are no segments.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// How far answers are final.
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn coverage(&self) -> Result<Coverage, ReadError> {
        Ok(Coverage::default())
    }

    /// Finds the records of `query` and hands them out, in order, in slices.
    ///
    /// `map` turns a slice into whatever is wanted of it; it runs on several threads at once, and
    /// may be called twice for a slice that the limit cuts. `fold` gets the results in order, on
    /// the calling thread, and may end the scan.
    ///
    /// # Errors
    ///
    /// Fails where there is no memory for decompression. Damage is no error; see [`Report::gaps`].
    pub fn scan<T: Send>(
        &self,
        query: &Query<'_>,
        map: impl Fn(&Rows<'_>) -> T + Sync,
        mut fold: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<Report, ReadError> {
        let mut report = Report::default();
        let mut raw = Vec::new();
        for (path, _) in &self.segments {
            let Ok(bytes) = std::fs::read(path) else { continue };
            let Ok(file) = FileHeader::decode(&bytes) else { continue };
            let mut decompressor =
                Decompressor::new().map_err(|source| ReadError::Decompressor { source })?;
            let mut scan = Scan::new(file.marker, FILE_HEADER_LEN as u64..bytes.len() as u64);
            loop {
                let (offset, header) = match scan.step(Window { offset: 0, bytes: &bytes }) {
                    Step::Block { offset, header } => (offset, header),
                    Step::Gap(_) => continue,
                    Step::Need(_) | Step::End => break,
                };
                let rest = bytes.get(offset as usize..).unwrap_or_default();
                let Ok(stored) = StoredBlock::new(header, rest) else { continue };
                if stored.header().kind == BlockKind::Dictionary {
                    let dictionary = decode_dictionary(&stored).ok();
                    let _ = decompressor.set_dictionary(dictionary.as_ref());
                }
                if stored.header().kind != BlockKind::Data {
                    continue;
                }
                let ids: Vec<_> = stored.request_ids().collect();
                let header = stored.header().clone();
                if let (Ok(spine), Ok(body)) =
                    (stored.spine(&mut decompressor), stored.body(&mut decompressor))
                {
                    raw.push((header, ids, spine.into_owned(), body.into_owned()));
                }
            }
        }
        let (mut keys, mut blocks) = (Vec::new(), Vec::new());
        for (index, (header, ids, spine, body)) in raw.iter().enumerate() {
            let Ok(spine) = Spine::parse(header, ids.clone(), spine) else {
                blocks.push(None);
                continue;
            };
            let requests = spine.request_indices().unwrap_or_default();
            for (row, ((time, (level, record_type)), sequence)) in
                spine.times().iter().zip(spine.kinds()).zip(spine.sequences()).enumerate()
            {
                let filter = &query.filter;
                let id = requests.get(row).copied().flatten().and_then(|i| ids.get(i as usize));
                let wanted = query.since.is_none_or(|since| since <= *time)
                    && query.until.is_none_or(|until| *time < until)
                    && filter.levels.contains(level)
                    && filter.types.contains(record_type)
                    && filter.requests.as_ref().is_none_or(|r| id.is_some_and(|i| r.contains(i)));
                if wanted {
                    let writer = header.origin.writer.0;
                    let (block, index) = (index as u32, row as u32);
                    keys.push(Key {
                        time: *time,
                        writer,
                        sequence,
                        block,
                        index,
                        level,
                        record_type,
                    });
                }
            }
            let block = Block::new(spine, body).ok();
            blocks.push(block.map(|block| Decoded { origin: header.origin, block }));
        }
        keys.retain(|key| {
            let Some(Some(decoded)) = blocks.get(key.block as usize) else { return false };
            let row = Row::new(key, decoded);
            let Ok(record) = row.record() else { return false };
            let worker = record.subject(decoded.origin);
            query.filter.workers.as_ref().is_none_or(|workers| workers.contains(&worker))
                && query.filter.predicate.is_none_or(|predicate| predicate(&row))
        });
        keys.sort_by_key(Key::rank);
        keys.dedup_by_key(|key| key.rank());
        if query.order == Order::Descending {
            keys.reverse();
        }
        keys.truncate(query.limit.map_or(usize::MAX, |limit| limit as usize));
        report.statistics.records = keys.len() as u64;
        for keys in keys.chunks(1000) {
            if fold(map(&Rows::new(keys, &blocks))).is_break() {
                break;
            }
        }
        Ok(report)
    }

    /// Counts the records of `query`; its order and limit do not matter.
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn count(&self, query: &Query<'_>) -> Result<(u64, Report), ReadError> {
        let mut count = 0;
        let report = self.scan(query, |rows| rows.len(), |rows| {
            count += rows as u64;
            ControlFlow::Continue(())
        })?;
        Ok((count, report))
    }

    /// Counts the records of `query` by the values of a field; its order and limit do not matter.
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn tally(&self, query: &Query<'_>, by: Field) -> Result<(Tally, Report), ReadError> {
        let mut counts = std::collections::BTreeMap::<Value, u64>::new();
        let mut records = 0;
        let value = |row: Row<'_>| match by {
            Field::Level => Some(Value::Level(row.level())),
            Field::Type => Some(Value::Type(row.record_type())),
            Field::WorkerId => Some(Value::WorkerId(row.record().ok()?.subject(row.origin()))),
            Field::StatusCode => match row.record().ok()?.event {
                Event::Response(response) => Some(Value::StatusCode(response.status)),
                _ => None,
            },
        };
        let report = self.scan(
            query,
            |rows| rows.iter().map(value).collect::<Vec<_>>(),
            |values| {
                records += values.len() as u64;
                for value in values.into_iter().flatten() {
                    *counts.entry(value).or_default() += 1;
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok((Tally { counts: counts.into_iter().collect(), records }, report))
    }

    /// What the store holds.
    ///
    /// # Errors
    ///
    /// As [`Self::scan`].
    pub fn summary(&self) -> Result<Summary, ReadError> {
        let (tally, report) = self.tally(&Query::default(), Field::Level)?;
        let levels = tally.counts.iter().filter_map(|(value, count)| match value {
            Value::Level(level) => Some((*level, *count)),
            _ => None,
        });
        Ok(Summary {
            records: tally.records,
            levels: levels.collect(),
            report,
            ..Summary::default()
        })
    }
}
