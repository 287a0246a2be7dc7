//! How many records requests have, and from when to when.

use std::collections::HashMap;
use std::ops::ControlFlow;

use logq_format::RequestId;
use logq_reader::{Filter, Order, Query, Report};

use super::super::Asking;
use super::super::context::Rank;

/// How many records of several requests are in memory at once.
const RECORDS_MAX: u64 = 16_384;

/// Where the records of requests are.
pub(super) struct Census {
    extents: HashMap<RequestId, Extent>,
}

#[derive(Clone, Copy)]
struct Extent {
    first: Rank,
    last: Rank,
    records: u64,
}

impl Extent {
    fn add(&mut self, rank: Rank) {
        self.first = self.first.min(rank);
        self.last = self.last.max(rank);
        self.records += 1;
    }
}

impl Census {
    /// Looks for the records of a query that belong to the requests.
    pub(super) fn take(
        asking: &Asking<'_>,
        requests: &[RequestId],
        query: &Query<'_>,
    ) -> anyhow::Result<(Self, Report)> {
        let filter = Filter { requests: Some(requests.to_vec()), ..query.filter.clone() };
        let query = Query { filter, order: Order::Ascending, ..query.clone() };
        let mut extents: HashMap<RequestId, Extent> = HashMap::with_capacity(requests.len());
        let report = asking.question.snapshot.requests(&query, |records| {
            for record in records {
                let rank = (record.time, record.writer.0, record.sequence);
                let new = Extent { first: rank, last: rank, records: 0 };
                extents.entry(record.request).or_insert(new).add(rank);
            }
            ControlFlow::Continue(())
        })?;
        Ok((Self { extents }, report))
    }

    /// Those of the requests that have any records, in the same order.
    pub(super) fn counted(&self, requests: &[RequestId]) -> Vec<RequestId> {
        requests.iter().filter(|request| self.extents.contains_key(request)).copied().collect()
    }

    /// Requests in batches whose records are few enough to be in memory, or of a single request.
    pub(super) fn batches<'r>(&self, requests: &'r [RequestId]) -> Vec<&'r [RequestId]> {
        let records =
            |request: &RequestId| self.extents.get(request).map_or(0, |extent| extent.records);
        let mut batches = Vec::new();
        let mut rest = requests;
        while !rest.is_empty() {
            let mut sum = 0;
            let fits = |request: &&RequestId| {
                sum += records(request);
                sum <= RECORDS_MAX
            };
            let (batch, behind) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            batches.push(batch);
            rest = behind;
        }
        batches
    }

    /// The query confined to the times of a batch.
    pub(super) fn confine<'q>(&self, query: &Query<'q>, batch: &[RequestId]) -> Query<'q> {
        let extents = || batch.iter().filter_map(|request| self.extents.get(request));
        let since = extents().map(|extent| extent.first.0).min();
        let until = extents().map(|extent| extent.last.0.saturating_add_micros(1)).max();
        Query { since, until, ..query.clone() }
    }
}
