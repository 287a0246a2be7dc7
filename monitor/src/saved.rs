//! How a state file holds what is counted: in few bytes, exactly, whatever names contain.

use std::borrow::Cow;

use logq_format::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bucket::{Bucket, Counts};
use crate::hit::{Hit, Target};
use crate::sketch::Sketch;
use crate::statuses::Statuses;

/// A name as text of which each character stands for a byte, so that any bytes come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) Vec<u8>);

impl From<&[u8]> for Name {
    fn from(name: &[u8]) -> Self {
        Self(name.to_vec())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|byte| char::from(*byte)).collect();
        to.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        bytes.map(Self).map_err(serde::de::Error::custom)
    }
}

/// A request that waits for others to confirm its time, or for its response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedHit {
    #[serde(default)]
    line: u64,
    time_us: i64,
    target: SavedTarget,
    client: Name,
    status: u16,
    bytes: u64,
    latency_us: Option<u64>,
}

/// What a request asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SavedTarget {
    Path(Name),
    Connect,
    Server,
    Bad,
    Unknown,
}

impl SavedHit {
    pub(crate) fn of(line: u64, hit: &Hit<'_>) -> Self {
        Self {
            line,
            time_us: hit.time.as_micros(),
            target: SavedTarget::of(&hit.target),
            client: Name::from(&*hit.client),
            status: hit.status,
            bytes: hit.bytes,
            latency_us: hit.latency_us,
        }
    }

    /// The hit, with the number of its line.
    pub(crate) fn hit(self) -> (u64, Hit<'static>) {
        let hit = Hit {
            time: Timestamp::from_micros(self.time_us),
            target: self.target.target(),
            client: Cow::Owned(self.client.0),
            status: self.status,
            bytes: self.bytes,
            latency_us: self.latency_us,
        };
        (self.line, hit)
    }
}

impl SavedTarget {
    pub(crate) fn of(target: &Target<'_>) -> Self {
        match target {
            Target::Path(path) => Self::Path(Name::from(&**path)),
            Target::Connect => Self::Connect,
            Target::Server => Self::Server,
            Target::Bad => Self::Bad,
            Target::Unknown => Self::Unknown,
        }
    }

    pub(crate) fn target(self) -> Target<'static> {
        match self {
            Self::Path(path) => Target::Path(Cow::Owned(path.0)),
            Self::Connect => Target::Connect,
            Self::Server => Target::Server,
            Self::Bad => Target::Bad,
            Self::Unknown => Target::Unknown,
        }
    }
}

/// The seconds of a track: closed ones that windows look back to, open ones, and late hits by the
/// second at whose closing they join and their own. Machines by the index of their rule.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedTrack {
    pub(crate) seconds: Vec<(i64, SavedBucket)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) late: Vec<(i64, i64, SavedBucket)>,
    pub(crate) machines: Vec<(usize, bool, u32)>,
}

/// Counts, and bins of latencies with theirs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedBucket(SavedCounts, Vec<(u16, u32)>);

impl SavedBucket {
    pub(crate) fn of(bucket: &Bucket) -> Self {
        Self(SavedCounts::of(&bucket.counts), bucket.latencies().to_vec())
    }

    pub(crate) fn bucket(self) -> Bucket {
        Bucket::of(self.0.counts(), &self.1)
    }
}

/// Hits, bytes, classes of statuses, unanswered requests, orphans.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedCounts(u64, u128, [u64; 6], u64, u64);

impl SavedCounts {
    pub(crate) fn of(counts: &Counts) -> Self {
        let Counts { hits, bytes, classes, unanswered, orphans } = *counts;
        Self(hits, bytes, classes, unanswered, orphans)
    }

    pub(crate) fn counts(self) -> Counts {
        let Self(hits, bytes, classes, unanswered, orphans) = self;
        Counts { hits, bytes, classes, unanswered, orphans }
    }
}

/// The bins of latencies and their counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedSketch(Vec<(u64, u64)>);

impl SavedSketch {
    pub(crate) fn of(sketch: &Sketch) -> Self {
        Self(sketch.bins().map(|(bin, count)| (u64::from(bin), count)).collect())
    }

    pub(crate) fn sketch(&self) -> Sketch {
        let mut sketch = Sketch::default();
        self.0.iter().for_each(|(bin, count)| sketch.add_stored(*bin, *count));
        sketch
    }
}

/// The intervals that are open, by their starts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedIntervals {
    pub(crate) interval_s: i64,
    /// Where one of them begins.
    pub(crate) origin: Option<i64>,
    pub(crate) open: Vec<(i64, SavedInterval)>,
}

/// What an interval holds so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedInterval {
    pub(crate) counts: SavedCounts,
    pub(crate) latencies: SavedSketch,
    pub(crate) late: u64,
    pub(crate) bad: u64,
    pub(crate) last: Option<i64>,
    pub(crate) sections: SavedTop,
    pub(crate) urls: SavedTop,
    pub(crate) clients: SavedTop,
    pub(crate) statuses: Statuses,
}

/// A list: its keys with count, error and first second, in the order of the slots; and which of them
/// have the smallest count, as far as that was looked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedTop {
    pub(crate) keys: Vec<(Name, u64, u64, i64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lowest: Vec<u32>,
    pub(crate) minimum: u64,
    pub(crate) total: u64,
    pub(crate) forgotten: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_come_back() {
        let name = Name((0..=255).collect());
        let text = serde_json::to_string(&name).unwrap();
        assert_eq!(serde_json::from_str::<Name>(&text).unwrap(), name);
        assert!(serde_json::from_str::<Name>("\"\u{20ac}\"").is_err());
    }

    #[test]
    fn counts_beyond_64_bits_come_back() {
        let counts = Counts { hits: 2, bytes: u128::from(u64::MAX) * 2, ..Counts::default() };
        let text = serde_json::to_string(&SavedCounts::of(&counts)).unwrap();
        assert_eq!(serde_json::from_str::<SavedCounts>(&text).unwrap().counts(), counts);
    }
}
