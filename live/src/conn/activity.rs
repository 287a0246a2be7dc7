//! What happens on one connection, and when it is time to end it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, sleep};

use super::socket::Watch;
use crate::options::Timers;

/// Requests of one connection.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<Requests>);

#[derive(Debug)]
struct Requests {
    asked: bool,
    in_flight: usize,
    /// Since when `in_flight` is what it is.
    since: Instant,
}

/// One request that is not over.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        let requests = Requests { asked: false, in_flight: 0, since: Instant::now() };
        Arc::new(Self(Mutex::new(requests)))
    }

    /// Notes a request, which lasts as long as the result.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.change(|requests| {
            requests.asked = true;
            requests.in_flight += 1;
        });
        InFlight(self.clone())
    }

    fn change(&self, change: impl FnOnce(&mut Requests)) {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut requests);
        requests.since = Instant::now();
    }

    fn has_asked(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked
    }

    /// Since when nothing is asked for; `None` while something is.
    fn idle_since(&self) -> Option<Instant> {
        let requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (requests.in_flight == 0).then_some(requests.since)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.change(|requests| requests.in_flight = requests.in_flight.saturating_sub(1));
    }
}

/// Why a connection should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It never asked for anything.
    Silent,
    /// The other side has hung up and nothing moves any more.
    Gone,
    /// It asks for nothing any more.
    Idle,
    /// The server ends.
    Shutdown,
}

/// Watches over one connection.
pub(crate) struct Patrol<'a> {
    pub(crate) activity: &'a Activity,
    pub(crate) watch: &'a Watch,
    pub(crate) timers: &'a Timers,
}

impl Patrol<'_> {
    /// Waits until there is a reason to end the connection.
    pub(crate) async fn reason(&self) -> Reason {
        sleep(self.timers.head).await;
        if !self.activity.has_asked() {
            return Reason::Silent;
        }
        tokio::select! {
            () = self.gone() => Reason::Gone,
            () = self.idle() => Reason::Idle,
        }
    }

    /// Waits until the other side has hung up and no byte has moved for the idle time.
    pub(crate) async fn gone(&self) {
        let mut moved = (self.watch.moved(), Instant::now());
        loop {
            sleep(self.timers.patrol).await;
            let now = self.watch.moved();
            if now != moved.0 || !self.watch.is_hung_up().await {
                moved = (now, Instant::now());
            } else if moved.1.elapsed() >= self.timers.idle {
                return;
            }
        }
    }

    async fn idle(&self) {
        loop {
            let since = self.activity.idle_since();
            if since.is_some_and(|since| since.elapsed() >= self.timers.idle) {
                return;
            }
            sleep(self.timers.patrol).await;
        }
    }
}
