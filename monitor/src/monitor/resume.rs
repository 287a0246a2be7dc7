//! Going on where an earlier run was: everything that later conclusions depend on, so that alerts and
//! summaries are those of one run over all of it.

use serde::{Deserialize, Serialize};

use super::{Monitor, Watched};
use crate::rule::Rule;
use crate::saved::{Name, SavedHit, SavedIntervals, SavedTrack};
use crate::track::Track;

/// What a [`Monitor`] knows, for a later one to go on with: seconds, open intervals, the states of
/// alerts, how far each source has come. The numbers and lists of the run are not in it.
///
/// It belongs together with how far each source was read when it was made: what was read before is
/// in it, half lines are not. A state file holds it as JSON, whose form is this version's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    /// The rules by their texts and windows.
    rules: Vec<(String, u32)>,
    next: Option<i64>,
    first: Option<i64>,
    sources: Vec<SavedSource>,
    traffic: SavedTrack,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sections: Vec<(Name, SavedTrack)>,
    intervals: SavedIntervals,
}

/// How far a source has come, by its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedSource {
    pub(crate) name: String,
    pub(crate) newest: Option<i64>,
    pub(crate) watermark: Option<i64>,
    pub(crate) start: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parked: Vec<SavedHit>,
    /// Whether parked lines are ahead or back.
    pub(crate) are_ahead: bool,
    pub(crate) has_told_jump: bool,
    pub(crate) bad_before: u64,
    /// Whether that run came to its end, so that its parked lines were given up.
    pub(crate) has_ended: bool,
}

impl Saved {
    /// The first second that was not closed, if any was.
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// Whether the second of the first line was closed: empty ones behind that belong to the log.
    pub fn has_begun(&self) -> bool {
        self.next.zip(self.first).is_some_and(|(next, first)| next > first)
    }
}

impl Monitor {
    /// What it knows now. Outputs must have been [drained](Self::drain): they are not in it.
    pub fn save(&self) -> Saved {
        let sections = self.sections.iter();
        let saved = |track: &Track| track.save(&self.by_section.indices);
        Saved {
            rules: self.options.rules.iter().map(name_of).collect(),
            next: self.next,
            first: self.first,
            sources: self.clock.save(),
            traffic: self.traffic.save(&self.all.indices),
            sections: sections.map(|(name, t)| (Name::from(&**name), saved(t))).collect(),
            intervals: self.intervals.save(),
        }
    }

    /// Goes on where another monitor was; before any source is [opened](Self::open), since sources
    /// are known by their names.
    ///
    /// Options may differ: an alert goes on in its state if its rule is as it was, windows hold the
    /// seconds that were kept, and intervals that were open are dropped if they are of another length.
    pub fn restore(&mut self, saved: Saved) {
        let rules: Vec<Option<usize>> = saved
            .rules
            .iter()
            .map(|saved| self.options.rules.iter().position(|rule| name_of(rule) == *saved))
            .collect();
        (self.next, self.first) = (saved.next, saved.first);
        self.clock.restore(saved.sources);
        let track = |watched: &Watched, mut saved: SavedTrack| {
            saved.machines.retain_mut(|(rule, _, _)| {
                let now = rules.get(*rule).copied().flatten();
                let place = watched.indices.iter().position(|index| Some(*index) == now);
                *rule = place.unwrap_or(usize::MAX);
                place.is_some()
            });
            Track::restore(&watched.shape, saved, self.next)
        };
        self.traffic = track(&self.all, saved.traffic);
        if !self.by_section.indices.is_empty() {
            let sections = saved.sections.into_iter();
            let restored =
                sections.map(|(name, saved)| (name.0.into(), track(&self.by_section, saved)));
            self.sections = restored.collect();
        }
        self.intervals.restore(saved.intervals);
    }
}

fn name_of(rule: &Rule) -> (String, u32) {
    (rule.text.clone(), rule.window_s)
}
