//! The query part of an address: names and values, decoded, known and within limits.

use std::str::FromStr;

use crate::problem::Problem;

/// More parameters than any question has.
const PARAMETERS_MAX: usize = 64;

/// The decoded parameters of a request. A parameter without a value is as if it were not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Decodes `query`, which may have the `known` names and no others: a name that is misspelt must
    /// not silently widen an answer.
    pub(crate) fn parse(query: &str, known: &[&'static str]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .take(PARAMETERS_MAX + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > PARAMETERS_MAX {
            return Err(Problem::bad_request("too many parameters"));
        }
        if pairs.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            return Err(Problem::bad_request(match known {
                [] => "unknown parameter; there are none here".to_owned(),
                known => format!("unknown parameter; there are {}", known.join(", ")),
            }));
        }
        Ok(Self(pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()))
    }

    /// The value of a parameter that may be there once.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        let value = values.next();
        match values.next() {
            Some(_) => Err(Problem::bad_request(format!("{name}: it is there twice"))),
            None => Ok(value),
        }
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The words between commas of all values of a parameter.
    pub(crate) fn words(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let words = self.all(name).flat_map(|value| value.split(','));
        words.map(str::trim).filter(|word| !word.is_empty())
    }

    /// Whether a parameter is set: `1` or `true`, against `0` or `false`.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(Problem::bad_request(format!("{name}: expected 1 or 0"))),
        }
    }

    /// A number of at least `least` and at most `most`.
    pub(crate) fn number<N: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        name: &'static str,
        least: N,
        most: N,
    ) -> Result<Option<N>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        match text.parse::<N>() {
            Ok(number) if least <= number && number <= most => Ok(Some(number)),
            _ => Err(Problem::bad_request(format!(
                "{name}: expected a number from {least} to {most}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["level", "where", "limit", "follow"];

    fn parse(query: &str) -> Result<Parameters, Problem> {
        Parameters::parse(query, KNOWN)
    }

    #[test]
    fn values_are_decoded_as_forms_encode_them() {
        let parameters =
            parse("where=status+%3E%3D+500&level=&where=url+%7E+%22%C3%BC%22").unwrap();
        let all: Vec<_> = parameters.all("where").collect();
        assert_eq!(all, ["status >= 500", "url ~ \"ü\""]);
        assert_eq!(parameters.one("level").unwrap(), None, "an empty value is none");
        // What is no UTF-8 is replaced, never trusted.
        assert_eq!(parse("level=%ff").unwrap().one("level").unwrap(), Some("\u{fffd}"));
    }

    #[test]
    fn what_is_wrong_is_told_without_repeating_it() {
        let refused = |query: &str| parse(query).unwrap_err().text().to_owned();
        assert_eq!(
            refused("<script>=1"),
            "unknown parameter; there are level, where, limit, follow"
        );
        let twice = parse("level=a&level=b").unwrap();
        assert!(twice.one("level").unwrap_err().text().contains("twice"));
        let wrong = parse("limit=<b>&follow=yes").unwrap();
        let limit = wrong.number("limit", 1_u64, 9).unwrap_err();
        assert_eq!(limit.text(), "limit: expected a number from 1 to 9");
        assert_eq!(wrong.flag("follow").unwrap_err().text(), "follow: expected 1 or 0");
        assert_eq!(refused(&"level=a&".repeat(100)), "too many parameters");
    }
}
