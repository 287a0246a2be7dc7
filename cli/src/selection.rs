//! From the words of the command line to a filter of the reader: levels, types, workers, requests,
//! addresses, text.

mod network;

use anyhow::Context as _;
use logq_format::{Event, LevelSet, Record, RecordType, RequestId, TypeSet, WorkerId};
use logq_query::words::{self, Types};
use logq_query::{Expression, Grep, GrepOptions};
use logq_reader::{Filter, Row};

use self::network::Network;
use crate::args::FilterArguments;

/// Which records are wanted, apart from time.
pub(crate) struct Selection {
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
    pub(crate) fn new(arguments: &FilterArguments) -> anyhow::Result<Self> {
        let types = match arguments.types.as_slice() {
            [] => None,
            names => Some(Types::new(names)?),
        };
        let workers = arguments.workers.iter().map(|word| words::worker(word));
        let requests = arguments.requests.iter().map(|word| words::request(word));
        let networks = arguments.addresses.iter().map(|word| Network::new(word));
        let workers: Vec<_> = workers.collect::<Result<_, _>>()?;
        let requests: Vec<_> = requests.collect::<Result<_, _>>()?;
        let networks: Vec<_> = networks.collect::<Result<_, _>>()?;
        let mut wanted_types = types.as_ref().map_or(TypeSet::ALL, Types::set);
        if !networks.is_empty() {
            // No other records have an address.
            let requests = TypeSet::EMPTY.with(RecordType::Request);
            wanted_types = TypeSet::from_bits(wanted_types.bits() & requests.bits());
        }
        let grep = grep(arguments)?;
        let body = grep.as_ref().and_then(body_predicate);
        let predicate = Late { types: types.filter(Types::is_partial), networks, grep };
        Ok(Self {
            levels: arguments.level.as_deref().map_or(Ok(LevelSet::ALL), words::levels)?,
            types: wanted_types,
            workers: (!workers.is_empty()).then_some(workers),
            requests: (!requests.is_empty()).then_some(requests),
            expression: None,
            body,
            predicate: predicate.into_predicate(),
        })
    }

    /// Adds expressions, of which all must hold.
    pub(crate) fn add_expressions(&mut self, expressions: Vec<Expression>) {
        let all = self.expression.take().into_iter().chain(expressions);
        self.expression = all.reduce(Expression::and);
    }

    pub(crate) fn filter(&self) -> Filter<'_> {
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

    /// Whether a record is wanted; what the reader finds out by itself when it is given the filter.
    pub(crate) fn matches(&self, row: &Row<'_>) -> bool {
        if !self.levels.contains(row.level()) || !self.types.contains(row.record_type()) {
            return false;
        }
        let Ok(record) = row.record() else { return false };
        let is_wanted_worker = |workers: &Vec<_>| workers.contains(&record.subject(row.origin()));
        let is_wanted_request =
            |requests: &Vec<_>| record.request_id().is_some_and(|id| requests.contains(&id));
        let holds =
            |expression: &Expression| expression.matches(&record, row.origin(), row.sequence());
        self.workers.as_ref().is_none_or(is_wanted_worker)
            && self.requests.as_ref().is_none_or(is_wanted_request)
            && self.expression.as_ref().is_none_or(holds)
            && self.predicate.as_ref().is_none_or(|predicate| predicate(row))
    }
}

/// What only the decoded record tells.
struct Late {
    types: Option<Types>,
    networks: Vec<Network>,
    grep: Option<Grep>,
}

impl Late {
    fn into_predicate(self) -> Option<Box<Predicate>> {
        if self.types.is_none() && self.networks.is_empty() && self.grep.is_none() {
            return None;
        }
        Some(Box::new(move |row| row.record().is_ok_and(|record| self.matches(row, &record))))
    }

    fn matches(&self, row: &Row<'_>, record: &Record<'_>) -> bool {
        let is_wanted_type = |types: &Types| types.matches(row.record_type(), record.event_name());
        self.types.as_ref().is_none_or(is_wanted_type)
            && (self.networks.is_empty() || self.is_wanted_address(record))
            && self.grep.as_ref().is_none_or(|grep| grep.matches(record))
    }

    fn is_wanted_address(&self, record: &Record<'_>) -> bool {
        let Event::Request(request) = &record.event else { return false };
        request.ip.is_some_and(|ip| self.networks.iter().any(|network| network.contains(ip)))
    }
}

/// Reads the expression of `--grep`.
fn grep(arguments: &FilterArguments) -> anyhow::Result<Option<Grep>> {
    let options =
        GrepOptions { fixed: arguments.fixed_strings, ignore_case: arguments.ignore_case };
    let grep = arguments.grep.as_deref().map(|pattern| Grep::new(pattern, options));
    grep.transpose().context("cannot read the expression of --grep; -F searches for plain text")
}

/// Whether a record of a block with this body may match, if that can be told.
fn body_predicate(grep: &Grep) -> Option<Box<BodyPredicate>> {
    let grep = grep.searches_bodies().then(|| grep.clone())?;
    Some(Box::new(move |body| grep.may_match_in(body)))
}
