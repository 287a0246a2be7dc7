//! From the words of the command line to a filter of the reader: levels, types, workers, requests,
//! text.

use anyhow::Context as _;
use logq_format::{LevelSet, Record, RequestId, TypeSet, WorkerId};
use logq_query::words::{self, Types};
use logq_reader::{Filter, Row};
use regex::{Regex, RegexBuilder};

use crate::args::FilterArguments;

/// Which records are wanted, apart from time.
pub(crate) struct Selection {
    levels: LevelSet,
    types: TypeSet,
    workers: Option<Vec<Option<WorkerId>>>,
    requests: Option<Vec<RequestId>>,
    predicate: Option<Box<Predicate>>,
}

/// The part of a question that needs the whole record.
type Predicate = dyn Fn(&Row<'_>) -> bool + Send + Sync;

impl Selection {
    pub(crate) fn new(arguments: &FilterArguments) -> anyhow::Result<Self> {
        let types = match arguments.types.as_slice() {
            [] => None,
            names => Some(Types::new(names)?),
        };
        let workers = arguments.workers.iter().map(|word| words::worker(word));
        let requests = arguments.requests.iter().map(|word| words::request(word));
        let workers: Vec<_> = workers.collect::<Result<_, _>>()?;
        let requests: Vec<_> = requests.collect::<Result<_, _>>()?;
        Ok(Self {
            levels: arguments.level.as_deref().map_or(Ok(LevelSet::ALL), words::levels)?,
            types: types.as_ref().map_or(TypeSet::ALL, Types::set),
            workers: (!workers.is_empty()).then_some(workers),
            requests: (!requests.is_empty()).then_some(requests),
            predicate: predicate(
                types.filter(Types::is_partial),
                arguments.grep.as_deref().map(Grep::new).transpose()?,
            ),
        })
    }

    pub(crate) fn filter(&self) -> Filter<'_> {
        Filter {
            levels: self.levels,
            types: self.types,
            workers: self.workers.clone(),
            requests: self.requests.clone(),
            predicate: self.predicate.as_ref().map(|predicate| {
                let predicate: &(dyn Fn(&Row<'_>) -> bool + Sync) = &**predicate;
                predicate
            }),
        }
    }
}

fn predicate(types: Option<Types>, grep: Option<Grep>) -> Option<Box<Predicate>> {
    if types.is_none() && grep.is_none() {
        return None;
    }
    Some(Box::new(move |row| {
        let Ok(record) = row.record() else { return false };
        let wanted = |types: &Types| types.matches(row.record_type(), record.event_name());
        types.as_ref().is_none_or(wanted) && grep.as_ref().is_none_or(|grep| grep.matches(&record))
    }))
}

/// Finds text in records.
#[derive(Debug)]
pub(crate) struct Grep {
    regex: Regex,
}

impl Grep {
    /// Compiles an expression; one without upper-case letters matches either case.
    pub(crate) fn new(pattern: &str) -> anyhow::Result<Self> {
        let either_case = !pattern.chars().any(char::is_uppercase);
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(either_case)
            .build()
            .context("cannot read the expression of --grep")?;
        Ok(Self { regex })
    }

    /// Whether any text of the record matches: url, data, error, properties, DEBUG entries, event.
    pub(crate) fn matches(&self, record: &Record<'_>) -> bool {
        let mut found = false;
        crate::output::for_each_text(record, |text| found = found || self.regex.is_match(text));
        found
    }
}
