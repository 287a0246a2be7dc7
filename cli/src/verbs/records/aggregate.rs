//! Numbers instead of records: `--count`, `--by`, `--hist`, `--quantile`.
//!
//! ```text
//! flags ─> Aggregate ─> reader: groups ─> Answered: lines in their order ─┬─> table, bars
//!                                                                         └─> JSON, CSV
//! ```

mod answered;
mod bars;
mod columns;
mod lines;
mod live;
mod table;

use anyhow::bail;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use jiff::tz::TimeZone;
use logq_format::Timestamp;
use logq_query::{Buckets, BucketsError, Width};
use logq_reader::{Coverage, Grouping, Groups, Query, Sketch};

use self::answered::Answered;
use self::columns::{By, Quantiles};
pub(super) use self::live::run as run_live;
use super::{Answer, Asking};
use crate::liveness::Finality;
use crate::output::{Format, Output};
use crate::question::{Question, Range};

/// Flags about numbers.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct AggregateArguments {
    /// Print only the number of matching records. What headers tell is taken from them, so that records
    /// whose texts are damaged count; `logq verify` checks everything
    #[arg(short, long, conflicts_with_all = ["by", "hist", "quantile"], conflicts_with_all = ABOUT_RECORDS)]
    count: bool,

    /// Print how many matching records have which values of these fields: level, status,method,
    /// data.user.id; also `section`, the first part of the url. Responses have url, section, method
    /// and ip of their requests
    #[arg(long, value_name = "FIELD,...", conflicts_with_all = ABOUT_RECORDS)]
    by: Option<String>,

    /// With --by: only the N most frequent values, the most frequent one first
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    top: Option<u64>,

    /// Draw how many records there are over time, a bar for each DURATION; of whole days on the
    /// calendar, or what fits a screen if none is named
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with_all = ABOUT_RECORDS
    )]
    hist: Option<String>,

    /// Print these quantiles, in percent, of durationMs or the number that --of names: 50,95,99.9.
    /// Exact for up to 256 different values, else within 1 %; see --exact. A response takes the number
    /// of its end if it has none, but not with -f. Where both tell it, as of durationMs, both count: -t
    /// RESPONSE counts each request once
    #[arg(long, value_name = "PERCENT,...", conflicts_with_all = ABOUT_RECORDS)]
    quantile: Option<String>,

    /// Of which number --quantile tells: durationMs, bytes, data.queue.length
    #[arg(long, value_name = "FIELD", requires = "quantile")]
    of: Option<String>,

    /// With --quantile: exact, of up to some 450,000 different values
    #[arg(long, requires = "quantile")]
    exact: bool,
}

/// Flags that choose among records and mean nothing for numbers.
const ABOUT_RECORDS: [&str; 9] = [
    "lines",
    "reverse",
    "max_count",
    "context",
    "before_context",
    "after_context",
    "request_where",
    "list_runs",
    "template",
];

impl AggregateArguments {
    /// Asks for so many of the most frequent values of fields.
    pub(super) fn most_frequent(&mut self, fields: &str, most: Option<u64>) {
        self.by = Some(fields.to_owned());
        self.top = most;
    }

    /// How many values are wanted, if that is said.
    pub(super) fn most(&self) -> Option<u64> {
        self.top
    }

    /// Whether fields are named.
    pub(super) fn has_fields(&self) -> bool {
        self.by.is_some()
    }

    /// Asks for bars over time.
    pub(super) fn draw(&mut self) {
        self.hist.get_or_insert_default();
    }

    /// Whether numbers are asked for.
    pub(super) fn is_any(&self) -> bool {
        self.count || self.by.is_some() || self.hist.is_some() || self.quantile.is_some()
    }

    /// What is asked for, if numbers are.
    ///
    /// # Errors
    ///
    /// Says which word cannot be read.
    pub(super) fn wanted(&self, format: Format) -> anyhow::Result<Option<Aggregate>> {
        if self.top.is_some() && self.by.is_none() {
            bail!(
                "--top is about the values of fields; name them with --by, as in --by url --top 5"
            );
        }
        if !self.is_any() {
            return Ok(None);
        }
        if !self.count
            && !matches!(format, Format::Short | Format::Iso | Format::Csv)
            && !format.is_json()
        {
            bail!("numbers are printed with -o short, json, json-seq, sse or csv");
        }
        let width = self.hist.as_deref().filter(|text| !text.is_empty());
        let of = self.of.as_deref().unwrap_or("durationMs");
        Ok(Some(Aggregate {
            by: self.by.as_deref().map_or(Ok(By::default()), By::new)?,
            top: self.top.map(|top| usize::try_from(top).unwrap_or(usize::MAX)),
            has_bars: self.hist.is_some(),
            width: width.map(bar_width).transpose()?,
            quantiles: self.quantile.as_deref().map(|list| Quantiles::new(list, of)).transpose()?,
            is_count: self.count,
            is_exact: self.exact,
        }))
    }
}

/// The width that `--hist` names.
fn bar_width(text: &str) -> anyhow::Result<Width> {
    Width::parse(text).map_err(|error| match error {
        BucketsError::Width(error) => error.into(),
        other => anyhow::anyhow!("--hist={text}: {other}"),
    })
}

/// Which numbers are asked for.
pub(super) struct Aggregate {
    by: By,
    top: Option<usize>,
    has_bars: bool,
    /// How long a bar lasts, if that is named.
    width: Option<Width>,
    quantiles: Option<Quantiles>,
    /// Whether the number of records is all that is wanted.
    is_count: bool,
    /// Whether quantiles are to be exact.
    is_exact: bool,
}

/// What the time of an answer is known to hold.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Nothing is known of what was before.
    from: Option<Timestamp>,
    /// Nothing is known of what comes from here on.
    until: Option<Timestamp>,
}

impl Known {
    fn new(coverage: &Coverage, finality: &Finality) -> Self {
        Self { from: coverage.first, until: finality.end(coverage) }
    }

    /// Whether nothing is known of a stretch of time.
    fn is_outside(self, start: Timestamp, end: Timestamp) -> bool {
        self.from.is_none_or(|from| end <= from) || self.until.is_none_or(|until| start >= until)
    }
}

impl Aggregate {
    fn grouping<'g>(&'g self, buckets: Option<&'g Buckets>) -> Grouping<'g> {
        Grouping {
            by: &self.by.fields,
            edges: buckets.map(|buckets| buckets.edges()),
            measure: self.quantiles.as_ref().map(|quantiles| &quantiles.of),
            exact: self.is_exact,
        }
    }

    /// Tells that the fields asked for are in different records.
    fn apart(&self) -> String {
        let measure = self.quantiles.as_ref().map(|quantiles| quantiles.of.to_string());
        let names: Vec<_> = self.by.names.iter().cloned().chain(measure).collect();
        format!("no kind of record asked for has {} at once", names.join(" and "))
    }

    /// Why nothing was counted, if that is for the fields that were asked for.
    fn why_empty(
        &self,
        query: &Query<'_>,
        grouping: &Grouping<'_>,
        groups: &Groups,
    ) -> Option<String> {
        let measure = grouping.measure.map(ToString::to_string);
        match (groups.numberless(), measure) {
            _ if !grouping.is_of_one_type(query) && !grouping.borrows(query) => Some(self.apart()),
            (1.., Some(measure)) => {
                let count = groups.numberless();
                Some(format!(
                    "none of {count} matching records has {measure}; --of names another number"
                ))
            }
            _ => None,
        }
    }

    /// Tells what memory did not suffice for: that there were more groups than are told apart, or more
    /// values than exact quantiles are kept of.
    fn tell_limits(&self, groups: &Groups) {
        let others: u64 = groups.other().map(|group| group.count).sum();
        if others > 0 {
            let known = groups.len();
            tell!(
                "logq: more than {known} different values: {others} records of others are told as \
                 (other)"
            );
        }
        if self.is_exact && !groups.is_exact() {
            tell!(
                "logq: there are more different values than memory is kept for: quantiles are within \
                 1 %; a shorter range, or fewer groups, have fewer"
            );
        }
    }

    /// No records so far.
    fn groups(&self) -> Groups {
        // Where the stretches of time lie makes no difference to what is kept.
        let edges = self.has_bars.then_some([].as_slice());
        Groups::new(&Grouping { edges, ..self.grouping(None) })
    }

    /// The quantiles of what was counted, if any are wanted.
    fn quantiles(&self, sketch: Option<&Sketch>) -> Vec<Option<f64>> {
        self.quantiles.as_ref().map_or_else(Vec::new, |quantiles| quantiles.of(sketch))
    }

    /// The stretches of time of the bars, if there are to be any. Without a range and without
    /// records there are none.
    fn buckets(
        &self,
        range: Range,
        coverage: &Coverage,
        zone: &TimeZone,
    ) -> anyhow::Result<Option<Buckets>> {
        if !self.has_bars {
            return Ok(None);
        }
        let last = coverage.last.map(|last| last.saturating_add_micros(1));
        let (Some(from), Some(until)) = (range.since.or(coverage.first), range.until.or(last))
        else {
            return Ok(None);
        };
        let buckets = Buckets::new(self.width, zone, from, until.max(from));
        buckets.map(Some).map_err(|error| anyhow::anyhow!("--hist {error}"))
    }
}

/// Prints the numbers that are asked for.
pub(super) fn print(
    asking: &Asking<'_>,
    aggregate: &Aggregate,
    format: Format,
    out: &mut Output,
) -> anyhow::Result<Answer> {
    let question = asking.question;
    if aggregate.is_count {
        return count(question, format, out);
    }
    let query = question.query().narrowed();
    let coverage = question.snapshot.coverage();
    let range = Range { since: query.since, until: query.until };
    let buckets = aggregate.buckets(range, coverage, &question.zone)?;
    if aggregate.has_bars && buckets.is_none() {
        let (found, report) = question.snapshot.count(&query)?;
        return Ok(Answer { found, report });
    }
    let grouping = aggregate.grouping(buckets.as_ref());
    let (groups, report) = question.snapshot.group(&query, &grouping)?;
    let why = Some(&groups).filter(|groups| groups.is_empty());
    if let Some(why) = why.and_then(|groups| aggregate.why_empty(&query, &grouping, groups)) {
        tell!("logq: {why}");
    }
    let known = Known::new(coverage, &question.finality);
    let answered = Answered::new(aggregate, &groups, buckets.as_ref(), known);
    aggregate.tell_limits(&groups);
    // A failure is told by `finish`.
    let _ = asking.stages.render.time(|| out.write(&answered.text(format, bars::screen_width())));
    Ok(Answer { found: groups.records(), report })
}

/// Prints how many records there are.
fn count(question: &Question, format: Format, out: &mut Output) -> anyhow::Result<Answer> {
    let (count, report) = question.snapshot.count(&question.query())?;
    // A failure is told by `finish`.
    let _ = out.write(&lines::count(count, format));
    Ok(Answer { found: count, report })
}
