//! Access logs as lines of JSON: nginx, Caddy, Traefik, load balancers of clouds, and whatever else
//! uses the names in [`names`](super::names).
//!
//! Objects inside are looked into where they are the request, as Caddy and GCP have it:
//! `{"ts":1549573860.5,"request":{"method":"GET","uri":"/a"},"status":200,"duration":0.0125}`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::names::{Field, Fields, field};
use super::number::micros_of;
use super::time::{Times, of_epoch};
use super::{ParseError, Reason};
use crate::hit::Hit;
use logq_format::Timestamp;

/// Reads one line.
pub(super) fn parse<'a>(line: &'a [u8], times: &mut Times) -> Result<Hit<'a>, ParseError> {
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(ParseError::new(Reason::NotJson, 0));
    }
    let mut object = Object { fields: Fields::default(), times, failed: None };
    let mut json = serde_json::Deserializer::from_slice(line);
    let read = (&mut object).deserialize(&mut json).and_then(|()| json.end());
    if let Err(error) = read {
        let at = error.column().saturating_sub(1).min(line.len());
        return Err(ParseError::new(Reason::NotJson, at));
    }
    if let Some(reason) = object.failed {
        return Err(ParseError::new(reason, 1));
    }
    // A line of JSON is more like an access log than one that is not.
    object.fields.hit(None).map_err(|error| ParseError::new(error.reason, 1))
}

/// The object of the line, or the request in it.
struct Object<'a, 't> {
    fields: Fields<'a>,
    times: &'t mut Times,
    /// Why the first field that is not as it should be is not.
    failed: Option<Reason>,
}

impl<'a> Object<'a, '_> {
    fn text(&mut self, field: Field, text: Cow<'a, [u8]>) {
        if let Err(reason) = self.fields.set(field, text, self.times) {
            self.failed.get_or_insert(reason);
        }
    }

    fn whole(&mut self, field: Field, value: u64) {
        match field {
            Field::Time => match i64::try_from(value).ok().and_then(of_epoch) {
                Some(time) => self.fields.set_time(time),
                None => self.failed = self.failed.or(Some(Reason::BadTime)),
            },
            _ => {
                if let Err(reason) = self.fields.set_whole(field, value) {
                    self.failed.get_or_insert(reason);
                }
            }
        }
    }

    fn float(&mut self, field: Field, value: f64) {
        match field {
            Field::Time => match micros_of(value, 1e6).and_then(|us| i64::try_from(us).ok()) {
                Some(micros) => self.fields.set_time(Timestamp::from_micros(micros)),
                None => self.failed = self.failed.or(Some(Reason::BadTime)),
            },
            Field::Latency(unit) => {
                self.fields.set_latency(micros_of(value, unit.micros()));
            }
            Field::Status => self.failed = self.failed.or(Some(Reason::BadStatus)),
            Field::Bytes => self.failed = self.failed.or(Some(Reason::BadBytes)),
            _ => {}
        }
    }
}

impl<'a> DeserializeSeed<'a> for &mut Object<'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for &mut Object<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name)? {
            map.next_value_seed(Value { object: self, field })?;
        }
        Ok(())
    }
}

/// A key, read as its meaning.
struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Field;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Field, E> {
        Ok(field(name.as_bytes()))
    }
}

/// A value of the object, put where its key says.
struct Value<'o, 'a, 't> {
    object: &'o mut Object<'a, 't>,
    field: Field,
}

impl<'a> DeserializeSeed<'a> for Value<'_, 'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.field {
            Field::Skip => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'a> Visitor<'a> for Value<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<(), E> {
        self.object.text(self.field, Cow::Borrowed(text.as_bytes()));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.object.text(self.field, Cow::Owned(text.as_bytes().to_vec()));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.object.whole(self.field, value);
        Ok(())
    }

    fn visit_i64<E>(self, _negative: i64) -> Result<(), E> {
        self.object.float(self.field, -1.0);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.object.float(self.field, value);
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        if self.field == Field::Request {
            return self.object.visit_map(map);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::shown;

    fn check(line: &str, expected: &str) {
        let read = parse(line.as_bytes(), &mut Times::default());
        assert_eq!(shown(read), expected, "{line}");
    }

    #[test]
    fn lines_of_known_servers_are_read() {
        for (line, expected) in [
            // nginx, as people write it.
            (
                r#"{"time_iso8601":"2019-02-07T21:11:00+00:00","remote_addr":"::1","request":"GET \/a\u002fb HTTP/1.1","status":"200","body_bytes_sent":"12","request_time":"0.125"}"#,
                "1549573860000000 /a/b ::1 200 12 125000",
            ),
            (
                r#"{"msec":"1549573860.500","request_uri":"/a?b","request_method":"GET","status":404}"#,
                "1549573860500000 /a?b  404 0 -",
            ),
            // Caddy.
            (
                r#"{"level":"info","ts":1549573860.5,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"1.2.3.4","proto":"HTTP/1.1","method":"GET","host":"a.org","uri":"/a","headers":{"status":["x"]}},"bytes_read":0,"duration":0.0125,"size":12,"status":200}"#,
                "1549573860500000 /a 1.2.3.4 200 12 12500",
            ),
            // Traefik: the time of the request, not of the log entry.
            (
                r#"{"ClientHost":"1.2.3.4","DownstreamContentSize":12,"DownstreamStatus":200,"Duration":12500000,"RequestMethod":"GET","RequestPath":"/a","StartUTC":"2019-02-07T21:11:00.5Z","time":"2019-02-07T21:11:09Z"}"#,
                "1549573860500000 /a 1.2.3.4 200 12 12500",
            ),
            // GCP.
            (
                r#"{"timestamp":"2019-02-07T21:11:00Z","httpRequest":{"requestMethod":"GET","requestUrl":"https://a.org/a","status":200,"responseSize":"12","remoteIp":"1.2.3.4","latency":"0.0125s"}}"#,
                "1549573860000000 /a 1.2.3.4 200 12 12500",
            ),
            (
                r#"{"time":1549573860123,"request":"-","status":null,"bytes":null}"#,
                "1549573860123000 (bad request)  0 0 -",
            ),
            (
                r#"{"time":1549573860,"method":"CONNECT","url":"h:443","status":200,"durationMs":1.5}"#,
                "1549573860000000 (CONNECT)  200 0 1500",
            ),
        ] {
            check(line, expected);
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for (line, expected) in [
            ("", "column 1: not an object of JSON"),
            ("[1]", "column 1: not an object of JSON"),
            ("{\"time\":1549573860,\"url\":\"/a\"", "column 29: not an object of JSON"),
            ("{\"time\":1549573860,\"url\":\"/a\"} x", "column 32: not an object of JSON"),
            ("{\"msg\":\"started\",\"time\":1549573860}", "column 2: expected a request"),
            ("{\"url\":\"/a\"}", "column 2: expected a time"),
            (
                "{\"time\":-5,\"url\":\"/a\"}",
                "column 2: not a time from 1970 to 9999 with a zone that exists",
            ),
            (
                "{\"time\":1e300,\"url\":\"/a\"}",
                "column 2: not a time from 1970 to 9999 with a zone that exists",
            ),
            (
                "{\"time\":1549573860,\"url\":\"/a\",\"status\":1000}",
                "column 2: expected a status of three digits",
            ),
            (
                "{\"time\":1549573860,\"url\":\"/a\",\"bytes\":-1}",
                "column 2: expected a number of bytes",
            ),
        ] {
            check(line, expected);
        }
        let deep = format!("{{\"x\":{}", "[".repeat(60_000));
        assert_eq!(
            parse(deep.as_bytes(), &mut Times::default()).unwrap_err().reason,
            Reason::NotJson
        );
    }
}
