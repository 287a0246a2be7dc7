//! Counters and gauges, and their text as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Method};

use crate::message::{Request, Response};
use crate::problem::Problem;
use crate::service::{Answering, Service, text};

/// How many combinations of labels one name may have. Labels that clients could choose would
/// otherwise fill the memory; what comes later is counted in one sample labelled `other`.
const SAMPLES_MAX: usize = 256;

/// All numbers of the server. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<&'static str, Family>>>);

#[derive(Debug)]
struct Family {
    kind: &'static str,
    help: &'static str,
    samples: BTreeMap<String, Arc<AtomicU64>>,
}

/// A number that only grows. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A number that comes and goes. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Metrics {
    /// A registry without numbers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter with this name, such as `logq_requests_total`, and these labels.
    ///
    /// The same name and labels give the same counter. Label values may be anything.
    #[must_use]
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Counter {
        Counter(self.sample(name, "counter", help, labels))
    }

    /// The gauge with this name and these labels.
    #[must_use]
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Gauge {
        Gauge(self.sample(name, "gauge", help, labels))
    }

    fn sample(
        &self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Arc<AtomicU64> {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let family =
            families.entry(name).or_insert_with(|| Family { kind, help, samples: BTreeMap::new() });
        let mut key = render_labels(labels);
        if family.samples.len() >= SAMPLES_MAX && !family.samples.contains_key(&key) {
            let other: Vec<_> = labels.iter().map(|(name, _)| (*name, "other")).collect();
            key = render_labels(&other);
        }
        family.samples.entry(key).or_default().clone()
    }

    /// All numbers in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (name, Family { kind, help, samples }) in &*families {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {}", value.load(Ordering::Relaxed));
            }
        }
        text
    }
}

/// `{name="value",...}`, or nothing without labels.
fn render_labels(labels: &[(&'static str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let label = |(name, value): &(&str, &str)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    format!("{{{}}}", labels.iter().map(label).collect::<Vec<_>>().join(","))
}

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// How many it counted.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// One more as long as the result lives.
    #[must_use]
    pub fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self.0.clone())
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One in a [`Gauge`].
#[derive(Debug)]
pub struct Held(Arc<AtomicU64>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service for Metrics {
    fn call(&self, request: Request) -> Answering<'_> {
        let response = if matches!(*request.method(), Method::GET | Method::HEAD) {
            self.response()
        } else {
            Problem::method_not_allowed("GET, HEAD").answer(&request)
        };
        Box::pin(std::future::ready(response))
    }
}

impl Metrics {
    fn response(&self) -> Response {
        let mut response = text(self.render());
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rendered_by_name() {
        let metrics = Metrics::new();
        let requests = metrics.counter("logq_b_total", "Requests.", &[("status", "2xx")]);
        requests.increment();
        metrics.counter("logq_b_total", "Requests.", &[("status", "2xx")]).add(2);
        metrics.counter("logq_b_total", "Requests.", &[("status", "a\"b\\\n")]).increment();
        let open = metrics.gauge("logq_a", "Open.", &[]);
        let held = open.hold();
        drop(open.hold());
        let text = "# HELP logq_a Open.\n# TYPE logq_a gauge\nlogq_a 1\n\
            # HELP logq_b_total Requests.\n# TYPE logq_b_total counter\n\
            logq_b_total{status=\"2xx\"} 3\nlogq_b_total{status=\"a\\\"b\\\\\\n\"} 1\n";
        assert_eq!(metrics.render(), text);
        drop(held);
        assert_eq!((open.value(), requests.value()), (0, 3));
    }

    #[test]
    fn labels_that_clients_choose_do_not_fill_the_memory() {
        let metrics = Metrics::new();
        for n in 0..10_000 {
            metrics.counter("logq_total", "Anything.", &[("path", &n.to_string())]).increment();
        }
        let text = metrics.render();
        assert_eq!(text.lines().count(), 2 + SAMPLES_MAX + 1);
        assert!(text.contains(&format!("{{path=\"other\"}} {}\n", 10_000 - SAMPLES_MAX)));
    }
}
