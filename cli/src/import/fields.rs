//! What the fields of foreign records mean, told by their names.
//!
//! JSON lines, logfmt and tables offer their fields one by one; [`Facts`] keeps the time, the level
//! and the request that they tell, and says which fields the record no longer needs because its own
//! fields say exactly the same.

use std::borrow::Cow;

use logq_format::{Level, RequestId, Timestamp};

use crate::import::level;
use crate::import::time::{Moment, Times};

/// The longest name with a meaning.
const NAME_BYTES_MAX: usize = 13;

/// What a field may tell by its name. Of several times the one of the lowest rank counts; of equal
/// ranks, and of levels and requests, the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Time { rank: u8 },
    Level,
    Request { exact_name: bool },
}

/// A value as a field tells it, without quotes.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Number(&'a str),
}

/// The meaning of a name, in any case of letters.
fn role(name: &str) -> Option<Role> {
    // Most names are none of these; their first letter shows it soonest.
    if !b"@adelrst".contains(&name.bytes().next()?.to_ascii_lowercase()) {
        return None;
    }
    let mut lower = [0; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"timestamp" | b"@timestamp" => Role::Time { rank: 0 },
        b"time" | b"ts" | b"datetime" | b"@t" => Role::Time { rank: 1 },
        b"date" | b"asctime" | b"eventtime" | b"time_local" | b"time_iso8601" => {
            Role::Time { rank: 2 }
        }
        b"t" => Role::Time { rank: 3 },
        b"level" | b"lvl" | b"severity" | b"loglevel" | b"log.level" | b"levelname" | b"@l"
        | b"severity_text" => Role::Level,
        b"request_id" | b"requestid" => Role::Request { exact_name: true },
        b"req_id" | b"reqid" | b"trace_id" | b"traceid" => Role::Request { exact_name: false },
        _ => return None,
    })
}

/// Whether fields of this name tell a time.
pub(super) fn tells_time(name: &str) -> bool {
    matches!(role(name), Some(Role::Time { .. }))
}

/// Whether fields of this name mean something to a record.
pub(super) fn tells_something(name: &str) -> bool {
    role(name).is_some()
}

/// A fact and the field that told it.
#[derive(Clone, Copy, Debug)]
struct Told<T> {
    what: T,
    index: usize,
    /// Whether the field can be left out because the fact says all of it.
    covered: bool,
}

/// What the fields of one record told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    time: Option<(u8, Told<Moment>)>,
    level: Option<Told<Level>>,
    request: Option<Told<RequestId>>,
}

impl Facts {
    /// Takes from a field what it tells. The value is asked for only if the name means something.
    pub(super) fn offer<'v>(
        &mut self,
        index: usize,
        name: &str,
        value: impl FnOnce() -> Option<Value<'v>>,
        times: &mut Times,
    ) {
        let Some(role) = role(name) else { return };
        let Some(value) = value() else { return };
        match role {
            Role::Time { rank } => {
                if self.time.is_none_or(|(known, _)| rank < known)
                    && let Some(moment) = moment(value, times)
                {
                    self.time = Some((rank, Told { what: moment, index, covered: moment.exact }));
                }
            }
            Role::Level => {
                if self.level.is_none() {
                    self.level = told_level(index, value);
                }
            }
            Role::Request { exact_name } => {
                if self.request.is_none() {
                    self.request = told_request(index, value, exact_name);
                }
            }
        }
    }

    /// When it happened, if a field told it.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.time.map(|(_, told)| told.what.time)
    }

    /// How severe it is; INFO if no field told it.
    pub(super) fn level(&self) -> Level {
        self.told_level().unwrap_or(Level::Info)
    }

    /// How severe it is, if a field told it.
    pub(super) fn told_level(&self) -> Option<Level> {
        self.level.map(|told| told.what)
    }

    /// The request it belongs to, if a field told it.
    pub(super) fn request(&self) -> Option<RequestId> {
        self.request.map(|told| told.what)
    }

    /// Whether the record says all that the field with this index says, so that it can be left out.
    pub(super) fn covers(&self, index: usize) -> bool {
        fn is<T>(told: Option<&Told<T>>, index: usize) -> bool {
            told.is_some_and(|told| told.index == index && told.covered)
        }
        is(self.time.as_ref().map(|(_, told)| told), index)
            || is(self.level.as_ref(), index)
            || is(self.request.as_ref(), index)
    }
}

fn moment(value: Value<'_>, times: &mut Times) -> Option<Moment> {
    match value {
        Value::Text(text) => times.whole(&text),
        Value::Number(text) => times.number(text),
    }
}

/// Other words than the level's name, and numbers, stay in the data: they may say more.
fn told_level(index: usize, value: Value<'_>) -> Option<Told<Level>> {
    let (level, covered) = match value {
        Value::Text(text) => {
            let level = level::word(&text).or_else(|| level::number(text.parse().ok()?))?;
            (level, level::is_name(&text, level))
        }
        Value::Number(text) => (level::number(text.parse().ok()?)?, false),
    };
    Some(Told { what: level, index, covered })
}

/// Ids in another form than the record prints stay in the data too, under their name.
fn told_request(index: usize, value: Value<'_>, exact_name: bool) -> Option<Told<RequestId>> {
    let Value::Text(text) = value else { return None };
    let request: RequestId = text.parse().ok()?;
    let covered = exact_name && request.to_string() == text;
    Some(Told { what: request, index, covered })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn facts(fields: &[(&str, Value<'_>)]) -> Facts {
        let mut times = Times::new(TimeZone::UTC, Timestamp::default());
        let mut facts = Facts::default();
        for (index, (name, value)) in fields.iter().enumerate() {
            facts.offer(index, name, || Some(value.clone()), &mut times);
        }
        facts
    }

    #[test]
    fn the_field_that_names_a_time_best_wins() {
        let facts = facts(&[
            ("t", Value::Text("2001-01-01T00:00:00Z".into())),
            ("date", Value::Text("2002-01-01T00:00:00Z".into())),
            ("Time", Value::Number("5")),
            ("ts", Value::Number("1770127506")),
            ("time", Value::Text("2003-01-01T00:00:00Z".into())),
        ]);
        assert_eq!(facts.time().unwrap().to_string(), "2026-02-03T14:05:06.000000Z");
        let covered: Vec<_> = (0..5).map(|index| facts.covers(index)).collect();
        assert_eq!(covered, [false, false, false, true, false]);
    }

    #[test]
    fn only_what_the_record_says_in_full_is_covered() {
        let check = |name, value: Value<'static>, covered| {
            assert_eq!(facts(&[(name, value.clone())]).covers(0), covered, "{name} {value:?}");
        };
        check("ts", Value::Text("2026-02-03T14:05:06.123456Z".into()), true);
        check("ts", Value::Text("2026-02-03T14:05:06.1234567Z".into()), false);
        check("level", Value::Text("warn".into()), true);
        check("level", Value::Text("Error".into()), true);
        check("level", Value::Text("fatal".into()), false);
        check("level", Value::Number("30"), false);
        check("requestId", Value::Text("0b0c27f5-6fdb-4d5c-9d1f-6ea2f1d1f9c3".into()), true);
        check("requestId", Value::Text("0B0C27F5-6fdb-4d5c-9d1f-6ea2f1d1f9c3".into()), false);
        check("trace_id", Value::Text("0b0c27f5-6fdb-4d5c-9d1f-6ea2f1d1f9c3".into()), false);
        check("message", Value::Text("warn".into()), false);
    }

    #[test]
    fn levels_are_words_or_numbers() {
        let check = |value, expected| assert_eq!(facts(&[("lvl", value)]).level(), expected);
        check(Value::Text("fatal".into()), Level::Critical);
        check(Value::Text("50".into()), Level::Error);
        check(Value::Number("20"), Level::Debug);
        check(Value::Number("99"), Level::Info);
        check(Value::Text("loud".into()), Level::Info);
    }

    #[test]
    fn requests_are_uuids() {
        let id =
            facts(&[("traceId", Value::Text("0b0c27f56fdb4d5c9d1f6ea2f1d1f9c3".into()))]).request();
        assert_eq!(id.unwrap().to_string(), "0b0c27f5-6fdb-4d5c-9d1f-6ea2f1d1f9c3");
        assert_eq!(facts(&[("requestId", Value::Text("42".into()))]).request(), None);
    }
}
