//! The words of `--by`, `--quantile` and `--of`.

use std::cmp::Ordering;

use anyhow::{Context as _, bail};
use logq_format::RecordType;
use logq_query::{FieldPath, FieldValue};
use logq_reader::Sketch;

use crate::output::split_names;

/// More quantiles than anybody reads.
const QUANTILES_MAX: usize = 20;

/// The fields whose values tell groups apart.
#[derive(Clone, Debug, Default)]
pub(super) struct By {
    pub(super) names: Vec<String>,
    pub(super) fields: Vec<FieldPath>,
}

impl By {
    /// Reads names between commas.
    ///
    /// # Errors
    ///
    /// Says which name is no field.
    pub(super) fn new(text: &str) -> anyhow::Result<Self> {
        let mut by = Self::default();
        for name in split_names(text).into_iter().filter(|name| !name.is_empty()) {
            let field = FieldPath::parse(name)?;
            let name = field.to_string();
            if by.names.contains(&name) {
                bail!("--by names {name} twice");
            }
            by.names.push(name);
            by.fields.push(field);
        }
        if by.names.is_empty() {
            bail!("--by names no field; expected names such as level, statusCode or data.user.id");
        }
        Ok(by)
    }

    /// Whether there are few values, whose own order says more than their counts.
    pub(super) fn is_ranked_by_value(&self) -> bool {
        let is_scale =
            |name: &String| ["level", "type", "statusCode", "workerId"].contains(&name.as_str());
        self.names.iter().all(is_scale)
    }

    /// The order of two groups by their values: null before numbers before text, what is missing last.
    pub(super) fn compare(
        &self,
        one: &[Option<FieldValue<'_>>],
        other: &[Option<FieldValue<'_>>],
    ) -> Ordering {
        let pairs = self.names.iter().zip(one).zip(other);
        let mut orders = pairs.map(|((name, one), other)| match (one, other) {
            (Some(one), Some(other)) if name == "type" => type_place(one).cmp(&type_place(other)),
            (Some(one), Some(other)) => compare(one, other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        });
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// The place of a type among all of them.
fn type_place(value: &FieldValue<'_>) -> usize {
    let name = value.raw();
    RecordType::ALL.iter().position(|known| known.as_str() == name).unwrap_or(usize::MAX)
}

fn compare(one: &FieldValue<'_>, other: &FieldValue<'_>) -> Ordering {
    use FieldValue as V;
    let rank = |value: &V<'_>| match value {
        V::Null => 0,
        V::Bool(_) => 1,
        V::Integer(_) | V::Number(_) | V::Micros(_) => 2,
        V::Json(_) => 4,
        _ => 3,
    };
    rank(one).cmp(&rank(other)).then_with(|| match (one, other) {
        (V::Integer(one), V::Integer(other)) => one.cmp(other),
        (V::Level(one), V::Level(other)) => one.cmp(other),
        (V::Address(one), V::Address(other)) => one.cmp(other),
        (V::Request(one), V::Request(other)) => one.cmp(other),
        (V::Time(one), V::Time(other)) => one.cmp(other),
        _ => {
            let numbers = one.as_f64().zip(other.as_f64());
            let by_number = numbers.map_or(Ordering::Equal, |(one, other)| one.total_cmp(&other));
            by_number.then_with(|| one.raw().cmp(&other.raw()))
        }
    })
}

/// Which quantiles are wanted, and of what.
#[derive(Clone, Debug)]
pub(super) struct Quantiles {
    /// Each with its name: `p50`.
    percents: Vec<(String, f64)>,
    pub(super) of: FieldPath,
}

impl Quantiles {
    /// Reads percents between commas and the name of a number.
    ///
    /// # Errors
    ///
    /// Says which percent or name cannot be read.
    pub(super) fn new(list: &str, of: &str) -> anyhow::Result<Self> {
        let words = list.split(',').map(str::trim).filter(|word| !word.is_empty());
        let percents = words.map(percent).collect::<anyhow::Result<Vec<_>>>()?;
        if percents.is_empty() || percents.len() > QUANTILES_MAX {
            bail!("--quantile takes 1 to {QUANTILES_MAX} percents such as 50,95,99.9");
        }
        let of = FieldPath::parse(of).context("cannot read --of")?;
        if !may_be_number(&of) {
            bail!(
                "{of} is no number; --of takes durationMs, bytes, statusCode or a path into data"
            );
        }
        Ok(Self { percents, of })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.percents.iter().map(|(name, _)| name.as_str())
    }

    /// The quantiles of what was counted, in the order of their names.
    pub(super) fn of(&self, sketch: Option<&Sketch>) -> Vec<Option<f64>> {
        let quantile = |percent: f64| sketch.and_then(|sketch| sketch.quantile(percent));
        self.percents.iter().map(|(_, percent)| quantile(*percent)).collect()
    }

    /// The names with the unit, for people.
    pub(super) fn headings(&self) -> impl Iterator<Item = String> {
        let unit = if self.of.to_string() == "durationMs" { " ms" } else { "" };
        self.names().map(move |name| format!("{name}{unit}"))
    }
}

fn percent(word: &str) -> anyhow::Result<(String, f64)> {
    let digits = word.strip_prefix(['p', 'P']).unwrap_or(word);
    let digits = digits.strip_suffix('%').unwrap_or(digits);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match digits.parse() {
        Ok(percent) if is_plain && (0.0..=100.0).contains(&percent) => {
            Ok((format!("p{percent}"), percent))
        }
        _ => bail!("cannot read {word:?} of --quantile; expected percents such as 50,95,99.9"),
    }
}

/// Whether a field can hold a number.
fn may_be_number(field: &FieldPath) -> bool {
    const NUMBERS: [&str; 7] =
        ["durationMs", "bytes", "statusCode", "exitCode", "seq", "workerId", "writer"];
    let name = field.to_string();
    NUMBERS.contains(&name.as_str()) || name.starts_with("data") || name.starts_with("error.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_in_json_or_shorter() {
        let names = |text| By::new(text).unwrap().names;
        assert_eq!(names("status, worker,data.a[0]"), ["statusCode", "workerId", "data.a[0]"]);
        assert_eq!(names("Section"), ["section"]);
        let message = |text| By::new(text).unwrap_err().to_string();
        assert!(message("lvel").contains("did you mean level?"), "{}", message("lvel"));
        assert!(message("sectoin").contains("did you mean section?"), "{}", message("sectoin"));
        assert!(message("level,LEVEL").contains("twice"));
        assert!(message(",").contains("no field"));
    }

    #[test]
    fn percents_are_numbers_from_0_to_100() {
        let check = |list, expected: &[&str]| {
            let quantiles = Quantiles::new(list, "ms").unwrap();
            assert_eq!(quantiles.names().collect::<Vec<_>>(), expected);
        };
        check("50,95,99.9", &["p50", "p95", "p99.9"]);
        check("p0, 100%", &["p0", "p100"]);
        for list in ["", "101", "-1", "x", "1e1", "nan", "50;95"] {
            assert!(Quantiles::new(list, "ms").is_err(), "{list}");
        }
        let message = Quantiles::new("50", "url").unwrap_err().to_string();
        assert!(message.contains("url is no number"), "{message}");
    }

    #[test]
    fn values_have_one_order() {
        let text = |text: &'static str| FieldValue::Text(text.into());
        let number = |text: &'static str| FieldValue::Number(text.into());
        let values = [
            FieldValue::Null,
            FieldValue::Bool(false),
            FieldValue::Bool(true),
            number("-2"),
            number("1"),
            number("1.0"),
            number("10"),
            text("10"),
            text("9"),
            FieldValue::Json("[]".into()),
        ];
        for (place, one) in values.iter().enumerate() {
            for (other_place, other) in values.iter().enumerate() {
                assert_eq!(compare(one, other), place.cmp(&other_place), "{one} {other}");
            }
        }
    }
}
