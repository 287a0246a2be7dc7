//! Requests as wholes: `--request-where`, and context within requests.
//!
//! Records of a request are spread over the store, among those of others. Three scans bring them
//! together: which requests have a match; how many records these have, and from when to when; then
//! the records, of as many requests at a time as is good for memory.
//!
//! The first scan stops for the other two when it has found one request, then a few, then more, so
//! that the first one is printed at once and the whole takes few scans.

mod census;

use std::collections::HashMap;
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

/// The most requests: what is kept of them takes up to 32 MiB then.
const REQUESTS_MAX: usize = 500_000;

/// So many times as many requests are looked for each time.
const GROWTH: usize = 8;

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
    let mut filter = question.selection.filter();
    let named = filter.requests.take();
    let most = asking.limits.found_max;
    let wanted = Wanted { query, most, named };
    Printing::new(asking, Kind::Whole, Query { filter, ..Query::default() }).find(wanted, out)
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
    let kind = Kind::Context { around, last_match: last_match(asking)? };
    let wanted = Wanted { query, most: None, named: None };
    let query = Query { filter: Filter::default(), ..question.query() };
    Printing::new(asking, kind, query).find(wanted, out)
}

/// Which requests are wanted.
struct Wanted<'q> {
    /// Those that have a record of it.
    query: Query<'q>,
    /// The first ones.
    most: Option<u64>,
    /// Of them, these.
    named: Option<Vec<RequestId>>,
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
    /// How many records were found.
    found: u64,
    /// How many requests were printed.
    printed: usize,
    report: Report,
}

/// A record of a request.
struct Item {
    request: RequestId,
    is_match: bool,
    text: Vec<u8>,
}

impl<'a> Printing<'a> {
    fn new(asking: &'a Asking<'a>, kind: Kind, query: Query<'a>) -> Self {
        let query = Query { order: asking.limits.printed_order(), ..query };
        let (text, report) = (Vec::new(), Report::default());
        Self { asking, kind, query, text, is_begun: false, found: 0, printed: 0, report }
    }

    /// Finds requests and prints them in the order of their first matches.
    fn find(mut self, wanted: Wanted<'_>, out: &mut Output) -> anyhow::Result<Answer> {
        let Wanted { query, most, named } = wanted;
        let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        // Where they are printed the other way round, all of them are found first.
        let turned = self.asking.limits.turned;
        let mut enough = if turned { usize::MAX } else { 1 };
        let (mut known, mut found, mut failure) = (HashMap::new(), Vec::new(), None);
        let mut matches = 0_u64;
        let report = self.asking.question.snapshot.requests(&query, |records| {
            for record in records {
                if known.len() >= most || known.len() > REQUESTS_MAX {
                    return ControlFlow::Break(());
                }
                matches += 1;
                let is_named = |named: &Vec<RequestId>| named.contains(&record.request);
                let is_new = known.insert(record.request, matches).is_none();
                if is_new && named.as_ref().is_none_or(is_named) {
                    found.push(record.request);
                }
            }
            if found.len() < enough {
                return ControlFlow::Continue(());
            }
            enough = enough.saturating_mul(GROWTH);
            self.print(&std::mem::take(&mut found), out).unwrap_or_else(|error| {
                failure = Some(error);
                ControlFlow::Break(())
            })
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        if known.len() > REQUESTS_MAX {
            bail!(
                "more than {REQUESTS_MAX} requests match, which is too much to keep in mind; narrow \
                 the range with --since and --until, or take the first ones with -m"
            );
        }
        absorb(&mut self.report, report);
        if turned {
            // The last one found of its matches is the first one printed.
            found.sort_by_key(|request| std::cmp::Reverse(known.get(request).copied()));
        }
        // Where nobody reads any more, `finish` tells.
        let _ = self.print(&found, out)?;
        let _ = self.flush(out);
        Ok(Answer { found: self.found, report: self.report })
    }

    /// Prints requests in this order.
    fn print(
        &mut self,
        requests: &[RequestId],
        out: &mut Output,
    ) -> anyhow::Result<ControlFlow<()>> {
        if requests.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let (census, report) = Census::take(self.asking, requests, &self.query)?;
        absorb(&mut self.report, report);
        let mut requests = census.counted(requests);
        if matches!(self.kind, Kind::Whole) {
            let most = usize::try_from(self.asking.limits.printed_max).unwrap_or(usize::MAX);
            requests.truncate(most.saturating_sub(self.printed));
            self.printed += requests.len();
        }
        for batch in census.batches(&requests) {
            if self.print_batch(batch, &census, out)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(self.flush(out))
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
