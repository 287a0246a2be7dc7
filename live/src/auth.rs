//! What a request may do. Which token allows it is `tokens`' matter.

/// What a request needs, and what a token allows. Who may write may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// To look at streams, stores, the monitor and the counters.
    Read,
    /// To write, replace and delete streams.
    Write,
}

/// Proof that a request was let in, and as whom.
///
/// Routes get it with every request and need not look at tokens themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The most that the request may do.
    pub access: Access,
    /// The token's id, a short hash that may be logged; `None` if no token was needed.
    pub token_id: Option<String>,
}

impl Grant {
    /// The grant of a request to a server that asks for no token.
    #[must_use]
    pub fn open(access: Access) -> Self {
        Self { access, token_id: None }
    }
}
