//! The wish to end, told to everything that lasts.

use tokio::sync::watch;

/// Tells that the server wants to end. Cheap to clone; every body that may last awaits it.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Asks for the end.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl ShutdownTrigger {
    /// A trigger and what it triggers.
    #[must_use]
    pub fn new() -> (Self, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Shutdown(receiver))
    }

    /// Asks everybody to end. A second time changes nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// One that never comes, for tests.
    #[must_use]
    pub fn never() -> Self {
        // A receiver without its sender keeps the last value; `requested` then waits for ever.
        ShutdownTrigger::new().1
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the end is asked for; at once if it was.
    pub async fn requested(&self) {
        if self.0.clone().wait_for(|requested| *requested).await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_clones_are_told_whenever_they_ask() {
        let (trigger, shutdown) = ShutdownTrigger::new();
        let early = shutdown.clone();
        let waiting = tokio::spawn(async move { early.requested().await });
        assert!(!shutdown.is_requested());
        trigger.request();
        waiting.await.unwrap();
        shutdown.requested().await;
        drop(trigger);
        assert!(shutdown.is_requested());
        shutdown.requested().await;
    }

    #[tokio::test]
    async fn never_does_not_come() {
        let waits = is_pending(Shutdown::never());
        assert!(waits.await);
    }

    /// Whether the end is still to come after one look at it.
    async fn is_pending(shutdown: Shutdown) -> bool {
        tokio::select! {
            biased;
            () = shutdown.requested() => false,
            () = std::future::ready(()) => true,
        }
    }
}
