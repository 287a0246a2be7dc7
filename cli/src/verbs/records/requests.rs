//! Requests as wholes: `--request-where`, and context within requests.
//!
//! Records of a request are spread over the store, among those of others. Three scans bring them
//! together: which requests have a match; how many records these have, and from when to when; then
//! the records, of as many requests at a time as is good for memory.

mod census;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use anyhow::bail;
use logq_format::RequestId;
use logq_reader::{Filter, Query, Report, Row, Rows};

use self::census::Census;
use super::context::{Rank, is_before, last_match, rank};
use super::lane::{Around, Lane, Step};
use super::{Answer, Asking};
use crate::completeness::absorb;
use crate::output::Output;

/// The most requests: what is kept of them takes up to 64 MiB then.
const REQUESTS_MAX: usize = 500_000;

/// Prints every record of each request that has a record for which the expression holds.
pub(super) fn print_whole(
    asking: &Asking<'_>,
    expression: &str,
    out: &mut Output,
) -> anyhow::Result<Answer> {
    let question = asking.question;
    let expression = question.expression(expression)?;
    let filter = Filter { expression: Some(&expression), ..Filter::default() };
    let query = Query { filter, order: asking.limits.order, ..question.query() };
    // Limits are about requests, and other filters choose among their records, which may lie
    // before and after the range of time.
    let (mut requests, report) = matching(asking, &query, asking.limits.found_max)?;
    let mut filter = question.selection.filter();
    if let Some(named) = filter.requests.take() {
        requests.retain(|request| named.contains(request));
    }
    let query = Query { filter, ..Query::default() };
    Printing::new(asking, Kind::Whole, query, report).print(requests, out)
}

/// Prints the records of the question with those around them in their requests.
pub(super) fn print_context(
    asking: &Asking<'_>,
    around: Around,
    out: &mut Output,
) -> anyhow::Result<Answer> {
    let question = asking.question;
    let limit = asking.limits.found_max;
    let query = Query { order: asking.limits.order, limit, ..question.query() };
    let (requests, report) = matching(asking, &query, None)?;
    let kind = Kind::Context { around, last_match: last_match(asking)? };
    let query = Query { filter: Filter::default(), ..question.query() };
    Printing::new(asking, kind, query, report).print(requests, out)
}

/// The first requests that have a record of the query.
fn matching(
    asking: &Asking<'_>,
    query: &Query<'_>,
    most: Option<u64>,
) -> anyhow::Result<(Vec<RequestId>, Report)> {
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let (mut requests, mut known) = (Vec::new(), HashSet::new());
    let ids = |rows: &Rows<'_>| {
        let ids = rows.iter().filter_map(|row| row.record().ok()?.request_id());
        ids.collect::<Vec<_>>()
    };
    let report = asking.question.snapshot.scan(query, ids, |ids| {
        for id in ids {
            if requests.len() >= most || requests.len() > REQUESTS_MAX {
                return ControlFlow::Break(());
            }
            if known.insert(id) {
                requests.push(id);
            }
        }
        ControlFlow::Continue(())
    })?;
    if requests.len() > REQUESTS_MAX {
        bail!(
            "more than {REQUESTS_MAX} requests match, which is too much to put in order; narrow \
             the range with --since and --until, or take the first ones with -m"
        );
    }
    Ok((requests, report))
}

/// What of a request is printed.
#[derive(Clone, Copy)]
enum Kind {
    Whole,
    /// What matches, up to a last record, with so many records around it.
    Context {
        around: Around,
        last_match: Option<Rank>,
    },
}

/// Requests on their way to the output.
struct Printing<'a> {
    asking: &'a Asking<'a>,
    kind: Kind,
    /// Which records of the requests, in the order of printing.
    query: Query<'a>,
    /// What has not been written yet.
    text: Vec<u8>,
    /// Whether something has been printed, from which the next group is to be set off.
    is_begun: bool,
    found: u64,
    report: Report,
}

/// A record of a request.
struct Item {
    request: RequestId,
    is_match: bool,
    text: Vec<u8>,
}

impl<'a> Printing<'a> {
    fn new(asking: &'a Asking<'a>, kind: Kind, query: Query<'a>, report: Report) -> Self {
        let order = asking.limits.printed_order();
        let query = Query { order, ..query };
        Self { asking, kind, query, text: Vec::new(), is_begun: false, found: 0, report }
    }

    /// Prints requests in the order of their first records.
    fn print(mut self, mut requests: Vec<RequestId>, out: &mut Output) -> anyhow::Result<Answer> {
        let (census, report) = Census::take(self.asking, &requests, &self.query)?;
        absorb(&mut self.report, report);
        census.sort(&mut requests, self.query.order);
        if matches!(self.kind, Kind::Whole) {
            let most = usize::try_from(self.asking.limits.printed_max).unwrap_or(usize::MAX);
            requests.truncate(most);
        }
        for batch in census.batches(&requests) {
            if self.print_batch(batch, &census, out)?.is_break() {
                break;
            }
        }
        // Where nobody reads any more, `finish` tells.
        let _ = self.flush(out);
        Ok(Answer { found: self.found, report: self.report })
    }

    /// Prints some requests: one with very many records as they come, of several all at the end.
    fn print_batch(
        &mut self,
        batch: &[RequestId],
        census: &Census,
        out: &mut Output,
    ) -> anyhow::Result<ControlFlow<()>> {
        let asking = self.asking;
        let mut query = census.confine(&self.query, batch);
        query.filter.requests = Some(batch.to_vec());
        let kind = self.kind;
        let items = |rows: &Rows<'_>| {
            rows.iter().filter_map(|row| item(asking, kind, &row)).collect::<Vec<_>>()
        };
        let mut kept: HashMap<RequestId, Vec<Item>> = HashMap::new();
        let mut streamed = Stream::new(kind);
        let mut flow = ControlFlow::Continue(());
        let report = asking.question.snapshot.scan(&query, items, |items| {
            for item in items {
                if batch.len() > 1 {
                    kept.entry(item.request).or_default().push(item);
                } else {
                    self.take(&mut streamed, item);
                }
            }
            flow = self.flush_some(out);
            flow
        })?;
        absorb(&mut self.report, report);
        for request in batch.iter().filter(|_| batch.len() > 1) {
            let mut stream = Stream::new(kind);
            for item in kept.remove(request).unwrap_or_default() {
                self.take(&mut stream, item);
            }
            if flow.is_continue() {
                flow = self.flush_some(out);
            }
        }
        Ok(flow)
    }

    /// Prints of a record and those before it what is to be printed.
    fn take(&mut self, stream: &mut Stream, item: Item) {
        self.found += u64::from(item.is_match);
        let (texts, begins) = stream.take(item);
        if begins && self.is_begun {
            self.asking.printer.separator(&mut self.text);
        }
        self.is_begun |= begins;
        texts.iter().for_each(|text| self.text.extend_from_slice(text));
    }

    fn flush_some(&mut self, out: &mut Output) -> ControlFlow<()> {
        const ENOUGH_BYTES: usize = 64 << 10;
        if self.text.len() < ENOUGH_BYTES { ControlFlow::Continue(()) } else { self.flush(out) }
    }

    fn flush(&mut self, out: &mut Output) -> ControlFlow<()> {
        let flow = self.asking.stages.write.time(|| out.write(&self.text));
        self.text.clear();
        flow
    }
}

fn item(asking: &Asking<'_>, kind: Kind, row: &Row<'_>) -> Option<Item> {
    let request = row.record().ok()?.request_id()?;
    let is_match = match kind {
        Kind::Whole => true,
        Kind::Context { last_match, .. } => {
            let is_behind = |last| is_before(asking.limits.order, last, rank(row));
            !last_match.is_some_and(is_behind) && asking.question.selection.matches(row)
        }
    };
    let mut text = Vec::new();
    asking.stages.render.time(|| asking.printer.print(row, &mut text));
    Some(Item { request, is_match, text })
}

/// The records of one request, as they come.
enum Stream {
    Whole { is_begun: bool },
    Context(Lane<Vec<u8>>),
}

impl Stream {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Whole => Self::Whole { is_begun: false },
            Kind::Context { around, .. } => Self::Context(Lane::new(around)),
        }
    }

    /// What is printed now that this record has come, and whether it begins a group.
    fn take(&mut self, item: Item) -> (Vec<Vec<u8>>, bool) {
        match self {
            Self::Whole { is_begun } => (vec![item.text], !std::mem::replace(is_begun, true)),
            Self::Context(lane) => match lane.feed(item.text, item.is_match) {
                Step::Begin(texts) => (texts, true),
                Step::GoOn(texts) => (texts, false),
                Step::Wait | Step::End => (Vec::new(), false),
            },
        }
    }
}
