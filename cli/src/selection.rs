//! From the words of the command line to a filter of the reader: levels, types, workers, requests,
//! addresses, text.

use anyhow::Context as _;
use logq_format::LevelSet;
use logq_query::words::{self, Types, WordError};
use logq_query::{Grep, GrepOptions};
use logq_reader::{Criteria, OwnedFilter};

use crate::args::FilterArguments;

/// Which records are wanted, apart from time and expressions.
pub(crate) fn selection(arguments: &FilterArguments) -> anyhow::Result<OwnedFilter> {
    let levels = arguments.level.as_deref().map(words::levels);
    let types = (!arguments.types.is_empty()).then(|| Types::new(&arguments.types));
    let criteria = Criteria {
        types: types.transpose()?,
        workers: each(&arguments.workers, words::worker)?,
        requests: each(&arguments.requests, words::request)?,
        networks: each(&arguments.addresses, words::network)
            .context("cannot read the addresses of --ip")?,
        grep: grep(arguments)?,
        levels: levels.transpose()?.unwrap_or(LevelSet::ALL),
    };
    Ok(criteria.into())
}

fn each<T>(
    words: &[String],
    read: impl Fn(&str) -> Result<T, WordError>,
) -> Result<Vec<T>, WordError> {
    words.iter().map(|word| read(word)).collect()
}

/// Reads the expression of `--grep`.
fn grep(arguments: &FilterArguments) -> anyhow::Result<Option<Grep>> {
    let options =
        GrepOptions { fixed: arguments.fixed_strings, ignore_case: arguments.ignore_case };
    let grep = arguments.grep.as_deref().map(|pattern| Grep::new(pattern, options));
    grep.transpose().context("cannot read the expression of --grep; -F searches for plain text")
}
