//! Changes of alerts, delivered to somebody outside by a thread of their own: a program, a server.
//!
//! ```text
//!  said(alert) ── full? dropped, counted ──> queue ──> carrier: one message at a time
//!  flush  <───────────── what failed ─────────────────────┘
//! ```
//!
//! The run never waits for a carrier. At its end, what is queued has [`GRACE`] to be delivered.
//!
//! A change is told at least once. With a state file, what is not delivered yet is noted together with
//! the state that the change came from, and a later run delivers it; after `kill -9` that may be once
//! more, with the same id.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use logq_monitor::{Monitor, Output as Said, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;
use super::sink::Sink;

/// Messages that wait. More would be delivered when nobody wants to know any more.
const QUEUE: usize = 64;
/// How long the end of the run waits for what is queued.
const GRACE: Duration = Duration::from_secs(10);

/// One change of an alert.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Message {
    /// The same whenever it is tried again, also by a later run.
    pub(super) id: String,
    /// The JSON object that `-o json` prints, and a line feed.
    pub(super) json: String,
}

/// What a carrier has not delivered yet, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Undelivered(Arc<Mutex<VecDeque<Message>>>);

impl Undelivered {
    /// All of it, for a later run.
    pub(super) fn all(&self) -> Vec<Message> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers messages, one at a time.
pub(super) trait Carry: Send + 'static {
    /// Delivers a message, in bounded time. Tries again only where `until` allows it.
    ///
    /// # Errors
    ///
    /// It was not delivered.
    fn carry(&mut self, message: &Message, until: &Until) -> anyhow::Result<()>;
}

impl Carry for Box<dyn Carry> {
    fn carry(&mut self, message: &Message, until: &Until) -> anyhow::Result<()> {
        (**self).carry(message, until)
    }
}

/// What became of messages, for those who watch the monitor.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) delivered: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Nobody tried, since too many waited.
    pub(super) dropped: AtomicU64,
}

/// Until when deliveries are tried: without an end while the run goes on.
#[derive(Debug, Default)]
pub(super) struct Until {
    end: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Until {
    /// Whether it is too late to try anything.
    pub(super) fn is_over(&self) -> bool {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_some_and(|end| Instant::now() >= end)
    }

    /// Whether the run has ended.
    fn is_ending(&self) -> bool {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Waits before trying again. Answers whether there is time left to try.
    #[cfg(any(test, feature = "webhook"))]
    pub(super) fn pause(&self, time: Duration) -> bool {
        let begun = Instant::now();
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            let left = time.saturating_sub(now - begun);
            if left.is_zero() || end.is_some_and(|end| now + left >= end) {
                return left.is_zero();
            }
            let waited = self.changed.wait_timeout(end, left);
            end = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sets the end, if none is set that comes first.
    fn set_end(&self, end: Instant) {
        let mut known = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(known.map_or(end, |known| known.min(end)));
        self.changed.notify_all();
    }
}

/// The sink that queues messages for a carrier.
pub(super) struct Delivery {
    name: String,
    rules: Vec<Rule>,
    /// What ids begin with.
    identity: String,
    queue: SyncSender<Message>,
    undelivered: Undelivered,
    failures: Receiver<anyhow::Error>,
    tally: Arc<Tally>,
    until: Arc<Until>,
    worker: JoinHandle<()>,
    /// Whether something was dropped since the last flush.
    has_dropped: bool,
}

impl Delivery {
    /// Starts the thread of a carrier, which begins with what an earlier run has left.
    ///
    /// # Errors
    ///
    /// The system refuses another thread.
    pub(super) fn start(
        name: String,
        identity: &str,
        rules: Vec<Rule>,
        left: Vec<Message>,
        carrier: impl Carry,
    ) -> anyhow::Result<Self> {
        let (queue, queued) = mpsc::sync_channel(QUEUE);
        let (failed, failures) = mpsc::channel();
        let (tally, until) = (Arc::<Tally>::default(), Arc::<Until>::default());
        let undelivered = Undelivered::default();
        let work = Work {
            carrier,
            queued,
            failed,
            undelivered: undelivered.clone(),
            tally: Arc::clone(&tally),
            until: Arc::clone(&until),
        };
        let worker = thread::Builder::new().name("delivery".to_owned()).spawn(|| work.run())?;
        let identity = identity.to_owned();
        let mut delivery = Self {
            name,
            rules,
            identity,
            queue,
            undelivered,
            failures,
            tally,
            until,
            worker,
            has_dropped: false,
        };
        left.into_iter().for_each(|message| delivery.push(message));
        Ok(delivery)
    }

    /// What is not delivered yet, now and later.
    pub(super) fn undelivered(&self) -> Undelivered {
        self.undelivered.clone()
    }

    fn push(&mut self, message: Message) {
        // Before the carrier can have it, which takes it away again.
        let mut undelivered = self.undelivered.lock();
        match self.queue.try_send(message.clone()) {
            Ok(()) => undelivered.push_back(message),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.tally.dropped.fetch_add(1, Ordering::Relaxed);
                self.has_dropped = true;
            }
        }
    }

    /// What became of its messages so far.
    pub(super) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }
}

impl Sink for Delivery {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn said(&mut self, said: &Said) {
        let Said::Alert(_) = said else { return };
        let Some(object) = json::output(said, &self.rules, 0, &self.identity) else { return };
        let id = object.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.push(Message { id, json: format!("{}\n", Value::Object(object)) });
    }

    fn flush(&mut self, _monitor: &Monitor) -> anyhow::Result<ControlFlow<()>> {
        if let Ok(error) = self.failures.try_recv() {
            return Err(error);
        }
        if std::mem::take(&mut self.has_dropped) {
            bail!("too many alerts wait for delivery; some are dropped");
        }
        Ok(ControlFlow::Continue(()))
    }

    /// From now on time runs for all deliveries at once.
    fn ended(&mut self, _monitor: &Monitor, _at_end_of_input: bool) {
        self.until.set_end(Instant::now() + GRACE);
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let Self { queue, failures, tally, until, worker, .. } = *self;
        until.set_end(Instant::now() + GRACE);
        drop(queue);
        let ended = worker.join();
        let failed = tally.failed.load(Ordering::Relaxed);
        let dropped = tally.dropped.load(Ordering::Relaxed);
        let last = failures.try_iter().last();
        match (ended, failed + dropped, last) {
            (Err(_), ..) => bail!("its thread ended in a panic"),
            (Ok(()), 0, _) => Ok(()),
            (Ok(()), count, Some(error)) => Err(error.context(not_delivered(count))),
            (Ok(()), count, None) => Err(anyhow!(not_delivered(count))),
        }
    }
}

pub(super) fn not_delivered(count: u64) -> String {
    let noun = if count == 1 { "change of an alert was" } else { "changes of alerts were" };
    format!("{count} {noun} not delivered")
}

/// What the thread does.
struct Work<C> {
    carrier: C,
    queued: Receiver<Message>,
    failed: mpsc::Sender<anyhow::Error>,
    undelivered: Undelivered,
    tally: Arc<Tally>,
    until: Arc<Until>,
}

impl<C: Carry> Work<C> {
    fn run(mut self) {
        while let Ok(message) = self.queued.recv() {
            if self.until.is_over() {
                self.tally.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let carried = self.carrier.carry(&message, &self.until);
            // What fails at the end of the run might have been delivered with more time.
            if carried.is_ok() || !self.until.is_ending() {
                self.undelivered.lock().pop_front();
            }
            match carried {
                Ok(()) => {
                    self.tally.delivered.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    self.tally.failed.fetch_add(1, Ordering::Relaxed);
                    // The sink is gone: then its finish tells the count.
                    let _ = self.failed.send(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use logq_monitor::{Change, Counts, Options, Transition};

    use super::*;

    /// Waits for a permit for each message.
    struct Slow {
        permits: Receiver<()>,
        carried: mpsc::Sender<Vec<u8>>,
    }

    impl Carry for Slow {
        fn carry(&mut self, message: &Message, _until: &Until) -> anyhow::Result<()> {
            self.permits.recv()?;
            self.carried.send(message.json.clone().into_bytes())?;
            Ok(())
        }
    }

    fn alert(second: i64) -> Said {
        Said::Alert(Transition {
            change: Change::Fired,
            rule: 0,
            section: None,
            second,
            counts: Counts::default(),
            value: Some(12.0),
        })
    }

    #[test]
    fn the_queue_is_bounded_and_what_is_dropped_is_counted_and_told() {
        let (permit, permits) = mpsc::channel();
        let (carried, received) = mpsc::channel();
        let rules = vec![Rule::high_traffic(10.0, 120)];
        let carrier = Slow { permits, carried };
        let name = "--exec".to_owned();
        let mut delivery = Delivery::start(name, "x", rules, Vec::new(), carrier).unwrap();
        let monitor = Monitor::new(Options::default());
        // One may be with the carrier already.
        let sent = QUEUE as i64 + 6;
        (0..sent).for_each(|second| delivery.said(&alert(second)));
        let dropped = delivery.tally.dropped.load(Ordering::Relaxed);
        assert!((5..=6).contains(&dropped), "{dropped}");
        assert!(delivery.flush(&monitor).unwrap_err().to_string().contains("some are dropped"));
        assert!(delivery.flush(&monitor).unwrap().is_continue(), "told once");
        (0..sent).for_each(|_| permit.send(()).unwrap());
        let tally = delivery.tally();
        let told = Box::new(delivery).finish().unwrap_err().to_string();
        assert!(told.contains("not delivered"), "{told}");
        let delivered: Vec<Vec<u8>> = received.try_iter().collect();
        assert_eq!(delivered.len() as u64 + dropped, sent.unsigned_abs());
        assert_eq!(tally.delivered.load(Ordering::Relaxed), delivered.len() as u64);
        let first: Value = serde_json::from_slice(&delivered[0]).unwrap();
        assert_eq!(first["time"], "1970-01-01T00:00:00Z");
        assert_eq!((&first["change"], &first["value"]), (&"fired".into(), &12.0.into()));
        let ids = delivered.iter().map(|json| {
            serde_json::from_slice::<Value>(json).unwrap()["id"].as_str().unwrap().to_owned()
        });
        let ids: BTreeSet<String> = ids.collect();
        assert_eq!(ids.len(), delivered.len(), "each has its own: {ids:?}");
    }

    #[test]
    fn what_is_not_delivered_is_left_for_a_later_run() {
        let (permit, permits) = mpsc::channel();
        let (carried, received) = mpsc::channel();
        let name = || "--exec".to_owned();
        let rules = vec![Rule::high_traffic(10.0, 120)];
        let carrier = Slow { permits, carried };
        let mut delivery =
            Delivery::start(name(), "x", rules.clone(), Vec::new(), carrier).unwrap();
        (0..4).for_each(|second| delivery.said(&alert(second)));
        let undelivered = delivery.undelivered();
        let all = undelivered.all();
        assert_eq!(all.len(), 4);
        permit.send(()).unwrap();
        let first = received.recv().unwrap();
        assert_eq!(first, all[0].json.as_bytes());
        // Nobody gives more permits, so the others fail; the end comes before, or they have failed for good.
        delivery.until.set_end(Instant::now());
        drop(permit);
        assert!(Box::new(delivery).finish().is_err());
        let left = undelivered.all();
        let ids = |messages: &[Message]| messages.iter().map(|m| m.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&left), ids(&all[1..]));

        let (permit, permits) = mpsc::channel();
        let (carried, received) = mpsc::channel();
        let count = left.len();
        (0..count).for_each(|_| permit.send(()).unwrap());
        let carrier = Slow { permits, carried };
        let delivery = Delivery::start(name(), "x", rules, left.clone(), carrier).unwrap();
        Box::new(delivery).finish().unwrap();
        let delivered: Vec<Vec<u8>> = received.try_iter().collect();
        let left: Vec<Vec<u8>> = left.into_iter().map(|message| message.json.into()).collect();
        assert_eq!(delivered, left);
    }

    #[test]
    fn pauses_end_with_the_run() {
        let until = Until::default();
        assert!(until.pause(Duration::from_millis(1)));
        until.set_end(Instant::now() + Duration::from_millis(1));
        assert!(!until.pause(Duration::from_secs(3_600)), "there is no time for that");
        until.set_end(Instant::now());
        assert!(until.is_over());
    }
}
