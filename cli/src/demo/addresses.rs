//! Where the workers listen just now: written by the cluster, read by the clients.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// For each worker its address, unless it does not serve. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    workers: Arc<Mutex<Vec<Option<SocketAddr>>>>,
}

impl Addresses {
    /// Says that a worker, counted from 0, serves at this address, or does not serve.
    pub(super) fn set(&self, worker: usize, address: Option<SocketAddr>) {
        let mut workers = self.workers();
        let len = workers.len().max(worker + 1);
        workers.resize(len, None);
        if let Some(slot) = workers.get_mut(worker) {
            *slot = address;
        }
    }

    /// The addresses of all workers that serve.
    pub(super) fn online(&self) -> Vec<SocketAddr> {
        self.workers().iter().copied().flatten().collect()
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Option<SocketAddr>>> {
        // Nothing panics while it holds the lock.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
