//! How many records requests have, and from when to when.

use std::collections::HashMap;
use std::ops::ControlFlow;

use logq_format::RequestId;
use logq_reader::{Filter, Order, Query, Report, Rows};

use super::super::Asking;
use super::super::context::{Rank, rank};

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
        let ranks = |rows: &Rows<'_>| {
            let ids =
                rows.iter().filter_map(|row| Some((row.record().ok()?.request_id()?, rank(&row))));
            ids.collect::<Vec<_>>()
        };
        let report = asking.question.snapshot.scan(&query, ranks, |ranks| {
            for (request, rank) in ranks {
                let new = Extent { first: rank, last: rank, records: 0 };
                extents.entry(request).or_insert(new).add(rank);
            }
            ControlFlow::Continue(())
        })?;
        Ok((Self { extents }, report))
    }

    /// Puts requests in the order of the first of their records that is printed; those without any
    /// are dropped.
    pub(super) fn sort(&self, requests: &mut Vec<RequestId>, order: Order) {
        requests.retain(|request| self.extents.contains_key(request));
        match order {
            Order::Ascending => {
                requests.sort_by_key(|request| self.extents.get(request).map(|e| e.first));
            }
            Order::Descending => {
                requests.sort_by_key(|request| self.extents.get(request).map(|e| e.last));
                requests.reverse();
            }
        }
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
