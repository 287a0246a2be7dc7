//! The numbers of a run, and their text in the exposition format of Prometheus, version 0.0.4.
//!
//! Nothing that is counted ever becomes less, and the number of lines is bounded: of sections, the
//! first [`SECTIONS`] have a line of their own.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use logq_monitor::{Change, Counts, Monitor, Output as Said, Reason, Rule, Sketch, TopList};

use crate::monitor::deliver::Tally;

/// Sections with lines of their own.
pub(in crate::monitor) const SECTIONS: usize = 50;
/// The section of all others.
const OTHER: &[u8] = b"(other)";
/// Latencies in microseconds up to which there are counters: the defaults of Prometheus' clients,
/// down to a millisecond.
const BOUNDS_US: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// What the monitor has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    sources: u64,
    lines: u64,
    counts: Counts,
    latencies: Sketch,
    late: u64,
    too_late: u64,
    quarantined: u64,
    bad: BTreeMap<&'static str, u64>,
    newest: Option<i64>,
    closed: Option<i64>,
    sections: BTreeMap<Box<[u8]>, u64>,
    /// By the text of the rule: of rules that are alike, there is one line.
    alerts: BTreeMap<String, Alert>,
    /// The texts of the rules.
    rules: Vec<String>,
    /// By a name that keeps commands and URLs to itself: they may hold secrets.
    tallies: Vec<(String, Arc<Tally>)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Alert {
    fired: u64,
    firing: u64,
}

impl Metrics {
    pub(super) fn new(rules: &[Rule], tallies: Vec<(String, Arc<Tally>)>) -> Self {
        let rules: Vec<String> = rules.iter().map(|rule| rule.text.clone()).collect();
        Self {
            bad: Reason::ALL.iter().map(|reason| (reason.name(), 0)).collect(),
            alerts: rules.iter().map(|rule| (rule.clone(), Alert::default())).collect(),
            rules,
            tallies,
            ..Self::default()
        }
    }

    pub(super) fn started(&mut self) {
        self.sources += 1;
    }

    pub(super) fn said(&mut self, said: &Said) {
        match said {
            Said::Summary(summary) => self.add_sections(&summary.lists.sections),
            Said::Alert(transition) if transition.change == Change::Fired => {
                let rule = self.rules.get(transition.rule);
                let alert = rule.and_then(|rule| self.alerts.get_mut(rule));
                alert.into_iter().for_each(|alert| alert.fired += 1);
            }
            _ => {}
        }
    }

    /// What is certainly of a section is counted there, the rest with the others: the sum is right.
    fn add_sections(&mut self, list: &TopList) {
        let mut rest = list.total;
        for entry in &list.entries {
            if self.sections.len() >= SECTIONS && !self.sections.contains_key(&entry.key) {
                continue;
            }
            let certain = entry.count.saturating_sub(entry.error).min(rest);
            rest -= certain;
            *self.sections.entry(entry.key.clone()).or_default() += certain;
        }
        *self.sections.entry(OTHER.into()).or_default() += rest;
    }

    /// Takes what the monitor has counted.
    pub(super) fn look(&mut self, monitor: &Monitor) {
        let report = monitor.report();
        self.lines = report.lines;
        self.counts = report.counts;
        self.latencies.clone_from(&report.latencies);
        self.late = report.late;
        self.too_late = report.too_late;
        self.quarantined = report.quarantined;
        for bad in report.bad() {
            self.bad.insert(bad.reason.name(), bad.count);
        }
        (self.newest, self.closed) = monitor.progress();
        self.alerts.values_mut().for_each(|alert| alert.firing = 0);
        for (rule, _) in monitor.firing() {
            let alert = self.rules.get(rule).and_then(|rule| self.alerts.get_mut(rule));
            alert.into_iter().for_each(|alert| alert.firing += 1);
        }
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut page = Page { out: f };
        page.traffic(self)?;
        page.latencies(&self.latencies)?;
        page.lines(self)?;
        page.alerts(&self.alerts)?;
        page.deliveries(&self.tallies)?;
        page.times(self)
    }
}

/// The text, family by family.
struct Page<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
}

impl Page<'_, '_> {
    fn traffic(&mut self, metrics: &Metrics) -> fmt::Result {
        self.family("requests_total", "counter", "Requests, by the class of their status.")?;
        let classes = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];
        for (class, count) in classes.iter().zip(metrics.counts.classes) {
            self.labelled("requests_total", "status", class.as_bytes(), &count)?;
        }
        let help = "Bytes of the bodies of responses.";
        self.single("response_bytes_total", "counter", help, &metrics.counts.bytes)?;
        let help = "Requests in closed intervals, by the first part of their path.";
        self.family("section_requests_total", "counter", help)?;
        for (section, count) in &metrics.sections {
            self.labelled("section_requests_total", "section", section, count)?;
        }
        Ok(())
    }

    fn latencies(&mut self, latencies: &Sketch) -> fmt::Result {
        const NAME: &str = "request_duration_seconds";
        self.family(NAME, "histogram", "How long requests took, where the log tells, within 1 %.")?;
        for (bound_us, count) in BOUNDS_US.iter().zip(latencies.counts_to(&BOUNDS_US)) {
            let bound = (*bound_us as f64 / 1e6).to_string();
            self.labelled("request_duration_seconds_bucket", "le", bound.as_bytes(), &count)?;
        }
        let total = latencies.total();
        self.labelled("request_duration_seconds_bucket", "le", b"+Inf", &total)?;
        self.sample("request_duration_seconds_sum", &(latencies.sum_us() as f64 / 1e6))?;
        self.sample("request_duration_seconds_count", &total)
    }

    fn lines(&mut self, metrics: &Metrics) -> fmt::Result {
        for (name, help, value) in [
            ("sources_total", "Sources that were opened.", metrics.sources),
            ("lines_total", "Lines that told something: requests and bad lines.", metrics.lines),
            ("late_lines_total", "Lines that came after their second was closed.", metrics.late),
            ("too_late_lines_total", "Lines older than all that is remembered.", metrics.too_late),
            ("quarantined_lines_total", "Lines far ahead of all others.", metrics.quarantined),
        ] {
            self.single(name, "counter", help, &value)?;
        }
        self.family("bad_lines_total", "counter", "Lines that were no requests, by reason.")?;
        for (reason, count) in &metrics.bad {
            self.labelled("bad_lines_total", "reason", reason.as_bytes(), count)?;
        }
        Ok(())
    }

    fn alerts(&mut self, alerts: &BTreeMap<String, Alert>) -> fmt::Result {
        let help = "Whether an alert fires; of alerts by section, how many do.";
        self.family("alert_firing", "gauge", help)?;
        for (rule, alert) in alerts {
            self.labelled("alert_firing", "rule", rule.as_bytes(), &alert.firing)?;
        }
        self.family("alerts_fired_total", "counter", "How often alerts fired.")?;
        for (rule, alert) in alerts {
            self.labelled("alerts_fired_total", "rule", rule.as_bytes(), &alert.fired)?;
        }
        Ok(())
    }

    fn deliveries(&mut self, tallies: &[(String, Arc<Tally>)]) -> fmt::Result {
        if tallies.is_empty() {
            return Ok(());
        }
        let help = "Changes of alerts for commands and servers, in the order of their flags.";
        self.family("deliveries_total", "counter", help)?;
        for (sink, tally) in tallies {
            for (result, count) in [
                ("delivered", &tally.delivered),
                ("failed", &tally.failed),
                ("dropped", &tally.dropped),
            ] {
                let count = count.load(Ordering::Relaxed);
                writeln!(
                    self.out,
                    "logq_monitor_deliveries_total{{sink=\"{sink}\",result=\"{result}\"}} {count}"
                )?;
            }
        }
        Ok(())
    }

    fn times(&mut self, metrics: &Metrics) -> fmt::Result {
        let help = "The time of the newest line, in seconds since 1970.";
        if let Some(newest) = metrics.newest {
            self.single("newest_timestamp_seconds", "gauge", help, &newest)?;
        }
        let help = "The first second that may still change.";
        if let Some(closed) = metrics.closed {
            self.single("open_timestamp_seconds", "gauge", help, &closed)?;
        }
        self.family("build_info", "gauge", "The version of logq.")?;
        self.labelled("build_info", "version", env!("CARGO_PKG_VERSION").as_bytes(), &1)
    }

    fn single(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        value: &dyn fmt::Display,
    ) -> fmt::Result {
        self.family(name, kind, help)?;
        self.sample(name, value)
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.out, "# HELP logq_monitor_{name} {help}")?;
        writeln!(self.out, "# TYPE logq_monitor_{name} {kind}")
    }

    fn sample(&mut self, name: &str, value: &dyn fmt::Display) -> fmt::Result {
        writeln!(self.out, "logq_monitor_{name} {value}")
    }

    fn labelled(
        &mut self,
        name: &str,
        label: &str,
        value: &[u8],
        number: &dyn fmt::Display,
    ) -> fmt::Result {
        write!(self.out, "logq_monitor_{name}{{{label}=\"")?;
        for character in String::from_utf8_lossy(value).chars() {
            match character {
                '\\' => self.out.write_str("\\\\")?,
                '"' => self.out.write_str("\\\"")?,
                '\n' => self.out.write_str("\\n")?,
                character => self.out.write_char(character)?,
            }
        }
        writeln!(self.out, "\"}} {number}")
    }
}

#[cfg(test)]
mod tests {
    use logq_monitor::{Input, InputOptions, Lists, Options, TopEntry};

    use super::*;

    #[test]
    fn sections_beyond_the_limit_are_counted_together_and_nothing_twice() {
        let mut metrics = Metrics::new(&[], Vec::new());
        let entry =
            |key: String, count, error| TopEntry { key: key.into_bytes().into(), count, error };
        let entries: Vec<_> = (0..60).map(|n| entry(format!("/{n}"), 10, n / 40)).collect();
        metrics.add_sections(&TopList { entries, total: 700, other: 100 });
        metrics.add_sections(&TopList {
            entries: vec![entry("/0".into(), 5, 0)],
            total: 7,
            other: 2,
        });
        assert_eq!(metrics.sections.len(), SECTIONS + 1);
        assert_eq!(metrics.sections.values().sum::<u64>(), 707);
        assert_eq!(metrics.sections[&b"/0"[..]], 15);
        assert_eq!(metrics.sections[&b"/45"[..]], 9, "one of them may be of another section");
    }

    #[test]
    fn the_page_is_as_prometheus_expects_it() {
        let rules = vec![
            Rule::parse("rate > 0.5 over 2s", 2).unwrap(),
            Rule::parse("p99 > 1s by section", 2).unwrap(),
            Rule::parse("rate > 0.5 over 2s", 2).unwrap(),
        ];
        let lists = Lists { count: 10, ..Lists::default() };
        let mut monitor =
            Monitor::new(Options { rules: rules.clone(), lists, ..Options::default() });
        let mut input = Input::new(monitor.open("a"), InputOptions::default());
        let log = "date,request,status,bytes,request_time\n\
                   100,\"GET /a\"\"\\/x HTTP/1.1\",200,5,0.003\n\
                   100,GET /b HTTP/1.1,503,7,2\n\
                   bad,GET /b HTTP/1.1,200,1,1\n";
        input.push(log.as_bytes(), &mut monitor).unwrap();
        input.finish(&mut monitor).unwrap();
        monitor.end();
        let mut metrics = Metrics::new(&rules, vec![("exec 1".to_owned(), Arc::default())]);
        metrics.started();
        monitor.drain().collect::<Vec<_>>().iter().for_each(|said| metrics.said(said));
        metrics.look(&monitor);
        let page = metrics.to_string();
        for expected in [
            "# HELP logq_monitor_requests_total Requests, by the class of their status.\n\
             # TYPE logq_monitor_requests_total counter\n\
             logq_monitor_requests_total{status=\"other\"} 0\n",
            "logq_monitor_requests_total{status=\"5xx\"} 1\n",
            "logq_monitor_response_bytes_total 12\n",
            "logq_monitor_section_requests_total{section=\"/a\\\"\\\\\"} 1\n",
            "logq_monitor_request_duration_seconds_bucket{le=\"0.0025\"} 0\n\
             logq_monitor_request_duration_seconds_bucket{le=\"0.005\"} 1\n",
            "logq_monitor_request_duration_seconds_bucket{le=\"2.5\"} 2\n",
            "logq_monitor_request_duration_seconds_bucket{le=\"+Inf\"} 2\n\
             logq_monitor_request_duration_seconds_sum 2.",
            "logq_monitor_request_duration_seconds_count 2\n",
            "logq_monitor_bad_lines_total{reason=\"bad_time\"} 1\n",
            "logq_monitor_alert_firing{rule=\"rate > 0.5 over 2s\"} 2\n",
            "logq_monitor_alerts_fired_total{rule=\"rate > 0.5 over 2s\"} 2\n",
            "logq_monitor_alert_firing{rule=\"p99 > 1s by section\"} 1\n",
            "logq_monitor_deliveries_total{sink=\"exec 1\",result=\"dropped\"} 0\n",
            "logq_monitor_newest_timestamp_seconds 100\n",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
    }
}
