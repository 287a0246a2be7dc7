//! What the screen shows: the numbers, as the monitor has told them so far.

use std::collections::VecDeque;

use logq_monitor::render;
use logq_monitor::{
    Change, Counts, Monitor, Options, Output as Said, Rule, Sketch, TopLists, Transition,
};

use super::history::{History, Second};

/// Alerts that are kept.
const ALERTS_MAX: usize = 500;
/// Quantiles that are shown, in thousandths.
const QUANTILES: [u16; 4] = [500, 900, 950, 990];

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) sources: Vec<String>,
    rules: Vec<Rule>,
    pub(super) interval_s: u32,
    pub(super) history: History,
    pub(super) run: Numbers,
    /// Of the last interval that ended.
    pub(super) interval: Numbers,
    pub(super) late: u64,
    pub(super) bad: u64,
    /// Lines that were not counted: too late, or far ahead.
    pub(super) ignored: u64,
    /// The newest first.
    pub(super) alerts: VecDeque<Alert>,
    /// The second of the newest line.
    pub(super) newest: Option<i64>,
    has_ended: bool,
    /// The lines and the times of the last look.
    seen: (u64, Option<i64>, Option<i64>),
    /// Grows with every change.
    version: u64,
}

/// Numbers of the whole run, or of an interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) counts: Counts,
    /// In microseconds, for each of p50, p90, p95, p99.
    pub(super) quantiles_us: [Option<u64>; QUANTILES.len()],
    pub(super) lists: TopLists,
}

/// An alert from when it fired until it recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) fired: i64,
    pub(super) recovered: Option<i64>,
    /// The rule and its section, safe for a terminal.
    pub(super) text: String,
    /// The value with which it fired.
    pub(super) value: String,
    rule: usize,
    section: Option<Box<[u8]>>,
}

impl View {
    pub(super) fn new(options: &Options) -> Self {
        Self { rules: options.rules.clone(), interval_s: options.interval_s, ..Self::default() }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The alert for high traffic, which is the first one: its threshold is in the graph.
    pub(super) fn high_traffic(&self) -> Option<&Rule> {
        self.rules.first()
    }

    /// How many alerts fire.
    pub(super) fn firing(&self) -> usize {
        self.alerts.iter().filter(|alert| alert.recovered.is_none()).count()
    }

    /// Whether the alert for high traffic fired in a second.
    pub(super) fn is_high(&self, second: i64) -> bool {
        let alerts = self.alerts.iter().filter(|alert| alert.rule == 0);
        let mut spans = alerts.map(|alert| (alert.fired, alert.recovered.unwrap_or(i64::MAX)));
        spans.any(|(from, to)| (from..to).contains(&second))
    }

    pub(super) fn started(&mut self, source: &str) {
        self.version += 1;
        self.sources.push(render::text(source.as_bytes()));
    }

    pub(super) fn said(&mut self, said: &Said) {
        self.version += 1;
        match said {
            Said::Point(point) => {
                let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
                let (hits, errors) = (count(point.counts.hits), count(point.counts.errors()));
                self.history.push(point.second, Second { hits, errors });
            }
            Said::Summary(summary) => {
                self.interval = Numbers {
                    counts: summary.counts,
                    quantiles_us: quantiles_us(&summary.latencies),
                    lists: summary.lists.clone(),
                };
            }
            Said::Alert(transition) => self.changed(transition),
            _ => {}
        }
    }

    fn changed(&mut self, transition: &Transition) {
        let (rule, section) = (transition.rule, &transition.section);
        if transition.change == Change::Recovered {
            let is_it = |alert: &&mut Alert| {
                alert.rule == rule && alert.section == *section && alert.recovered.is_none()
            };
            let alert = self.alerts.iter_mut().find(is_it);
            alert.into_iter().for_each(|alert| alert.recovered = Some(transition.second));
            return;
        }
        let Some(of) = self.rules.get(rule) else { return };
        let section_text = section.as_deref().map(render::text);
        let section_text = section_text.map_or(String::new(), |section| format!(" in {section}"));
        self.alerts.push_front(Alert {
            fired: transition.second,
            recovered: None,
            text: format!("{}{section_text}", render::text(of.text.as_bytes())),
            value: render::value(of.measure, transition.value),
            rule,
            section: section.clone(),
        });
        self.alerts.truncate(ALERTS_MAX);
    }

    /// Takes what the monitor has counted.
    pub(super) fn look(&mut self, monitor: &Monitor) {
        let (report, (newest, closed)) = (monitor.report(), monitor.progress());
        let seen = (report.lines, newest, closed);
        self.version += u64::from(self.seen != seen);
        self.seen = seen;
        self.run = Numbers {
            counts: report.counts,
            quantiles_us: quantiles_us(&report.latencies),
            lists: monitor.lists(),
        };
        self.late = report.late;
        self.bad = report.bad_count();
        self.ignored = report.too_late + report.quarantined;
        self.newest = newest;
        if let Some(closed) = closed
            && newest.is_some()
        {
            self.history.pass(closed);
        }
    }

    /// All input has ended.
    pub(super) fn end(&mut self) {
        self.version += 1;
        self.has_ended = true;
    }
}

fn quantiles_us(latencies: &Sketch) -> [Option<u64>; QUANTILES.len()] {
    QUANTILES.map(|permille| latencies.quantile_us(permille))
}
