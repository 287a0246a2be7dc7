//! How far what has been appended is final, over all stores.

use std::collections::BTreeSet;

use logq_format::Timestamp;

use super::Follow;
use super::tracked::{Tenant, Tracked};
use crate::cursor::position::{HIGHEST, LOWEST};
use crate::finality::{Finality, Probe};
use crate::report::{Coverage, Holder};
use crate::rows::Rank;

/// Everything ranked below is final.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frontier {
    pub(super) rank: Rank,
}

impl Default for Frontier {
    fn default() -> Self {
        Self { rank: LOWEST }
    }
}

impl Follow<'_> {
    /// Learns how far what has been observed is final, with what was known of the writers before.
    pub(super) fn judge(&mut self, probes: &[Option<Probe>]) -> Frontier {
        let mut rank = HIGHEST;
        let mut whole = Coverage { last: self.coverage.last, ..Coverage::default() };
        whole.watermark = Some(Timestamp::MAX);
        for (store, probe) in probes.iter().enumerate() {
            let coverage = self.coverage_of(store);
            let finality = match probe {
                Some(probe) => probe.finality(&coverage),
                None => {
                    Finality { watermark: coverage.watermark, holding: coverage.holding.clone() }
                }
            };
            rank = rank.min(self.rank_of(store, &finality));
            whole.watermark = whole.watermark.zip(finality.watermark).map(|(a, b)| a.min(b));
            whole.holding.extend(finality.holding);
        }
        whole.holding.sort_by_key(|holder| (holder.floor, holder.origin));
        self.coverage = whole;
        Frontier { rank }
    }

    /// What the observed segments of a store tell of its writers.
    fn coverage_of(&self, store: usize) -> Coverage {
        let mut slots = BTreeSet::new();
        let mut holding = Vec::new();
        let of_store = || self.tracked.iter().rev().filter(|tracked| tracked.store == store);
        for tracked in of_store() {
            // A slot is handed on only once its holder is gone.
            let is_possible = |holder: &Holder| holder.slot == 0 || !slots.contains(&holder.slot);
            let of_segment: Vec<_> = tracked.tenants().map(|t| holder(tracked, &t)).collect();
            holding.extend(of_segment.iter().copied().filter(is_possible));
            slots.extend(of_segment.iter().map(|holder| holder.slot));
        }
        let floor = holding.iter().map(|holder| holder.floor).min();
        let watermark = Some(floor.unwrap_or(Timestamp::MAX));
        Coverage { watermark, holding, ..Coverage::default() }
    }

    /// The lowest rank that may still be appended. A writer goes on with its next number, so that
    /// its own last record need not wait for a later one.
    fn rank_of(&self, store: usize, finality: &Finality) -> Rank {
        let Some(watermark) = finality.watermark else { return LOWEST };
        if watermark == Timestamp::MAX {
            return HIGHEST;
        }
        let held = finality.holding.iter().filter(|holder| holder.floor <= watermark);
        let next = |holder: &Holder| {
            let (writer, number) = self.next_of(store, holder).unwrap_or_default();
            (holder.floor, writer, number)
        };
        held.map(next).min().unwrap_or((watermark, 0, 0))
    }

    /// The next record of a holder, if it is certain who that is.
    fn next_of(&self, store: usize, holder: &Holder) -> Option<(u32, u64)> {
        let of_store = self.tracked.iter().filter(|tracked| tracked.store == store);
        let tenants = of_store.flat_map(Tracked::tenants).map(|tenant| (tenant.member(), tenant));
        let (mut number, mut is_certain) = (None, true);
        for (member, tenant) in tenants.filter(|(member, _)| member.slot == holder.slot) {
            is_certain &= member.origin.writer == holder.origin.writer;
            number = Some(number.map_or(tenant.next, |number: u64| number.min(tenant.next)));
        }
        number.filter(|_| is_certain).map(|number| (holder.origin.writer.0, number))
    }
}

fn holder(tracked: &Tracked, tenant: &Tenant) -> Holder {
    let member = tenant.member();
    Holder {
        origin: member.origin,
        floor: tenant.floor,
        pid: member.pid,
        slot: member.slot,
        segment: tracked.number,
    }
}
