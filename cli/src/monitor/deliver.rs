//! Changes of alerts, delivered to somebody outside by a thread of their own: a program, a server.
//!
//! ```text
//!  said(alert) ── full? dropped, counted ──> queue ──> carrier: one message at a time
//!  flush  <───────────── what failed ─────────────────────┘
//! ```
//!
//! The run never waits for a carrier. At its end, what is queued has [`GRACE`] to be delivered.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use logq_monitor::{Monitor, Output as Said, Rule};
use serde_json::Value;
use uuid::Uuid;

use super::json;
use super::sink::Sink;

/// Messages that wait. More would be delivered when nobody wants to know any more.
const QUEUE: usize = 64;
/// How long the end of the run waits for what is queued.
const GRACE: Duration = Duration::from_secs(10);

/// One change of an alert.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The same whenever it is tried again.
    #[cfg_attr(
        not(feature = "webhook"),
        expect(dead_code, reason = "only hooks of the web tell it")
    )]
    pub(super) id: Uuid,
    /// The JSON object that `-o json` prints, and a line feed.
    pub(super) json: Vec<u8>,
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
    queue: SyncSender<Message>,
    failures: Receiver<anyhow::Error>,
    tally: Arc<Tally>,
    until: Arc<Until>,
    worker: JoinHandle<()>,
    /// Whether something was dropped since the last flush.
    has_dropped: bool,
}

impl Delivery {
    /// Starts the thread of a carrier.
    ///
    /// # Errors
    ///
    /// The system refuses another thread.
    pub(super) fn start(
        name: String,
        rules: Vec<Rule>,
        carrier: impl Carry,
    ) -> anyhow::Result<Self> {
        let (queue, queued) = mpsc::sync_channel(QUEUE);
        let (failed, failures) = mpsc::channel();
        let (tally, until) = (Arc::<Tally>::default(), Arc::<Until>::default());
        let work =
            Work { carrier, queued, failed, tally: Arc::clone(&tally), until: Arc::clone(&until) };
        let worker = thread::Builder::new().name("delivery".to_owned()).spawn(|| work.run())?;
        Ok(Self { name, rules, queue, failures, tally, until, worker, has_dropped: false })
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
        let Some(object) = json::output(said, &self.rules, 0) else { return };
        let json = format!("{}\n", Value::Object(object)).into_bytes();
        match self.queue.try_send(Message { id: Uuid::new_v4(), json }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.tally.dropped.fetch_add(1, Ordering::Relaxed);
                self.has_dropped = true;
            }
        }
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

fn not_delivered(count: u64) -> String {
    let noun = if count == 1 { "change of an alert was" } else { "changes of alerts were" };
    format!("{count} {noun} not delivered")
}

/// What the thread does.
struct Work<C> {
    carrier: C,
    queued: Receiver<Message>,
    failed: mpsc::Sender<anyhow::Error>,
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
            match self.carrier.carry(&message, &self.until) {
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
            self.carried.send(message.json.clone())?;
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
        let mut delivery = Delivery::start("--exec".to_owned(), rules, carrier).unwrap();
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
