//! Words for levels, types, processes, addresses and requests, as filters take them.

use logq_format::{Level, LevelSet, Lifecycle, Process, RecordType, RequestId, TypeSet, WorkerId};

use crate::nearest::nearest;
use crate::network::{Network, NetworkError};

/// Why a word of a filter could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WordError {
    /// There is no such level.
    #[error(
        "unknown level {word:?}{}; the levels are critical, error, warn, info, debug, trace, or \
         their first letters",
        did_you_mean(.suggestion)
    )]
    Level {
        /// The word.
        word: String,
        /// The known word nearest to it.
        suggestion: Option<&'static str>,
    },
    /// There is no such type or event.
    #[error(
        "unknown type {word:?}{}; the types are REQUEST, REQUEST_META, RESPONSE, \
         RESPONSE_FINISHED, LOG, LIFECYCLE, LOST, CLOCK_STEP, IO_ERROR and the events of \
         LIFECYCLE, such as WORKER_EXITED",
        did_you_mean(.suggestion)
    )]
    Type {
        /// The word.
        word: String,
        /// The known word nearest to it.
        suggestion: Option<&'static str>,
    },
    /// It names no process.
    #[error("unknown worker {word:?}; expected a number up to {} or master", WorkerId::MAX)]
    Worker {
        /// The word.
        word: String,
    },
    /// It is no address and no network.
    #[error("{word:?} is no address and no network: {reason}")]
    Network {
        /// The word.
        word: String,
        /// What was expected.
        reason: NetworkError,
    },
    /// It is no request id.
    #[error(
        "{word:?} is not a request id; it is a UUID such as 6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e, \
         as -o json prints it"
    )]
    Request {
        /// The word.
        word: String,
    },
}

fn did_you_mean(suggestion: &Option<&'static str>) -> String {
    suggestion.map(|word| format!(", did you mean {word:?}?")).unwrap_or_default()
}

/// Reads levels: a threshold, meaning it and all that are more severe, or a range `A..B` in either
/// order.
///
/// # Errors
///
/// Says which word is no level.
pub fn levels(text: &str) -> Result<LevelSet, WordError> {
    let Some((one, other)) = text.split_once("..") else {
        return Ok(LevelSet::at_least(level(text)?));
    };
    let (one, other) = (level(one)?, level(other)?);
    let inside = one.min(other)..=one.max(other);
    let levels = Level::ALL.into_iter().filter(|level| inside.contains(level));
    Ok(levels.fold(LevelSet::EMPTY, LevelSet::with))
}

/// Reads a level: its name or the first letters of it, in upper or lower case.
///
/// # Errors
///
/// Says that the word is no level.
pub fn level(word: &str) -> Result<Level, WordError> {
    let wanted = word.trim().to_ascii_uppercase();
    let mut named = Level::ALL.into_iter().filter(|level| level.as_str().starts_with(&wanted));
    match named.next() {
        Some(level) if !wanted.is_empty() => Ok(level),
        _ => Err(WordError::Level {
            word: word.to_owned(),
            suggestion: nearest(&wanted, Level::ALL.iter().map(|level| level.as_str())),
        }),
    }
}

/// The types that are wanted, and within LIFECYCLE the events, if only some are.
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// What a block must hold.
    set: TypeSet,
    /// Types of which every record is wanted.
    whole: TypeSet,
    /// Lifecycle events that are wanted.
    events: Vec<&'static str>,
}

impl Types {
    /// Reads names of types and of lifecycle events, in upper or lower case.
    ///
    /// # Errors
    ///
    /// Says which word is neither.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, WordError> {
        let mut types = Self::default();
        for name in names {
            types.add(name.as_ref().trim())?;
        }
        types.set = types.set.union(types.whole);
        Ok(types)
    }

    fn add(&mut self, name: &str) -> Result<(), WordError> {
        let named = |known: &str| known.eq_ignore_ascii_case(name);
        let types = RecordType::ALL.into_iter().filter(|known| named(known.as_str()));
        let found = types.fold(TypeSet::EMPTY, TypeSet::with);
        if found != TypeSet::EMPTY {
            self.whole = self.whole.union(found);
            return Ok(());
        }
        match events().find(|(event, _)| named(event)) {
            Some((event, record_type)) => {
                self.set = self.set.with(record_type);
                self.events.push(event);
                Ok(())
            }
            None => {
                let types = RecordType::ALL.iter().map(|record_type| record_type.as_str());
                let suggestion = nearest(name, types.chain(events().map(|(event, _)| event)));
                Err(WordError::Type { word: name.to_owned(), suggestion })
            }
        }
    }

    /// The types that a wanted record may have.
    pub fn set(&self) -> TypeSet {
        self.set
    }

    /// Whether records must be looked at one by one, because only some events are wanted.
    pub fn is_partial(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether a record of this type, about this lifecycle event, is wanted.
    pub fn matches(&self, record_type: RecordType, event: Option<&str>) -> bool {
        self.whole.contains(record_type) || event.is_some_and(|event| self.events.contains(&event))
    }
}

/// The lifecycle events with the types of their records.
fn events() -> impl Iterator<Item = (&'static str, RecordType)> {
    let steps = Lifecycle::ALL.into_iter().map(|step| {
        let record_type = match step.process() {
            Process::Worker => RecordType::WorkerLifecycle,
            Process::Master => RecordType::MasterLifecycle,
        };
        (step.as_str(), record_type)
    });
    steps.chain([
        ("WORKER_SPAWNED", RecordType::WorkerSpawned),
        ("WORKER_EXITED", RecordType::WorkerExited),
        ("UNCAUGHT_EXCEPTION", RecordType::UncaughtException),
    ])
}

/// Reads a process: a worker's number, or `master`, which is `None`.
///
/// # Errors
///
/// Says that the word is neither.
pub fn worker(word: &str) -> Result<Option<WorkerId>, WordError> {
    if word.eq_ignore_ascii_case("master") {
        return Ok(None);
    }
    let number = word.parse().ok().and_then(WorkerId::new);
    number.map(Some).ok_or_else(|| WordError::Worker { word: word.to_owned() })
}

/// Reads an address, or a network such as `192.0.2.0/24`.
///
/// # Errors
///
/// Says what networks look like.
pub fn network(word: &str) -> Result<Network, WordError> {
    word.trim().parse().map_err(|reason| WordError::Network { word: word.to_owned(), reason })
}

/// Reads a request id.
///
/// # Errors
///
/// Says that the word is none.
pub fn request(word: &str) -> Result<RequestId, WordError> {
    word.parse().map_err(|_| WordError::Request { word: word.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: LevelSet) -> String {
        let inside = Level::ALL.into_iter().filter(|level| set.contains(*level));
        inside.map(|level| level.as_str().get(..1).unwrap()).collect()
    }

    #[test]
    fn levels_are_thresholds_or_ranges() {
        let check = |text, expected: &str| assert_eq!(names(levels(text).unwrap()), expected);
        check("error", "CE");
        check("e", "CE");
        check("Trace", "CEWIDT");
        check("warn..error", "EW");
        check("i..w", "WI");
    }

    #[test]
    fn a_misspelt_level_is_answered_with_the_nearest_one() {
        let message = levels("eror").unwrap_err().to_string();
        assert!(message.contains("did you mean \"ERROR\"?"), "{message}");
        assert!(levels("").is_err());
    }

    #[test]
    fn types_and_events_are_told_apart() {
        let types = Types::new(&["log", "worker_exited"]).unwrap();
        assert!(types.matches(RecordType::RequestLog, None));
        assert!(types.matches(RecordType::WorkerExited, Some("WORKER_EXITED")));
        assert!(!types.matches(RecordType::WorkerSpawned, Some("WORKER_SPAWNED")));
        assert!(types.set().contains(RecordType::MasterLog) && types.is_partial());
        let message = Types::new(&["REQEST"]).unwrap_err().to_string();
        assert!(message.contains("did you mean \"REQUEST\"?"), "{message}");
    }

    #[test]
    fn workers_and_requests_are_named_as_they_are_printed() {
        assert_eq!(worker("Master"), Ok(None));
        assert_eq!(worker("3"), Ok(WorkerId::new(3)));
        assert!(worker("-3").unwrap_err().to_string().contains("\"-3\""));
        assert!(request("6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e").is_ok());
        assert!(request("6f1c").is_err());
    }
}
