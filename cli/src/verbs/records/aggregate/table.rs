//! Numbers for people: aligned columns, numbers in front of names, and bars behind them.

use logq_format::Timestamp;
use logq_query::{Buckets, FieldValue, Width};

use super::answered::{Answered, Line, Values, Who};
use super::bars::Ink;
use super::lines::OTHER;
use crate::output::{escape, push, zoned_time};

/// Names are padded to the longest one up to this length.
const PADDED_MAX: usize = 40;

/// Bars have at least so many columns, however narrow the screen is.
const BAR_MIN: usize = 10;

/// What stands for a number of which nothing is known, and for a value that is missing.
const UNKNOWN: &str = "-";

/// Columns under their headings.
#[derive(Debug)]
struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// What the bar behind each row shows, if there are bars.
    bars: Option<Vec<f64>>,
    has_headings: bool,
}

#[derive(Debug)]
struct Column {
    heading: String,
    is_number: bool,
}

impl Column {
    fn number(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), is_number: true }
    }

    fn name(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), is_number: false }
    }
}

/// The numbers for a screen of so many columns.
pub(super) fn text(answered: &Answered<'_>, columns: usize) -> Vec<u8> {
    if answered.lines.is_empty() {
        return Vec::new();
    }
    let aggregate = answered.aggregate;
    let has_groups = !aggregate.by.names.is_empty();
    let table = match (answered.buckets.is_some(), &aggregate.quantiles) {
        (true, None) if has_groups => across(answered, columns),
        (true, _) if !has_groups => over_time(answered),
        (false, None) if aggregate.by.names.len() == 1 => return plain(answered),
        _ => down(answered),
    };
    table.render(columns, Ink::of_environment())
}

/// A line for each value, with its count in front.
fn plain(answered: &Answered<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for line in &answered.lines {
        let names = names(answered, &line.who);
        let count = line.count.unwrap_or(0);
        push(&mut out, format_args!("{count:>12} {}\n", names.join(" ")));
    }
    out
}

/// A row for each line.
fn down(answered: &Answered<'_>) -> Table {
    let aggregate = answered.aggregate;
    let mut columns: Vec<_> = answered.buckets.iter().map(|_| Column::name("time")).collect();
    columns.push(Column::number("count"));
    let quantiles = aggregate.quantiles.iter().flat_map(|quantiles| quantiles.headings());
    columns.extend(quantiles.map(Column::number));
    columns.extend(aggregate.by.names.iter().map(Column::name));
    let row = |line: &Line| {
        let numbers = [count(line.count)].into_iter().chain(line.quantiles.iter().map(quantile));
        let names = names(answered, &line.who);
        label(answered, line.start).into_iter().chain(numbers).chain(names).collect()
    };
    let rows = answered.lines.iter().map(row).collect();
    Table { columns, rows, bars: None, has_headings: true }
}

/// A row and a bar for each stretch of time: of the count, or of the last quantile.
fn over_time(answered: &Answered<'_>) -> Table {
    let quantiles = answered.aggregate.quantiles.as_ref();
    let value = |line: &Line| match quantiles {
        None => line.count.unwrap_or(0) as f64,
        Some(_) => line.quantiles.last().copied().flatten().unwrap_or(0.0),
    };
    let bars = Some(answered.lines.iter().map(value).collect());
    Table { bars, has_headings: quantiles.is_some(), ..down(answered) }
}

/// A row for each stretch of time, a column for each group as far as they fit, and a bar of the sum.
fn across(answered: &Answered<'_>, screen: usize) -> Table {
    let stretches: Vec<&[Line]> =
        answered.lines.chunk_by(|one, next| one.start == next.start).collect();
    let labels = stretches.iter().filter_map(|lines| label(answered, lines.first()?.start));
    let mut room = screen.saturating_sub(labels.map(|label| width(&label)).max().unwrap_or(0));
    room = room.saturating_sub(BAR_MIN + 2);
    let mut shown: Vec<(&Values, String)> = Vec::new();
    for values in &answered.ranking {
        let heading = names(answered, &Who::Group(values.clone())).join(" ");
        let counts = stretches.iter().map(|lines| count_of(lines, values).to_string());
        let column = counts.map(|count| width(&count)).max().unwrap_or(0).max(width(&heading)) + 2;
        // Room for the others is kept unless there are none.
        let is_last = shown.len() + 1 == answered.ranking.len();
        let kept = if is_last { 0 } else { OTHER.len() + 2 };
        if room < column + kept && !shown.is_empty() {
            break;
        }
        room = room.saturating_sub(column);
        shown.push((values, heading));
    }
    let row = |lines: &&[Line]| Across::new(lines, &shown);
    let rows: Vec<_> = stretches.iter().map(row).collect();
    let has_others = rows.iter().any(|row| row.others > 0);
    let mut columns = vec![Column::name("time")];
    columns.extend(shown.iter().map(|(_, heading)| Column::number(heading)));
    columns.extend(has_others.then(|| Column::number(OTHER)));
    let bars = Some(rows.iter().map(Across::sum).collect());
    let cells = |(row, lines): (&Across, &&[Line])| {
        let start = lines.first().and_then(|line| line.start);
        let others = has_others.then_some(row.others);
        let counts = row.counts.iter().copied().chain(others);
        let cell = |number: u64| count(row.is_known.then_some(number));
        label(answered, start).into_iter().chain(counts.map(cell)).collect()
    };
    let rows = rows.iter().zip(&stretches).map(cells).collect();
    Table { columns, rows, bars, has_headings: true }
}

/// The counts of one stretch of time side by side.
struct Across {
    counts: Vec<u64>,
    others: u64,
    is_known: bool,
}

impl Across {
    fn new(lines: &[Line], shown: &[(&Values, String)]) -> Self {
        let counts: Vec<_> = shown.iter().map(|(values, _)| count_of(lines, values)).collect();
        let all: u64 = lines.iter().filter_map(|line| line.count).sum();
        let others = all - counts.iter().sum::<u64>();
        Self { counts, others, is_known: lines.iter().all(|line| line.count.is_some()) }
    }

    fn sum(&self) -> f64 {
        (self.counts.iter().sum::<u64>() + self.others) as f64
    }
}

/// How many records of one stretch of time are of this group.
fn count_of(lines: &[Line], values: &Values) -> u64 {
    let is_it = |line: &&Line| matches!(&line.who, Who::Group(own) if own == values);
    lines.iter().find(is_it).and_then(|line| line.count).unwrap_or(0)
}

fn label(answered: &Answered<'_>, start: Option<Timestamp>) -> Option<String> {
    answered.buckets.zip(start).map(|(buckets, start)| named(buckets, start))
}

/// How a stretch is named: by its beginning, as precisely as the width needs. `--since` reads it back
/// with the same zone.
fn named(buckets: &Buckets, start: Timestamp) -> String {
    let text = zoned_time(start, buckets.zone());
    let (date, clock) = text.split_once('T').unwrap_or((&text, ""));
    let end = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(end);
    let digits = match buckets.width() {
        Width::Days(_) => return date.to_owned(),
        Width::Micros(micros) if micros % 60_000_000 == 0 => "14:05".len(),
        Width::Micros(micros) if micros % 1_000_000 == 0 => "14:05:06".len(),
        Width::Micros(micros) if micros % 1_000 == 0 => "14:05:06.789".len(),
        Width::Micros(_) => clock.len(),
    };
    format!("{date}T{}{zone}", clock.get(..digits).unwrap_or(clock))
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(|| UNKNOWN.to_owned(), |count| count.to_string())
}

fn quantile(value: &Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// The values of a group as they are shown, safe for a terminal and on one line.
fn names(answered: &Answered<'_>, who: &Who) -> Vec<String> {
    let fields = &answered.aggregate.by.names;
    match who {
        Who::Group(values) => fields.iter().zip(values).map(|(f, value)| name(f, value)).collect(),
        Who::Other => fields.iter().take(1).map(|_| OTHER.to_owned()).collect(),
        Who::Nobody => Vec::new(),
    }
}

fn name(field: &str, value: &Option<FieldValue<'static>>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(FieldValue::Null) if field == "workerId" => "master".to_owned(),
        Some(value) => {
            let mut text = Vec::new();
            escape::push(&mut text, &value.raw());
            String::from_utf8(text).unwrap_or_default()
        }
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

impl Table {
    fn render(&self, screen: usize, ink: Ink) -> Vec<u8> {
        let widths = self.widths();
        let bars = self.bars.as_deref().unwrap_or_default();
        let used = widths.iter().map(|width| width + 2).sum::<usize>();
        let columns = screen.saturating_sub(used).max(BAR_MIN);
        let greatest = bars.iter().copied().fold(0.0, f64::max);
        let mut out = Vec::new();
        if self.has_headings {
            let headings: Vec<_> = self.columns.iter().map(|c| c.heading.as_str()).collect();
            self.write_row(&mut out, &headings, &widths, "");
        }
        for (place, row) in self.rows.iter().enumerate() {
            let cells: Vec<_> = row.iter().map(String::as_str).collect();
            let bar = bars.get(place).map(|value| ink.bar(*value, greatest, columns));
            self.write_row(&mut out, &cells, &widths, &bar.unwrap_or_default());
        }
        out
    }

    fn widths(&self) -> Vec<usize> {
        let of = |(place, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(place)).map(|cell| width(cell));
            let heading = if self.has_headings { width(&column.heading) } else { 0 };
            let widest = cells.max().unwrap_or(0).max(heading);
            if column.is_number { widest } else { widest.min(PADDED_MAX) }
        };
        self.columns.iter().enumerate().map(of).collect()
    }

    fn write_row(&self, out: &mut Vec<u8>, cells: &[&str], widths: &[usize], bar: &str) {
        let mut line = String::new();
        for ((column, cell), columns) in self.columns.iter().zip(cells).zip(widths) {
            let padding = " ".repeat(columns.saturating_sub(width(cell)));
            let (before, after) =
                if column.is_number { (padding, String::new()) } else { (String::new(), padding) };
            line += &format!("{before}{cell}{after}  ");
        }
        line += bar;
        out.extend_from_slice(line.trim_end().as_bytes());
        out.push(b'\n');
    }
}
