//! From the words of the command line to a filter of the reader: levels, types, workers, requests,
//! addresses, text.

mod network;

use anyhow::Context as _;
use logq_format::{
    Event, LevelSet, Lifecycle, Method, Record, RecordType, RequestId, TypeSet, WorkerId,
};
use logq_query::Expression;
use logq_query::words::{self, Types};
use logq_reader::{Filter, Row};
use regex::{Regex, RegexBuilder, bytes};

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
        let grep = Grep::new(arguments)?;
        let body = grep.as_ref().and_then(Grep::body_predicate);
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

/// Finds text in records.
#[derive(Debug)]
pub(crate) struct Grep {
    regex: Regex,
    /// The same for bytes that are more than one text; `None` where that would not find the same.
    in_bodies: Option<bytes::Regex>,
}

impl Grep {
    /// Compiles the expression of `--grep`; one without upper-case letters matches either case.
    fn new(arguments: &FilterArguments) -> anyhow::Result<Option<Self>> {
        let Some(pattern) = arguments.grep.as_deref() else { return Ok(None) };
        let has_upper_case = match arguments.fixed_strings {
            true => pattern.chars().any(char::is_uppercase),
            false => has_upper_case_letter(pattern),
        };
        let escaped = arguments.fixed_strings.then(|| regex::escape(pattern));
        let pattern = escaped.as_deref().unwrap_or(pattern);
        let in_either_case = arguments.ignore_case || !has_upper_case;
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(in_either_case)
            .build()
            .context("cannot read the expression of --grep; -F searches for plain text")?;
        let in_bodies = in_bodies(pattern, in_either_case, &regex);
        Ok(Some(Self { regex, in_bodies }))
    }

    /// Whether any text of the record matches: url, data, error, properties, DEBUG entries, event.
    fn matches(&self, record: &Record<'_>) -> bool {
        let mut found = false;
        crate::output::for_each_text(record, |text| found = found || self.regex.is_match(text));
        found
    }

    /// Whether a record of a block with this body may match, if that can be told.
    fn body_predicate(&self) -> Option<Box<BodyPredicate>> {
        let regex = self.in_bodies.clone()?;
        Some(Box::new(move |body| regex.is_match(body)))
    }
}

/// The expression for the bodies of blocks, which finds something wherever a text of a record in it
/// matches.
///
/// There is none for expressions that look at what is around a match, since in a body that is
/// another text, and for those that match words which bodies do not have.
fn in_bodies(pattern: &str, in_either_case: bool, regex: &Regex) -> Option<bytes::Regex> {
    let parsed = regex_syntax::Parser::new().parse(pattern).ok()?;
    if !parsed.properties().look_set().is_empty() || words_of_codes().any(|w| regex.is_match(w)) {
        return None;
    }
    bytes::RegexBuilder::new(pattern).case_insensitive(in_either_case).build().ok()
}

/// The texts that records have and that are numbers in blocks.
fn words_of_codes() -> impl Iterator<Item = &'static str> {
    let steps = Lifecycle::ALL.into_iter().map(Lifecycle::as_str);
    let events = ["WORKER_SPAWNED", "WORKER_EXITED", "UNCAUGHT_EXCEPTION"];
    Method::names().chain(steps).chain(events)
}

/// Whether an expression asks for an upper-case letter: one that is not part of an escape such as
/// `\S`, `\W` or `\pL`.
fn has_upper_case_letter(pattern: &str) -> bool {
    let mut escaped = false;
    pattern.chars().any(|c| {
        let is_letter = !escaped && c.is_uppercase();
        escaped = !escaped && c == '\\';
        is_letter
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_searched_where_that_finds_the_same() {
        let is_searched = |pattern: &str| {
            let grep = Some(pattern.to_owned());
            let arguments = FilterArguments { grep, ..FilterArguments::default() };
            Grep::new(&arguments).unwrap().unwrap().in_bodies.is_some()
        };
        for pattern in ["timeout", "time.ut|refused", "[^a]b", r"\d+ ms", "Ünïcode", "a.*b"] {
            assert!(is_searched(pattern), "{pattern}");
        }
        // What is around a match is another text in a body; methods and events are not in bodies.
        for pattern in ["^/cart", "end$", r"\bword\b", "(?m)^x", "", "x*", "get", "EXIT", "pa"] {
            assert!(!is_searched(pattern), "{pattern}");
        }
    }

    #[test]
    fn classes_are_no_upper_case_letters() {
        assert!(has_upper_case_letter("Error"));
        assert!(has_upper_case_letter(r"\\Error"));
        assert!(!has_upper_case_letter(r"\Serror\W"));
        assert!(!has_upper_case_letter("error"));
    }
}
