//! What an event and the spans around it have to tell, as one JSON object.

use std::error::Error;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::registry::{ExtensionsMut, LookupSpan, SpanRef};

use crate::failure::error_text;
use crate::integrations::fields::{Fields, Float, Text};
use crate::integrations::sink::Extras;

/// An event with all that is known around it.
pub(super) struct EventData<'a, 's, S: LookupSpan<'s>> {
    pub(super) event: &'a Event<'a>,
    /// The spans around it, the innermost first.
    pub(super) spans: &'a [SpanRef<'s, S>],
    pub(super) location: bool,
    pub(super) extras: Extras,
}

impl<'s, S: LookupSpan<'s>> Serialize for EventData<'_, 's, S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut fields = Fields::new(serializer.serialize_map(None)?);
        let mut own = Typed(EventFields { fields: &mut fields, outcome: Ok(()) });
        self.event.record(&mut own);
        own.0.outcome?;
        let metadata = self.event.metadata();
        fields.put("target", metadata.target())?;
        if self.location {
            if let Some(file) = metadata.file() {
                fields.put("file", file)?;
            }
            if let Some(line) = metadata.line() {
                fields.put("line", &line)?;
            }
        }
        if !self.spans.is_empty() {
            fields.put("span", &Text(SpanNames(self.spans)))?;
        }
        for span in self.spans {
            // The values were made when they were recorded: no foreign code runs under the lock.
            if let Some(SpanFields(values)) = span.extensions().get() {
                for (name, value) in values {
                    fields.put(*name, value)?;
                }
            }
        }
        self.extras.put_into(&mut fields)?;
        fields.end()
    }
}

/// The names of spans, the last of the slice first: it is the outermost.
struct SpanNames<'a, 's, S: LookupSpan<'s>>(&'a [SpanRef<'s, S>]);

impl<'s, S: LookupSpan<'s>> fmt::Display for SpanNames<'_, 's, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, span) in self.0.iter().rev().enumerate() {
            f.write_str(if index == 0 { "" } else { ":" })?;
            f.write_str(span.name())?;
        }
        Ok(())
    }
}

/// The fields of a span as JSON texts, kept in its extensions.
pub(super) struct SpanFields(Vec<(&'static str, Box<RawValue>)>);

impl SpanFields {
    /// The fields that `record` tells to the visitor.
    pub(super) fn new(record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut visitor = Typed(Self(Vec::new()));
        record(&mut visitor);
        visitor.0
    }

    /// Adds the fields to those that the span has; later values replace earlier ones.
    pub(super) fn merge_into(self, extensions: &mut ExtensionsMut<'_>) {
        if self.0.is_empty() {
            return;
        }
        match extensions.get_mut::<Self>() {
            Some(fields) => self.0.into_iter().for_each(|(name, value)| fields.set(name, value)),
            None => extensions.insert(self),
        }
    }

    fn set(&mut self, name: &'static str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, before)) => *before = value,
            None => self.0.push((name, value)),
        }
    }
}

/// Takes the fields of events and spans.
trait TakeField {
    fn take<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T);
}

impl TakeField for SpanFields {
    fn take<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        // None of the values of `Typed` refuses to be serialized.
        if let Ok(value) = to_raw_value(value) {
            self.set(name, value);
        }
    }
}

/// Puts fields into the object in the making, up to the first error.
struct EventFields<'a, M: SerializeMap> {
    fields: &'a mut Fields<'static, M>,
    outcome: Result<(), M::Error>,
}

impl<M: SerializeMap> TakeField for EventFields<'_, M> {
    fn take<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        if self.outcome.is_ok() {
            self.outcome = self.fields.put(name, value);
        }
    }
}

/// A visitor that gives each value the type it has in JSON.
struct Typed<T>(T);

impl<T: TakeField> Typed<T> {
    fn take(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        // Raw identifiers, such as `r#type`, mean the plain name.
        let name = field.name();
        self.0.take(name.strip_prefix("r#").unwrap_or(name), value);
    }
}

impl<T: TakeField> Visit for Typed<T> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, &Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, &value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.take(field, &value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.take(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.take(field, &error_text(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, &Text(format_args!("{value:?}")));
    }
}
