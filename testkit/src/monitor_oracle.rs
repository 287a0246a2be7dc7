//! What a traffic monitor must say, by brute force: every line is put where the rules of time put it,
//! and every second, window and interval is counted by looking at all lines again.
//!
//! The rules: E is the newest second of a source. A line more than a gap ahead of E is parked; the
//! fourth parked line in a row confirms them if all are within a minute of the first, or each is at
//! least as late as the one before but for the lateness, else the first is given up. A line far
//! behind E is parked too; enough of them in a row begin another time, if there is one source only.
//! Every other line ends both. A line takes part in decisions about its own second and later ones,
//! but for those that its own source had passed by more than the lateness when it came.

use std::collections::BTreeMap;

use fastrand::Rng;

/// What the monitor is asked to do, in whole numbers.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Seconds of a summary.
    pub interval_s: i64,
    /// Seconds of the window of all alerts.
    pub window_s: i64,
    /// Allowed lateness.
    pub lateness_s: i64,
    /// The alert on all traffic fires above so many hits in the window,
    pub fire_above: u64,
    /// recovers below so many,
    pub recover_below: u64,
    /// fires after so many seconds in a row,
    pub for_s: u32,
    /// and recovers after so many.
    pub keep_firing_s: u32,
    /// The alert on the share of errors fires above so many percent.
    pub error_percent: u64,
    /// The alert on each section fires above so many hits in the window and recovers below.
    pub section_above: u64,
    /// A line further ahead is parked.
    pub gap_s: i64,
    /// A line further behind is parked.
    pub back_s: i64,
    /// So many in a row are a jump.
    pub back_lines: usize,
}

/// One line of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A request.
    Hit(Hit),
    /// Not a request.
    Bad,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When.
    pub second: i64,
    /// Its section, without the slash.
    pub section: char,
    /// Its status.
    pub status: u16,
    /// Bytes of its response.
    pub bytes: u64,
}

/// What is to be said, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A second with hits in time, and hits of earlier seconds.
    Point {
        /// The second.
        second: i64,
        /// Hits in time.
        hits: u64,
        /// Late ones.
        late: u64,
    },
    /// An alert fired or recovered.
    Alert {
        /// Whether it fired.
        fired: bool,
        /// 0 is all traffic, 1 the share of errors, 2 a section's traffic.
        rule: usize,
        /// The section.
        section: Option<char>,
        /// The second.
        second: i64,
        /// Hits in the window.
        hits: u64,
    },
    /// An interval.
    Summary {
        /// Its first second.
        start: i64,
        /// The second of its latest hit, or its own last one.
        last: i64,
        /// Hits.
        hits: u64,
        /// Bytes.
        bytes: u64,
        /// Late lines.
        late: u64,
        /// Bad lines.
        bad: u64,
        /// The section with the most hits.
        section: Option<char>,
        /// Whether the input ended first.
        is_partial: bool,
    },
    /// Time jumped back.
    Jump {
        /// The newest second before.
        from: i64,
        /// The second of the first line after.
        to: i64,
        /// Whether another time began.
        is_followed: bool,
    },
}

/// Everything that is to be said, and the lines that no summary counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// In order. Jumps that are not followed are left out: they are said when they happen.
    pub said: Vec<Said>,
    /// Lines older than everything that is remembered.
    pub too_late: u64,
    /// Lines far ahead that nothing confirmed.
    pub quarantined: u64,
}

/// The lines of a stretch of time, placed.
#[derive(Debug, Default)]
struct Epoch {
    /// Each hit, and the first second whose decisions it takes part in if that is later than its own.
    hits: Vec<(Hit, i64)>,
    /// The seconds whose intervals have a bad line.
    bad: Vec<i64>,
    start: Option<i64>,
    newest: Option<i64>,
}

/// Puts the lines of one source where they belong.
struct Placing<'a> {
    setup: &'a Setup,
    is_alone: bool,
    epoch: Epoch,
    finished: Vec<(Epoch, Said)>,
    ahead: Vec<Hit>,
    behind: Vec<Hit>,
    bad_before: usize,
    too_late: u64,
    quarantined: u64,
}

impl Placing<'_> {
    fn line(&mut self, line: &Line) {
        match (line, self.epoch.newest) {
            (Line::Hit(hit), _) => self.hit(hit),
            (Line::Bad, Some(newest)) => self.epoch.bad.push(newest),
            (Line::Bad, None) => self.bad_before += 1,
        }
    }

    fn hit(&mut self, hit: &Hit) {
        let newest = self.epoch.newest.unwrap_or(hit.second);
        if hit.second > newest + self.setup.gap_s {
            self.give_up_behind();
            self.ahead.push(hit.clone());
            self.look_ahead();
        } else if hit.second < newest - self.setup.back_s {
            self.give_up_ahead();
            self.behind.push(hit.clone());
            self.look_behind(newest);
        } else {
            self.give_up_ahead();
            self.give_up_behind();
            self.take(hit.clone());
        }
    }

    fn look_ahead(&mut self) {
        let seconds: Vec<i64> = self.ahead.iter().map(|hit| hit.second).collect();
        let &[first, .., _] = seconds.as_slice() else { return };
        if seconds.len() < 4 {
            return;
        }
        let near = seconds.iter().all(|second| (second - first).abs() <= 60);
        let lateness_s = self.setup.lateness_s;
        let in_order = seconds.windows(2).all(|pair| match pair {
            [before, after] => *after >= before - lateness_s,
            _ => true,
        });
        if near || in_order {
            std::mem::take(&mut self.ahead).into_iter().for_each(|hit| self.take(hit));
        } else {
            self.ahead.remove(0);
            self.quarantined += 1;
        }
    }

    fn look_behind(&mut self, from: i64) {
        if self.behind.len() < self.setup.back_lines {
            return;
        }
        let behind = std::mem::take(&mut self.behind);
        if !self.is_alone {
            self.too_late += behind.len() as u64;
            return;
        }
        let to = behind.first().map_or(0, |hit| hit.second);
        let epoch = std::mem::take(&mut self.epoch);
        self.finished.push((epoch, Said::Jump { from, to, is_followed: true }));
        behind.iter().for_each(|hit| self.hit(hit));
    }

    fn take(&mut self, hit: Hit) {
        let lateness_s = self.setup.lateness_s;
        self.epoch.start.get_or_insert(hit.second - lateness_s);
        let bad = std::mem::take(&mut self.bad_before);
        self.epoch.bad.extend(std::iter::repeat_n(hit.second, bad));
        let newest = self.epoch.newest.map_or(hit.second, |newest| newest.max(hit.second));
        self.epoch.newest = Some(newest);
        let open = newest - lateness_s;
        if hit.second <= open - self.setup.window_s.max(self.setup.interval_s) {
            self.too_late += 1;
        } else {
            self.epoch.hits.push((hit, open));
        }
    }

    fn give_up_ahead(&mut self) {
        self.quarantined += self.ahead.len() as u64;
        self.ahead.clear();
    }

    fn give_up_behind(&mut self) {
        self.too_late += self.behind.len() as u64;
        self.behind.clear();
    }
}

/// What a monitor of these sources must say when they have been read to their ends.
pub fn answer(setup: &Setup, sources: &[Vec<Line>]) -> Answer {
    let mut answer = Answer::default();
    let mut last = Epoch::default();
    for lines in sources {
        let mut placing = Placing {
            setup,
            is_alone: sources.len() == 1,
            epoch: Epoch::default(),
            finished: Vec::new(),
            ahead: Vec::new(),
            behind: Vec::new(),
            bad_before: 0,
            too_late: 0,
            quarantined: 0,
        };
        lines.iter().for_each(|line| placing.line(line));
        placing.give_up_ahead();
        placing.give_up_behind();
        answer.too_late += placing.too_late;
        answer.quarantined += placing.quarantined;
        let mut machines = Machines::default();
        for (epoch, jump) in placing.finished {
            count(setup, &epoch, &mut machines, &mut answer.said);
            answer.said.push(jump);
        }
        // Only a lone source has begun anew, and then it is the last one here.
        last.add(placing.epoch);
        if sources.len() == 1 {
            count(setup, &last, &mut machines, &mut answer.said);
        }
    }
    if sources.len() > 1 {
        count(setup, &last, &mut Machines::default(), &mut answer.said);
    }
    answer
}

impl Epoch {
    fn add(&mut self, other: Self) {
        self.hits.extend(other.hits);
        self.bad.extend(other.bad);
        self.start = self.start.into_iter().chain(other.start).min();
        self.newest = self.newest.max(other.newest);
    }
}

/// By rule and section: whether it fires, and the seconds in a row that would change that.
type Machines = BTreeMap<(usize, Option<char>), (bool, u32)>;

/// Looks at every second from the first to the last.
fn count(setup: &Setup, epoch: &Epoch, machines: &mut Machines, said: &mut Vec<Said>) {
    let (Some(start), Some(newest)) = (epoch.start, epoch.newest) else { return };
    for second in start..=newest {
        let count = |wanted: &dyn Fn(&Hit, i64) -> bool| {
            epoch.hits.iter().filter(|(hit, open)| wanted(hit, *open)).count() as u64
        };
        let hits = count(&|hit, open| hit.second == second && open <= second);
        let late = count(&|hit, open| open == second && hit.second < open);
        if hits + late > 0 {
            said.push(Said::Point { second, hits, late });
        }
        alerts(setup, epoch, second, machines, said);
        if (second + 1).rem_euclid(setup.interval_s) == 0 {
            said.extend(summary(setup, epoch, second + 1 - setup.interval_s, newest));
        }
    }
    let begun = newest.div_euclid(setup.interval_s) * setup.interval_s;
    if begun + setup.interval_s > newest + 1 {
        said.extend(summary(setup, epoch, begun, newest));
    }
}

fn alerts(
    setup: &Setup,
    epoch: &Epoch,
    second: i64,
    machines: &mut Machines,
    said: &mut Vec<Said>,
) {
    let window: Vec<&Hit> = epoch
        .hits
        .iter()
        .filter(|(hit, open)| {
            hit.second > second - setup.window_s && hit.second <= second && *open <= second
        })
        .map(|(hit, _)| hit)
        .collect();
    let hits = window.len() as u64;
    let errors = window.iter().filter(|hit| hit.status / 100 == 5).count() as u64;
    // Rule, section, hits, whether it would fire, whether it would recover, seconds in a row.
    let mut looks = vec![
        (0, None, hits, hits > setup.fire_above, hits < setup.recover_below),
        (
            1,
            None,
            hits,
            errors * 100 > setup.error_percent * hits,
            hits == 0 || errors * 100 < setup.error_percent * hits,
        ),
    ];
    for section in 'a'..='e' {
        let hits = window.iter().filter(|hit| hit.section == section).count() as u64;
        let (above, below) = (hits > setup.section_above, hits < setup.section_above);
        looks.push((2, Some(section), hits, above, below));
    }
    for (rule, section, hits, fires, recovers) in looks {
        let (is_firing, run) = machines.entry((rule, section)).or_default();
        let (due, needed) = match (*is_firing, rule) {
            (false, 0) => (fires, setup.for_s),
            (true, 0) => (recovers, setup.keep_firing_s),
            (false, _) => (fires, 0),
            (true, _) => (recovers, 0),
        };
        *run = if due { *run + 1 } else { 0 };
        if due && *run >= needed {
            (*is_firing, *run) = (!*is_firing, 0);
            said.push(Said::Alert { fired: *is_firing, rule, section, second, hits });
        }
    }
}

fn summary(setup: &Setup, epoch: &Epoch, start: i64, newest: i64) -> Option<Said> {
    let end = start + setup.interval_s;
    let inside = |second: i64| start <= second && second < end;
    let counted = || epoch.hits.iter().filter(|(hit, open)| inside(hit.second) && *open < end);
    let late = epoch.hits.iter().filter(|(hit, open)| inside(*open) && hit.second < *open);
    let (late, bad) = (late.count() as u64, epoch.bad.iter().filter(|s| inside(**s)).count());
    let hits = counted().count() as u64;
    if hits + late + bad as u64 == 0 {
        return None;
    }
    let rank = |section: &char| {
        let own = || counted().filter(|(hit, _)| hit.section == *section);
        let first = own().map(|(hit, _)| hit.second).min();
        (std::cmp::Reverse(own().count()), first, *section)
    };
    let is_partial = end > newest + 1;
    let last_of_all = if is_partial { newest } else { end - 1 };
    Some(Said::Summary {
        start,
        last: counted().map(|(hit, _)| hit.second).max().unwrap_or(last_of_all),
        hits,
        bytes: counted().map(|(hit, _)| hit.bytes).sum(),
        late,
        bad: bad as u64,
        section: ('a'..='e').filter(|_| hits > 0).min_by_key(rank),
        is_partial,
    })
}

/// A setup in which a short trace can show everything.
pub fn random_setup(random: &mut Rng) -> Setup {
    let window_s = random.i64(1..30);
    let interval_s = random.i64(1..15);
    let lateness_s = random.i64(0..6);
    let fire_above = random.u64(0..25);
    Setup {
        interval_s,
        window_s,
        lateness_s,
        fire_above,
        recover_below: if random.bool() { fire_above } else { random.u64(0..=fire_above) },
        for_s: if random.bool() { 0 } else { random.u32(0..5) },
        keep_firing_s: if random.bool() { 0 } else { random.u32(0..5) },
        error_percent: random.u64(0..60),
        section_above: random.u64(1..10),
        gap_s: random.i64(10..100),
        // A jump goes further back than anything is remembered.
        back_s: window_s.max(interval_s) + lateness_s + random.i64(0..30),
        back_lines: random.usize(1..9),
    }
}

/// The lines of one source: busy and quiet stretches, disorder, late lines, gaps, lines of the
/// future and of the past, jumps, and lines that are none.
pub fn random_lines(random: &mut Rng, setup: &Setup, lines: usize) -> Vec<Line> {
    let mut now = 100_000 + random.i64(0..50);
    let mut trace = Vec::with_capacity(lines);
    let mut pace = 1;
    while trace.len() < lines {
        match random.u32(0..100) {
            0..4 => trace.push(Line::Bad),
            4..7 => pace = random.i64(0..6),
            7..8 => now += random.i64(0..2 * setup.window_s + 20),
            8..9 => now += setup.gap_s + random.i64(-2..60),
            9..10 => now -= setup.back_s + random.i64(-2..60),
            10..12 => {
                let ahead = setup.gap_s + random.i64(-2..100);
                let strays = (0..random.u32(1..4)).map(|_| hit(random, now + ahead));
                trace.extend(strays.collect::<Vec<_>>());
            }
            12..14 => {
                let behind = setup.back_s + random.i64(-2..100);
                trace.push(hit(random, now - behind));
            }
            14..18 => {
                let late_s = random.i64(0..=setup.lateness_s + setup.window_s + 3);
                trace.push(hit(random, now - late_s));
            }
            _ => {
                if pace == 0 || random.i64(0..6) < pace {
                    now += i64::from(random.u32(0..10) < 4);
                }
                let disorder_s = random.i64(0..=setup.lateness_s) * i64::from(random.u8(..4) == 0);
                trace.push(hit(random, now - disorder_s));
            }
        }
    }
    trace
}

/// The lines of one source of which none is late or bad: disorder within the lateness only.
pub fn orderly_lines(random: &mut Rng, setup: &Setup, lines: usize) -> Vec<Line> {
    let mut now = 100_000;
    let line = |_| {
        now += i64::from(random.u32(0..10) < 4) + i64::from(random.u32(0..40) == 0) * 7;
        let disorder_s = random.i64(0..=setup.lateness_s);
        hit(random, now - disorder_s)
    };
    (0..lines).map(line).collect()
}

fn hit(random: &mut Rng, second: i64) -> Line {
    Line::Hit(Hit {
        second,
        section: random.choice(['a', 'a', 'a', 'b', 'b', 'c', 'd', 'e']).unwrap_or('a'),
        status: random.choice([200, 200, 200, 301, 404, 500, 503]).unwrap_or(200),
        bytes: random.u64(0..2_000),
    })
}
