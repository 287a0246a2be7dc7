//! Comma-separated values whose header names the columns, in any order.
//!
//! Fields may be quoted, quotes in them doubled, and a quoted field may contain line feeds; so a
//! record can take several lines. A quote that nobody closes costs its line and no more: the next
//! line that is a whole record by itself ends the broken one.

use std::borrow::Cow;

use super::names::{Field, Fields, field, suffices};
use super::time::Times;
use super::{ParseError, Parsed, Reason};
use crate::hit::Hit;
use crate::lines::EXCERPT_BYTES;

/// The columns of the seed's sample, for files that begin without a header:
/// `"remotehost","rfc931","authuser","date","request","status","bytes"`.
const ASSUMED: [Field; 7] = [
    Field::Client,
    Field::Skip,
    Field::Skip,
    Field::Time,
    Field::Request,
    Field::Status,
    Field::Bytes,
];

/// The most bytes that a record may take over several lines.
const RECORD_BYTES_MAX: usize = 64 << 10;
/// The most columns that a header may name.
const COLUMNS_MAX: usize = 1_000;

/// What is known of a file's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Csv {
    columns: Option<Columns>,
    is_assumed: bool,
    /// A record whose quoted field goes on in the next line.
    begun: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    header: Vec<u8>,
    fields: Vec<Field>,
    delimiter: u8,
}

/// A record, or the begin of one.
enum Record<'a> {
    Whole(Hit<'a>),
    Open,
}

impl Csv {
    /// Reads a line.
    pub(super) fn parse<'a>(
        &mut self,
        line: &'a [u8],
        times: &mut Times,
    ) -> Result<Parsed<'a>, ParseError> {
        let Some(columns) = &self.columns else { return self.begin(line, times) };
        if !self.begun.is_empty() {
            return self.go_on(line, times);
        }
        if line.trim_ascii().is_empty() || line == columns.header {
            return Ok(Parsed::Nothing);
        }
        match columns.record(line, times) {
            Ok(Record::Whole(hit)) => Ok(Parsed::Hit(hit)),
            Ok(Record::Open) => {
                self.begun.extend_from_slice(line);
                Ok(Parsed::Nothing)
            }
            // Files of different servers one after the other.
            Err(error) => match Columns::of_header(line) {
                Some(columns) => {
                    self.columns = Some(columns);
                    Ok(Parsed::Nothing)
                }
                None => Err(error),
            },
        }
    }

    /// The first bytes of a record that is begun, which is then forgotten.
    pub(super) fn take_begun(&mut self) -> Option<Box<[u8]>> {
        let begun = std::mem::take(&mut self.begun);
        (!begun.is_empty()).then(|| excerpt(&begun))
    }

    /// Whether no header named the columns.
    pub(super) fn has_assumed_columns(&self) -> bool {
        self.is_assumed
    }

    /// Reads the first line: a header, or a record in the seed's order of columns.
    fn begin<'a>(&mut self, line: &'a [u8], times: &mut Times) -> Result<Parsed<'a>, ParseError> {
        if line.trim_ascii().is_empty() {
            return Ok(Parsed::Nothing);
        }
        if let Some(columns) = Columns::of_header(line) {
            self.columns = Some(columns);
            return Ok(Parsed::Nothing);
        }
        let columns = Columns { header: Vec::new(), fields: ASSUMED.to_vec(), delimiter: b',' };
        match columns.record(line, times) {
            Ok(Record::Whole(hit)) => {
                self.columns = Some(columns);
                self.is_assumed = true;
                Ok(Parsed::Hit(hit))
            }
            Ok(Record::Open) => Err(ParseError::new(Reason::OpenQuote, 0)),
            // Where columns are missing, what is missing first is their names.
            Err(ParseError { reason: Reason::Columns, .. }) => {
                Err(ParseError::new(Reason::NoHeader, 0))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a line that may be the rest of the record begun before it.
    fn go_on<'a>(&mut self, line: &'a [u8], times: &mut Times) -> Result<Parsed<'a>, ParseError> {
        let Some(columns) = &self.columns else { return Ok(Parsed::Nothing) };
        if let Ok(Record::Whole(hit)) = columns.record(line, times) {
            let broken = excerpt(&self.begun);
            self.begun.clear();
            return Ok(Parsed::HitAfterBroken(hit, broken));
        }
        if self.begun.len() + line.len() >= RECORD_BYTES_MAX {
            self.begun.clear();
            return Err(ParseError::new(Reason::OpenQuote, 0));
        }
        let mut joined = std::mem::take(&mut self.begun);
        joined.push(b'\n');
        joined.extend_from_slice(line);
        let hit = match columns.record(&joined, times)? {
            Record::Whole(hit) => Some(hit.into_owned()),
            Record::Open => None,
        };
        match hit {
            Some(hit) => Ok(Parsed::Hit(hit)),
            None => {
                self.begun = joined;
                Ok(Parsed::Nothing)
            }
        }
    }
}

fn excerpt(bytes: &[u8]) -> Box<[u8]> {
    bytes.get(..EXCERPT_BYTES).unwrap_or(bytes).into()
}

impl Columns {
    /// The columns of a header, if the line is one and names what is needed.
    fn of_header(line: &[u8]) -> Option<Self> {
        [b',', b';', b'\t'].into_iter().find_map(|delimiter| Self::of(line, delimiter))
    }

    fn of(line: &[u8], delimiter: u8) -> Option<Self> {
        let mut fields = Vec::new();
        let mut names = Cells { rest: Some(line), delimiter };
        let (mut date, mut time) = (None, None);
        while let Some(cell) = names.next() {
            let name = cell.ok()?.text();
            let name = name.trim_ascii();
            if fields.len() == COLUMNS_MAX {
                return None;
            }
            match name {
                b"date" => date = Some(fields.len()),
                b"time" => time = Some(fields.len()),
                _ => {}
            }
            fields.push(field(name));
        }
        // A day in one column and the time of day in another.
        if let (Some(date), Some(time)) = (date, time) {
            *fields.get_mut(date)? = Field::Date;
            *fields.get_mut(time)? = Field::Clock;
        }
        suffices(&fields).then(|| Self { header: line.to_vec(), fields, delimiter })
    }

    fn record<'a>(&self, line: &'a [u8], times: &mut Times) -> Result<Record<'a>, ParseError> {
        let mut fields = Fields::default();
        let mut wanted = self.fields.iter();
        let mut cells = Cells { rest: Some(line), delimiter: self.delimiter };
        loop {
            let at = line.len() - cells.rest.unwrap_or_default().len();
            let Some(cell) = cells.next() else { break };
            let Ok(cell) = cell else { return Ok(Record::Open) };
            let field = *wanted.next().unwrap_or(&Field::Skip);
            if field != Field::Skip {
                let set = fields.set(field, cell.text(), times);
                set.map_err(|reason| ParseError::new(reason, at))?;
            }
        }
        // Columns at the end that nobody reads may be missing.
        if wanted.any(|field| *field != Field::Skip) {
            return Err(ParseError::new(Reason::Columns, line.len()));
        }
        fields.hit(None).map(Record::Whole)
    }
}

/// Goes through the cells of a record.
struct Cells<'a> {
    /// What is behind the last delimiter; `None` behind the last cell.
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

struct Cell<'a> {
    text: &'a [u8],
    has_doubled_quotes: bool,
}

/// A quoted cell that the line does not end.
struct OpenCell;

impl<'a> Cell<'a> {
    fn text(&self) -> Cow<'a, [u8]> {
        if !self.has_doubled_quotes {
            return Cow::Borrowed(self.text);
        }
        let mut text = Vec::with_capacity(self.text.len());
        let mut is_second = false;
        for byte in self.text {
            is_second = *byte == b'"' && !is_second;
            if !is_second {
                text.push(*byte);
            }
        }
        Cow::Owned(text)
    }
}

impl<'a> Cells<'a> {
    fn next(&mut self) -> Option<Result<Cell<'a>, OpenCell>> {
        let rest = self.rest.take()?;
        let Some(inside) = rest.strip_prefix(b"\"") else {
            let text = self.up_to_delimiter(rest);
            return Some(Ok(Cell { text, has_doubled_quotes: false }));
        };
        let Some((cell, behind)) = quoted(inside) else { return Some(Err(OpenCell)) };
        // What stands between a closing quote and the next delimiter belongs to nobody.
        self.up_to_delimiter(behind);
        Some(Ok(cell))
    }

    fn up_to_delimiter(&mut self, text: &'a [u8]) -> &'a [u8] {
        // Behind a closing quote there is mostly nothing else.
        let is_here = text.first() == Some(&self.delimiter);
        let end = if is_here { Some(0) } else { memchr::memchr(self.delimiter, text) };
        self.rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len())).unwrap_or_default()
    }
}

/// The cell whose opening quote was before `inside`, and what is behind its closing quote.
fn quoted(inside: &[u8]) -> Option<(Cell<'_>, &[u8])> {
    let mut from = 0;
    let mut has_doubled_quotes = false;
    loop {
        let end = from + memchr::memchr(b'"', inside.get(from..)?)?;
        let behind = inside.get(end + 1..)?;
        if behind.first() != Some(&b'"') {
            return Some((Cell { text: inside.get(..end)?, has_doubled_quotes }, behind));
        }
        has_doubled_quotes = true;
        from = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#""remotehost","rfc931","authuser","date","request","status","bytes""#;

    fn show(hit: &Hit<'_>) -> String {
        let url = String::from_utf8_lossy(hit.target.url(true)).into_owned();
        format!("{} {url} {} {}", hit.second(), hit.status, hit.bytes)
    }

    /// What each line is.
    fn parse(csv: &mut Csv, lines: &[&str]) -> Vec<String> {
        let mut times = Times::default();
        let mut shown = Vec::new();
        for line in lines {
            shown.push(match csv.parse(line.as_bytes(), &mut times) {
                Ok(Parsed::Hit(hit)) => show(&hit),
                Ok(Parsed::Nothing) => "-".to_owned(),
                Ok(Parsed::HitAfterBroken(hit, broken)) => {
                    format!("broken {:?}, {}", String::from_utf8_lossy(&broken), show(&hit))
                }
                Err(error) => error.to_string(),
            });
        }
        shown
    }

    fn check(lines: &[&str], expected: &[&str]) {
        assert_eq!(parse(&mut Csv::default(), lines), expected);
    }

    const LINE: &str = r#""10.0.0.2","-","apache",1549573860,"GET /api/user HTTP/1.0",200,1234"#;
    const HIT: &str = "1549573860 /api/user 200 1234";

    #[test]
    fn the_seeds_sample_is_read_by_its_header_or_without_one() {
        check(&[HEADER, LINE, HEADER, "", LINE], &["-", HIT, "-", "-", HIT]);
        check(&[LINE, LINE], &[HIT, HIT]);
        let mut csv = Csv::default();
        parse(&mut csv, &[LINE]);
        assert!(csv.has_assumed_columns());
        let mut csv = Csv::default();
        parse(&mut csv, &[HEADER]);
        assert!(!csv.has_assumed_columns());
    }

    #[test]
    fn columns_may_stand_in_any_order() {
        check(
            &["request,bytes,date,status,more", "GET / HTTP/1.1,-,1549573860,,x", "a,b"],
            &["-", "1549573860 / 0 0", "column 3: expected a number of bytes"],
        );
        check(&["time;url;status", "2019-02-07T21:11:00Z;/a;200"], &["-", "1549573860 /a 200 0"]);
        check(
            &["date,time,path", "2019-02-07,21:11:00,/a", "2019-02-07,21:11,/a"],
            &[
                "-",
                "1549573860 /a 0 0",
                "column 1: not a time from 1970 to 9999 with a zone that exists",
            ],
        );
        // Another server's file behind the first one's.
        check(
            &[HEADER, LINE, "date,request", "1549573860,GET /b HTTP/1.1"],
            &["-", HIT, "-", "1549573860 /b 0 0"],
        );
    }

    #[test]
    fn quoted_fields_contain_anything() {
        check(
            &[
                "date,agent,request",
                r#"1549573860,"a ""b"", c","GET /""x"" HTTP/1.1""#,
                r#"1549573860,"two"#,
                r#"lines","GET /a HTTP/1.1""#,
            ],
            &["-", "1549573860 /\"x\" 0 0", "-", "1549573860 /a 0 0"],
        );
    }

    #[test]
    fn an_open_quote_costs_its_line_only() {
        check(
            &[HEADER, r#""10.0.0.2","-","apache",1549573860,"GET"#, LINE, LINE],
            &[
                "-",
                "-",
                &format!(r#"broken "\"10.0.0.2\",\"-\",\"apache\",1549573860,\"GET", {HIT}"#),
                HIT,
            ],
        );
    }

    #[test]
    fn an_open_quote_ends_at_the_limit() {
        let mut csv = Csv::default();
        let long = "x".repeat(1_000);
        let lines = [&[HEADER, "\"open"][..], &vec![long.as_str(); 200]].concat();
        let shown = parse(&mut csv, &lines);
        assert!(shown.iter().filter(|s| s.contains("a quote is not closed")).count() >= 1);
        assert!(csv.begun.len() <= RECORD_BYTES_MAX);
    }

    #[test]
    fn bad_lines_tell_their_column() {
        check(
            &[
                HEADER,
                r#""10.0.0.2","-","apache",x,"GET / HTTP/1.0",200,1234"#,
                r#""10.0.0.2","-","apache",1549573860,"GET / HTTP/1.0",2000,1234"#,
                r#""10.0.0.2","-","apache",1549573860,"GET / HTTP/1.0""#,
            ],
            &[
                "-",
                "column 25: not a time from 1970 to 9999 with a zone that exists",
                "column 53: expected a status of three digits",
                "column 52: fewer columns than the header",
            ],
        );
        check(&["some text"], &["column 1: no header names the columns"]);
    }
}
