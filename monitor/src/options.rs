//! What a monitor is asked to do, with the seed's defaults.

use crate::rule::Rule;

/// Options of a [`Monitor`](crate::Monitor).
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Seconds of log time that a summary covers; at least 1. Default 10.
    pub interval_s: u32,
    /// Lines may be later than others of their source by so many seconds. Default 5.
    pub lateness_s: u32,
    /// When alerts fire. Default: high traffic, more than 10 requests per second over 120 seconds.
    pub rules: Vec<Rule>,
    /// Whether a query string belongs to its section and url, as in the seed. Default no.
    pub queries: bool,
    /// Whether sections are counted, so that summaries name the most frequent one. Default yes;
    /// without, and without lists, a store is read without its urls.
    pub sections: bool,
    /// The lists that summaries have. Default none; the most frequent section is always known.
    pub lists: Lists,
    /// Where intervals begin. Default at multiples of their length.
    pub align: Align,
    /// Whether intervals without a line are summed up, too. Default no.
    pub empty: bool,
    /// Sections with alerts of their own; the others share one. Default 100.
    pub sections_max: usize,
    /// What counts as a time that is wrong.
    pub limits: Limits,
}

/// The lists of most frequent keys in summaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Entries of a list; 0 for no lists.
    pub count: usize,
    /// Whether urls are listed.
    pub urls: bool,
    /// Whether clients are listed.
    pub clients: bool,
    /// Whether statuses are listed.
    pub statuses: bool,
}

/// Where intervals begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    /// At multiples of their length since the epoch, so that runs over parts of a log agree.
    #[default]
    Epoch,
    /// At the second of the first line, as in the seed.
    First,
}

/// What counts as a time that is wrong, in seconds and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A line later than the newest one by more than this is parked. Default an hour.
    pub gap_s: u32,
    /// The same where the reader tells the time: later than now by more than this. Default 5 minutes.
    pub ahead_of_now_s: u32,
    /// Parked lines are taken when so many follow one another within a minute, or in order.
    /// Default 4.
    pub confirm_lines: usize,
    /// A line earlier than the newest one by more than this may be a jump. Default an hour, and
    /// always more than the longest window.
    pub back_s: u32,
    /// So many such lines in a row are one. Default 100.
    pub back_lines: usize,
    /// Seconds that may be open at once; beyond that the slowest source no longer holds back the
    /// others. Default 65,536.
    pub open_seconds_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval_s: 10,
            lateness_s: 5,
            rules: vec![Rule::high_traffic(10.0, 120)],
            queries: false,
            sections: true,
            lists: Lists::default(),
            align: Align::default(),
            empty: false,
            sections_max: 100,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            gap_s: 3_600,
            ahead_of_now_s: 300,
            confirm_lines: 4,
            back_s: 3_600,
            back_lines: 100,
            open_seconds_max: 65_536,
        }
    }
}

impl Options {
    /// Seconds before the present one that anything looks back to.
    pub(crate) fn reach_s(&self) -> i64 {
        let windows = self.rules.iter().map(|rule| rule.window_s);
        i64::from(windows.chain([self.interval_s]).max().unwrap_or(1))
    }
}
