//! From words to a filter of the reader: levels, types, workers, requests, text.

use logq_format::LevelSet;
use logq_query::words::{self, Types, WordError};
use logq_query::{Grep, GrepOptions};
use logq_reader::{Criteria, OwnedFilter};

use super::parameters::Parameters;
use super::refusal::{Refusal, pattern, word};

/// Which records are wanted, apart from time and expressions.
pub(super) fn selection(parameters: &Parameters) -> Result<OwnedFilter, Refusal> {
    let levels = parameters.one("level")?.map(words::levels).transpose();
    let names: Vec<_> = parameters.words("type").collect();
    let types = (!names.is_empty()).then(|| Types::new(&names)).transpose();
    let criteria = Criteria {
        types: types.map_err(|error| word("type", &error))?,
        workers: each(parameters, "worker", words::worker)?,
        requests: each(parameters, "request", words::request)?,
        grep: grep(parameters)?,
        levels: levels.map_err(|error| word("level", &error))?.unwrap_or(LevelSet::ALL),
        ..Criteria::default()
    };
    Ok(criteria.into())
}

fn each<T>(
    parameters: &Parameters,
    name: &'static str,
    read: impl Fn(&str) -> Result<T, WordError>,
) -> Result<Vec<T>, Refusal> {
    parameters.words(name).map(|text| read(text).map_err(|error| word(name, &error))).collect()
}

fn grep(parameters: &Parameters) -> Result<Option<Grep>, Refusal> {
    let options = GrepOptions {
        fixed: parameters.flag("fixed")?,
        ignore_case: parameters.flag("ignore_case")?,
    };
    let Some(text) = parameters.one("grep")? else { return Ok(None) };
    Grep::new(text, options).map(Some).map_err(|error| pattern("grep", &error))
}
