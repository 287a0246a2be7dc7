//! Lines whose time is far from that of the lines before: parked until others confirm them.
//!
//! | lines far ahead | lines far back |
//! |---|---|
//! | one bad line would close everything up to it | one bad line is nothing |
//! | four in a row within a minute, or in order: it was a gap | a hundred in a row: the clock was set, or another log begins |
//! | a line in range comes first: they were wrong | a line in range comes first: they are too late |

use super::Monitor;
use crate::clock::{SourceId, Standing};
use crate::hit::Hit;
use crate::output::Output;

/// Lines within so many seconds of the first of them confirm it.
const CONFIRM_S: i64 = 60;

impl Monitor {
    /// Keeps a line that is far from the others.
    pub(super) fn park(&mut self, source: SourceId, standing: Standing, line: u64, hit: &Hit<'_>) {
        let before = self.clock.source(source).and_then(|state| state.standing);
        if before.is_some_and(|before| before != standing) {
            self.give_up_parked(source);
        }
        let Some(state) = self.clock.source_mut(source) else { return };
        state.standing = Some(standing);
        state.parked.push((line, hit.detach()));
        let (count, limits) = (state.parked.len(), &self.options.limits);
        if standing == Standing::Future && count >= limits.confirm_lines {
            self.confirm(source);
        } else if standing == Standing::Past && count >= limits.back_lines {
            self.jump_back(source);
        }
    }

    /// The parked lines of a source were wrong.
    pub(super) fn give_up_parked(&mut self, source: SourceId) {
        let Some(state) = self.clock.source_mut(source) else { return };
        state.has_told_jump = false;
        let standing = state.standing.take().unwrap_or(Standing::Past);
        for (line, hit) in state.parked.drain(..) {
            self.report.add_stray(standing, &state.name, line, hit.second());
        }
    }

    /// Takes the parked lines if they confirm one another, else gives up the first.
    fn confirm(&mut self, source: SourceId) {
        let lateness_s = i64::from(self.options.lateness_s);
        let Some(state) = self.clock.source_mut(source) else { return };
        if confirm_one_another(&state.parked, lateness_s) {
            state.standing = None;
            for (line, hit) in std::mem::take(&mut state.parked) {
                self.take(source, line, &hit);
            }
        } else {
            let (line, hit) = state.parked.remove(0);
            self.report.add_stray(Standing::Future, &state.name, line, hit.second());
        }
    }

    /// Takes the parked lines whose time has come.
    pub(super) fn take_confirmed_by_clock(&mut self) {
        let Some(to) = self.clock.confirmed_to() else { return };
        for index in 0..self.clock.sources.len() {
            let Some(state) = self.clock.sources.get_mut(index) else { continue };
            if state.standing != Some(Standing::Future) {
                continue;
            }
            let is_due = |(_, hit): &mut (u64, Hit<'static>)| hit.second() <= to;
            let due: Vec<(u64, Hit<'static>)> = state.parked.extract_if(.., is_due).collect();
            if state.parked.is_empty() {
                state.standing = None;
            }
            for (line, hit) in due {
                self.take(SourceId(index), line, &hit);
            }
        }
    }

    /// A hundred lines in a row are far back: another time begins, if no other source goes on.
    fn jump_back(&mut self, source: SourceId) {
        let is_alone = self.clock.sources.len() == 1;
        let Some(state) = self.clock.source_mut(source) else { return };
        let (Some(from), Some(first)) = (state.newest, state.parked.first()) else { return };
        let to = first.1.second();
        if !is_alone {
            let is_new = !state.has_told_jump;
            self.give_up_parked(source);
            if let Some(state) = self.clock.source_mut(source) {
                state.has_told_jump = true;
            }
            if is_new {
                self.outputs.push_back(Output::JumpedBack { from, to, is_followed: false });
            }
            return;
        }
        let parked = std::mem::take(&mut state.parked);
        state.standing = None;
        self.begin_anew(source);
        self.outputs.push_back(Output::JumpedBack { from, to, is_followed: true });
        for (line, hit) in parked {
            self.sort_in(source, line, &hit);
        }
    }

    /// Sums up what was counted and forgets it. Alerts that fire go on firing until the new time
    /// shows that they have recovered.
    fn begin_anew(&mut self, source: SourceId) {
        self.sum_up();
        self.traffic.clear();
        self.sections.values_mut().for_each(crate::track::Track::clear);
        self.intervals.restart(self.options.align);
        self.clock.restart(source);
        (self.next, self.first) = (None, None);
    }
}

/// Whether parked lines are near to one another, or in order as after a gap.
fn confirm_one_another(parked: &[(u64, Hit<'_>)], lateness_s: i64) -> bool {
    let seconds = || parked.iter().map(|(_, hit)| hit.second());
    let Some(first) = seconds().next() else { return false };
    let are_near = seconds().all(|second| (second - first).abs() <= CONFIRM_S);
    let are_in_order = seconds().is_sorted_by(|before, after| *after >= before - lateness_s);
    are_near || are_in_order
}
