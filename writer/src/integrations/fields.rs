//! A JSON object from named values of foreign origin: each name once, whatever the values do.

use std::borrow::Cow;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A JSON object in the making. The first value of a name counts, later ones are left out.
pub(super) struct Fields<'n, M> {
    map: M,
    names: Vec<Cow<'n, str>>,
}

impl<'n, M: SerializeMap> Fields<'n, M> {
    /// An object without fields.
    pub(super) fn new(map: M) -> Self {
        Self { map, names: Vec::with_capacity(NAMES_USUAL) }
    }

    /// Adds a field, unless the object has one of this name.
    pub(super) fn put(
        &mut self,
        name: impl Into<Cow<'n, str>>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), M::Error> {
        let name = name.into();
        if self.has(&name) {
            return Ok(());
        }
        self.map.serialize_entry(&name, value)?;
        self.names.push(name);
        Ok(())
    }

    /// Whether the object has a field of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|other| other == name)
    }

    /// Completes the object.
    pub(super) fn end(self) -> Result<M::Ok, M::Error> {
        self.map.end()
    }
}

/// Room for the fields of most messages.
const NAMES_USUAL: usize = 16;

/// A number that JSON may not have: infinities and NaN become texts.
pub(super) struct Float(pub(super) f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

/// A value as the text that its `Display` writes. One that refuses to be written does no harm.
pub(super) struct Text<T>(pub(super) T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Lenient(&self.0))
    }
}

/// Serializers take an error of formatting for one of their own and panic if it is not.
struct Lenient<'a, T>(&'a T);

impl<T: fmt::Display> fmt::Display for Lenient<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0).or_else(|_| f.write_str("[refuses to be formatted]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::to_json_text;

    struct Refusing;

    impl fmt::Display for Refusing {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half a ")?;
            Err(fmt::Error)
        }
    }

    struct Object;

    impl Serialize for Object {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut fields = Fields::new(serializer.serialize_map(None)?);
            fields.put("a", &1)?;
            fields.put("b", &Float(f64::NEG_INFINITY))?;
            fields.put("a".to_owned(), &2)?;
            fields.put("c", &Text(Refusing))?;
            fields.put("d", &Float(-0.5))?;
            fields.end()
        }
    }

    #[test]
    fn each_name_comes_once_and_every_value_can_be_told() {
        assert_eq!(
            &*to_json_text(&Object),
            r#"{"a":1,"b":"-inf","c":"half a [refuses to be formatted]","d":-0.5}"#
        );
    }
}
