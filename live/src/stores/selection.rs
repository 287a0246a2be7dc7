//! From words to a filter of the reader: levels, types, workers, requests, expressions, text.

use logq_format::{LevelSet, Record, RequestId, TypeSet, WorkerId};
use logq_query::words::{self, Types};
use logq_query::{Expression, Grep, GrepOptions};
use logq_reader::{Filter, Row};

use super::parameters::Parameters;
use super::refusal::{Refusal, pattern, word};

/// Which records are wanted, apart from time.
pub(super) struct Selection {
    levels: LevelSet,
    types: TypeSet,
    workers: Option<Vec<Option<WorkerId>>>,
    requests: Option<Vec<RequestId>>,
    expression: Option<Expression>,
    body: Option<Box<BodyPredicate>>,
    predicate: Option<Box<Predicate>>,
}

/// The part of a question that needs the whole record.
type Predicate = dyn Fn(&Row<'_>) -> bool + Send + Sync;

/// What the bytes of a block's body tell of it.
type BodyPredicate = dyn Fn(&[u8]) -> bool + Send + Sync;

impl Selection {
    pub(super) fn new(parameters: &Parameters) -> Result<Self, Refusal> {
        let levels = parameters.one("level")?.map_or(Ok(LevelSet::ALL), words::levels);
        let names: Vec<_> = parameters.words("type").collect();
        let types = (!names.is_empty()).then(|| Types::new(&names)).transpose();
        let types = types.map_err(|error| word("type", &error))?;
        let workers: Result<Vec<_>, _> = parameters.words("worker").map(words::worker).collect();
        let workers = workers.map_err(|error| word("worker", &error))?;
        let requests: Result<Vec<_>, _> = parameters.words("request").map(words::request).collect();
        let requests = requests.map_err(|error| word("request", &error))?;
        let wanted_types = types.as_ref().map_or(TypeSet::ALL, Types::set);
        let grep = grep(parameters)?;
        let body = grep.as_ref().and_then(body_predicate);
        let late = Late { types: types.filter(Types::is_partial), grep };
        Ok(Self {
            levels: levels.map_err(|error| word("level", &error))?,
            types: wanted_types,
            workers: (!workers.is_empty()).then_some(workers),
            requests: (!requests.is_empty()).then_some(requests),
            expression: None,
            body,
            predicate: late.into_predicate(),
        })
    }

    /// Adds an expression that must hold, too.
    pub(super) fn add(&mut self, expression: Expression) {
        self.expression = Some(match self.expression.take() {
            Some(other) => other.and(expression),
            None => expression,
        });
    }

    pub(super) fn filter(&self) -> Filter<'_> {
        Filter {
            levels: self.levels,
            types: self.types,
            workers: self.workers.clone(),
            requests: self.requests.clone(),
            expression: self.expression.as_ref(),
            body: self.body.as_ref().map(|body| {
                let body: &(dyn Fn(&[u8]) -> bool + Sync) = &**body;
                body
            }),
            predicate: self.predicate.as_ref().map(|predicate| {
                let predicate: &(dyn Fn(&Row<'_>) -> bool + Sync) = &**predicate;
                predicate
            }),
        }
    }
}

fn grep(parameters: &Parameters) -> Result<Option<Grep>, Refusal> {
    let options = GrepOptions {
        fixed: parameters.flag("fixed")?,
        ignore_case: parameters.flag("ignore_case")?,
    };
    let Some(text) = parameters.one("grep")? else { return Ok(None) };
    Grep::new(text, options).map(Some).map_err(|error| pattern("grep", &error))
}

/// Whether a record of a block with this body may match, if that can be told.
fn body_predicate(grep: &Grep) -> Option<Box<BodyPredicate>> {
    let grep = grep.searches_bodies().then(|| grep.clone())?;
    Some(Box::new(move |body| grep.may_match_in(body)))
}

/// What only the decoded record tells.
struct Late {
    types: Option<Types>,
    grep: Option<Grep>,
}

impl Late {
    fn into_predicate(self) -> Option<Box<Predicate>> {
        if self.types.is_none() && self.grep.is_none() {
            return None;
        }
        Some(Box::new(move |row| row.record().is_ok_and(|record| self.matches(row, &record))))
    }

    fn matches(&self, row: &Row<'_>, record: &Record<'_>) -> bool {
        let is_wanted_type = |types: &Types| types.matches(row.record_type(), record.event_name());
        self.types.as_ref().is_none_or(is_wanted_type)
            && self.grep.as_ref().is_none_or(|grep| grep.matches(record))
    }
}
