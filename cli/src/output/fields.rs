//! `--fields`: which fields are printed, and in which order.

use anyhow::bail;
use logq_format::{Record, TypeSet};
use logq_query::{FieldPath, FieldValue};
use logq_reader::Row;

use super::members::prune;
use super::message::{Message, Put};

/// A field that is printed.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    /// A field of the record, or a value within it.
    Path(FieldPath),
    /// What happened, as `cat` prints it.
    Message,
}

/// The name of [`Column::Message`].
const MESSAGE: &str = "message";

impl Column {
    /// Reads the name of a field.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        if text.trim() == MESSAGE {
            return Ok(Self::Message);
        }
        Ok(Self::Path(FieldPath::parse(text)?))
    }

    /// The name in full.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Path(path) => path.to_string(),
            Self::Message => MESSAGE.to_owned(),
        }
    }

    /// The types whose records can have a value.
    pub(crate) fn types(&self) -> TypeSet {
        match self {
            Self::Path(path) => path.types(),
            Self::Message => TypeSet::ALL,
        }
    }

    /// The value in a record, if it has one.
    pub(crate) fn value<'r>(&self, row: &Row<'_>, record: &Record<'r>) -> Option<FieldValue<'r>> {
        match self {
            Self::Path(path) => path.value(record, row.origin(), row.sequence()),
            Self::Message => {
                let put: Put = super::escape::push_raw;
                let mut text = Vec::new();
                Message::alone(put).write(&mut text, record);
                let text = String::from_utf8(text).unwrap_or_default();
                Some(FieldValue::Text(text.into()))
            }
        }
    }
}

/// The fields that `--fields` names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    /// Those that are printed; `None` for all.
    only: Option<Vec<(String, Column)>>,
    /// Those that are not, as the keys that lead to them.
    except: Vec<Vec<String>>,
}

impl Fields {
    /// Reads names separated by commas; those with a minus are left out. Quotes and brackets of
    /// paths hold commas together.
    ///
    /// # Errors
    ///
    /// Says which name is no field, or cannot be left out.
    pub(crate) fn new(text: &str) -> anyhow::Result<Self> {
        let mut fields = Self::default();
        for name in split(text).into_iter().filter(|name| !name.is_empty()) {
            match name.strip_prefix('-') {
                Some(name) => fields.except.push(keys(name)?),
                None => {
                    let column = Column::parse(name)?;
                    let (only, name) = (fields.only.get_or_insert_default(), column.name());
                    // JSON readers would take either for the other.
                    if only.iter().any(|(other, _)| *other == name) {
                        bail!("--fields names {name} twice");
                    }
                    only.push((name, column));
                }
            }
        }
        if fields.only.is_none() && fields.except.is_empty() {
            bail!("--fields names no field; expected names such as timestamp,url,data.user.id");
        }
        if let Some(only) = &mut fields.only {
            only.retain(|(name, _)| !fields.except.iter().any(|keys| keys.join(".") == *name));
        }
        Ok(fields)
    }

    /// The fields by name, unless all of a record are wanted.
    pub(crate) fn only(&self) -> Option<&[(String, Column)]> {
        self.only.as_deref()
    }

    /// Whether records are printed as they are.
    pub(crate) fn is_all(&self) -> bool {
        self.only.is_none() && self.except.is_empty()
    }

    /// Whether a field as a whole is left out.
    pub(crate) fn is_left_out(&self, name: &str) -> bool {
        self.except.iter().any(|keys| matches!(keys.as_slice(), [key] if key == name))
    }

    /// Whether something within a field may have to be left out.
    pub(crate) fn reaches_into(&self, name: &str) -> bool {
        let first = name.split('.').next();
        self.except.iter().any(|keys| keys.first().map(String::as_str) == first)
    }

    /// Appends the JSON text of a record, `name` being empty, or of a field without what is to be
    /// left out of it.
    pub(crate) fn prune(&self, out: &mut Vec<u8>, name: &str, json: &str) {
        let prefix: Vec<&str> = name.split('.').filter(|key| !key.is_empty()).collect();
        let below = |keys: &'_ Vec<String>| {
            let matches =
                keys.len() > prefix.len() && keys.iter().zip(&prefix).all(|(a, b)| a == b);
            matches.then_some(prefix.len())
        };
        let paths: Vec<&[String]> = self
            .except
            .iter()
            .filter_map(|keys| below(keys).and_then(|start| keys.get(start..)))
            .collect();
        prune(out, json, &paths);
    }
}

/// The keys that lead to a field that is left out.
fn keys(name: &str) -> anyhow::Result<Vec<String>> {
    let full = Column::parse(name)?.name();
    if full.contains(['[', '"', '\'']) {
        bail!("--fields cannot leave out {name:?}; only names with dots can be left out");
    }
    Ok(full.split('.').map(str::to_owned).collect())
}

/// The parts between commas that are not within quotes or brackets.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let (mut quote, mut depth) = (None, 0_usize);
    let is_separator = |c: char| {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.saturating_sub(1),
            (None, ',') => return depth == 0,
            (None, _) => {}
        }
        false
    };
    text.split(is_separator).map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_commas_outside_of_quotes() {
        assert_eq!(split("a, b,-c"), ["a", "b", "-c"]);
        assert_eq!(split(r#"data."a,b",data['c,d'],e"#), [r#"data."a,b""#, "data['c,d']", "e"]);
    }

    #[test]
    fn fields_are_those_named_without_those_left_out() {
        let names = |text: &str| -> (Vec<String>, Vec<Vec<String>>) {
            let fields = Fields::new(text).unwrap();
            let only =
                fields.only().map(|only| only.iter().map(|(name, _)| name.clone()).collect());
            (only.unwrap_or_default(), fields.except)
        };
        assert_eq!(names("ts,status,message").0, ["timestamp", "statusCode", "message"]);
        assert_eq!(names("url,bytes,-url").0, ["bytes"]);
        assert_eq!(names("-data.user").1, [["data", "user"]]);
        let message = |text: &str| Fields::new(text).unwrap_err().to_string();
        assert_eq!(message("status,url,statusCode"), "--fields names statusCode twice");
        assert!(message("statusCod").contains("statusCode"));
        assert!(message(",").contains("names no field"));
        assert!(message("-data[0]").contains("cannot leave out"));
    }

    #[test]
    fn pruning_starts_at_the_field() {
        let fields = Fields::new("-data.a.b,-url").unwrap();
        let pruned = |name: &str, json: &str| {
            let mut out = Vec::new();
            fields.prune(&mut out, name, json);
            String::from_utf8(out).unwrap()
        };
        let record = r#"{"url":"/","data":{"a":{"b":1,"c":2}}}"#;
        assert_eq!(pruned("", record), r#"{"data":{"a":{"c":2}}}"#);
        assert_eq!(pruned("data", r#"{"a":{"b":1,"c":2}}"#), r#"{"a":{"c":2}}"#);
        assert_eq!(pruned("data.a", r#"{"b":1,"c":2}"#), r#"{"c":2}"#);
        assert_eq!(pruned("error", r#"{"a":{"b":1}}"#), r#"{"a":{"b":1}}"#);
    }
}
