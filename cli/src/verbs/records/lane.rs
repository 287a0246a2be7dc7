//! Which records of one stream are printed around those that match, and which of them belong together.
//!
//! A lane is the stream of records among which "the N before" and "the N after" are counted: those of
//! a process, of a request, or all. A group is a run of its records that are printed without a gap:
//!
//! ```text
//! . . . b b M a a b b M a a . . . . b b M a a .      before = after = 2; M matches
//!       \_____ group _____/         \_group_/
//! ```

use std::collections::VecDeque;

/// How many records around those that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) before: usize,
    pub(super) after: usize,
}

/// What becomes of a record that was fed to a lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<T> {
    /// Nothing is to be printed yet.
    Wait,
    /// These begin a group.
    Begin(Vec<T>),
    /// These go on with the open group.
    GoOn(Vec<T>),
    /// The open group ends: no later record can belong to it.
    End,
}

/// The state of one lane. Holds at most `before + after + 1` records.
#[derive(Debug)]
pub(super) struct Lane<T> {
    around: Around,
    /// Records that are printed if a match follows soon enough, oldest first.
    waiting: VecDeque<T>,
    /// Records since the last match; `None` if no group is open.
    since_match: Option<usize>,
}

impl<T> Lane<T> {
    pub(super) fn new(around: Around) -> Self {
        Self { around, waiting: VecDeque::new(), since_match: None }
    }

    /// Whether a group is open.
    pub(super) fn is_open(&self) -> bool {
        self.since_match.is_some()
    }

    /// Whether a group is open that waits for records after its last match.
    pub(super) fn is_incomplete(&self) -> bool {
        self.since_match.is_some_and(|since| since < self.around.after)
    }

    /// How many records before a match that comes next are not known.
    pub(super) fn unknown(&self) -> usize {
        match self.since_match {
            Some(_) => 0,
            None => self.around.before - self.waiting.len().min(self.around.before),
        }
    }

    /// The first record that waits.
    pub(super) fn oldest(&self) -> Option<&T> {
        self.waiting.front()
    }

    /// Adds records before all that the lane has been fed, oldest first.
    pub(super) fn prime(&mut self, records: Vec<T>) {
        records.into_iter().rev().for_each(|record| self.waiting.push_front(record));
    }

    /// Passes over records of which none matches or is near enough to one to be printed.
    pub(super) fn skip(&mut self) {
        self.waiting.clear();
    }

    /// Takes the next record.
    pub(super) fn feed(&mut self, record: T, is_match: bool) -> Step<T> {
        if is_match {
            let mut printed: Vec<T> = self.waiting.drain(..).collect();
            printed.push(record);
            return match self.since_match.replace(0) {
                Some(_) => Step::GoOn(printed),
                None => Step::Begin(printed),
            };
        }
        let Some(since) = &mut self.since_match else {
            self.wait(record);
            return Step::Wait;
        };
        *since += 1;
        if *since <= self.around.after {
            return Step::GoOn(vec![record]);
        }
        // A match that comes next is printed with these before it, and nothing is left out between.
        if *since <= self.around.after.saturating_add(self.around.before) {
            self.waiting.push_back(record);
            return Step::Wait;
        }
        self.since_match = None;
        self.wait(record);
        Step::End
    }

    fn wait(&mut self, record: T) {
        self.waiting.push_back(record);
        if self.waiting.len() > self.around.before {
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups of a stream of records, `M` for those that match.
    fn groups(before: usize, after: usize, stream: &str) -> Vec<String> {
        let mut lane = Lane::new(Around { before, after });
        let mut groups: Vec<String> = Vec::new();
        for (place, record) in stream.chars().enumerate() {
            let text =
                if record == 'M' { 'M' } else { char::from(b'a' + u8::try_from(place).unwrap()) };
            match lane.feed(text, record == 'M') {
                Step::Begin(records) => groups.push(records.into_iter().collect()),
                Step::GoOn(records) => groups.last_mut().unwrap().extend(records),
                Step::Wait | Step::End => {}
            }
            assert!(lane.waiting.len() <= before + after + 1);
        }
        groups
    }

    #[test]
    fn groups_are_what_grep_prints_between_its_separators() {
        assert_eq!(groups(1, 1, "....M...."), ["dMf"]);
        assert_eq!(groups(2, 0, "....M...."), ["cdM"]);
        assert_eq!(groups(0, 2, "....M...."), ["Mfg"]);
        assert_eq!(groups(1, 1, "M.M"), ["MbM"]);
        assert_eq!(groups(1, 1, "M..M"), ["MbcM"]);
        assert_eq!(groups(1, 1, "M...M"), ["Mb", "dM"]);
        assert_eq!(groups(0, 0, "MM.M"), ["MM", "M"]);
        assert_eq!(groups(5, 5, ".M."), ["aMc"]);
        assert_eq!(groups(2, 1, "M...M....M"), ["MbcdMf", "hiM"]);
    }

    #[test]
    fn groups_are_the_same_backwards() {
        for seed in 0..200_u32 {
            let stream: String = (0..24)
                .map(|bit| if seed.wrapping_mul(2_654_435_761) >> bit & 3 == 0 { 'M' } else { '.' })
                .collect();
            let backwards: String = stream.chars().rev().collect();
            let lengths = |groups: Vec<String>| groups.iter().map(String::len).collect::<Vec<_>>();
            let mut turned = lengths(groups(3, 1, &backwards));
            turned.reverse();
            assert_eq!(lengths(groups(1, 3, &stream)), turned, "{stream}");
        }
    }
}
