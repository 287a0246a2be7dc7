//! Counts as data tells them.

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::bucket::Counts;

/// Counts as data tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Hits.
    #[serde(default)]
    pub requests: u64,
    /// Bytes of responses.
    #[serde(default)]
    pub bytes: u64,
    /// Hits by class of status.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Classes,
    /// Requests that nobody answered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unanswered: u64,
    /// Responses without a request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub orphans: u64,
}

/// Hits by class of status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    #[serde(rename = "1xx", default, skip_serializing_if = "is_default")]
    c1: u64,
    #[serde(rename = "2xx", default, skip_serializing_if = "is_default")]
    c2: u64,
    #[serde(rename = "3xx", default, skip_serializing_if = "is_default")]
    c3: u64,
    #[serde(rename = "4xx", default, skip_serializing_if = "is_default")]
    c4: u64,
    #[serde(rename = "5xx", default, skip_serializing_if = "is_default")]
    c5: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    other: u64,
}

impl Numbers {
    /// Counts as data tells them; more bytes than fit are cut to what fits.
    pub fn of(counts: &Counts) -> Self {
        let [other, c1, c2, c3, c4, c5] = counts.classes;
        Self {
            requests: counts.hits,
            bytes: u64::try_from(counts.bytes).unwrap_or(u64::MAX),
            status: Classes { c1, c2, c3, c4, c5, other },
            unanswered: counts.unanswered,
            orphans: counts.orphans,
        }
    }

    /// The counts.
    pub fn counts(&self) -> Counts {
        let Classes { c1, c2, c3, c4, c5, other } = self.status;
        Counts {
            hits: self.requests,
            bytes: u128::from(self.bytes),
            classes: [other, c1, c2, c3, c4, c5],
            unanswered: self.unanswered,
            orphans: self.orphans,
        }
    }
}
