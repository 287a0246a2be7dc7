//! `/v1/stores/<name>/records`: what is asked, and the records of a snapshot. Following is next door.

use std::ops::ControlFlow;
use std::path::PathBuf;

use http::HeaderMap;
use jiff::tz::TimeZone;
use logq_format::Timestamp;
use logq_reader::{Cursor, Delivery, Order, Query, Rows};
use tokio::sync::oneshot;

use super::channel::{Gone, Sender, Writing};
use super::format::{Format, Printer, TextLine};
use super::parameters::Parameters;
use super::question::{NAMES, Question};
use super::refusal::{Refusal, cursor};
use super::told::Told;
use crate::body::BodyError;
use crate::shutdown::Shutdown;

/// The parameters beside those of every question.
const OWN: [&str; 9] =
    ["format", "limit", "lines", "order", "reverse", "after", "follow", "delivery", "trailer"];

/// The most records that are kept to be turned around.
const LINES_MAX: u64 = 10_000;

/// A question about records, as far as it can be read without the store.
pub(super) struct Asked {
    pub(super) store: PathBuf,
    pub(super) parameters: Parameters,
    pub(super) zone: TimeZone,
    pub(super) printer: Printer,
    pub(super) order: Order,
    pub(super) limit: Option<u64>,
    /// The newest so many, oldest first.
    pub(super) lines: Option<u64>,
    pub(super) after: Option<Cursor>,
    /// Whether the cursor is that of an event stream which goes on: where nothing is left, the client
    /// has to be told to stop.
    pub(super) is_resumed: bool,
    pub(super) follow: bool,
    pub(super) delivery: Delivery,
    pub(super) shutdown: Shutdown,
}

/// What is known before the first record.
pub(super) struct Head {
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) final_until: Option<Timestamp>,
    /// There is nothing behind the cursor, and nothing will come.
    pub(super) is_over: bool,
}

/// Where the head of the answer goes, or why there is none.
pub(super) type HeadSender = oneshot::Sender<Result<Head, Refusal>>;

impl Asked {
    pub(super) fn new(
        store: PathBuf,
        query: &str,
        headers: &HeaderMap,
        zone: TimeZone,
        text: TextLine,
        shutdown: Shutdown,
    ) -> Result<Self, Refusal> {
        let known: Vec<_> = NAMES.iter().chain(&OWN).copied().collect();
        let parameters = Parameters::parse(query, &known)?;
        let format = Format::wanted(&parameters, headers)?;
        let trailer = parameters.flag("trailer")?;
        let resumed = super::last_event_id(headers).filter(|_| format == Format::Sse);
        let after = resumed.or(parameters.one("after")?).map(str::parse::<Cursor>).transpose();
        let asked = Self {
            store,
            printer: Printer { format, zone: zone.clone(), text, trailer },
            zone,
            order: order(&parameters)?,
            limit: parameters.number("limit", 0, u64::MAX)?,
            lines: parameters.number("lines", 0, LINES_MAX)?,
            after: after.map_err(|error| Refusal::from(cursor(&error)))?,
            is_resumed: resumed.is_some(),
            follow: parameters.flag("follow")?,
            delivery: delivery(&parameters)?,
            shutdown,
            parameters,
        };
        asked.check()?;
        Ok(asked)
    }

    /// Refuses what does not go together.
    fn check(&self) -> Result<(), Refusal> {
        let is_descending = self.order == Order::Descending;
        let text = if self.follow && self.printer.format == Format::Blocks {
            "format: blocks are sent as they are, and nothing is followed so"
        } else if self.follow && self.limit.is_some() {
            "limit: following has no end; lines says how many old records come first"
        } else if self.follow && is_descending {
            "order: what is followed comes oldest first"
        } else if self.lines.is_some() && (is_descending || self.limit.is_some()) {
            "lines: the newest records oldest first; order=desc with limit turns them around"
        } else if self.printer.format == Format::Blocks
            && (self.limit.is_some() || self.lines.is_some() || self.after.is_some())
        {
            "format: blocks are not cut; ask for a range of time"
        } else {
            return Ok(());
        };
        Err(Refusal::bad(text))
    }

    /// Opens the question; told in the zone that it names.
    pub(super) fn question(&mut self) -> Result<Question, Refusal> {
        let question = Question::new(&self.store, &self.parameters, &self.zone)?;
        self.printer.zone = question.zone.clone();
        Ok(question)
    }
}

fn order(parameters: &Parameters) -> Result<Order, Refusal> {
    match (parameters.one("order")?, parameters.flag("reverse")?) {
        (None, false) | (Some("asc"), false) => Ok(Order::Ascending),
        (None, true) | (Some("desc"), _) => Ok(Order::Descending),
        _ => Err(Refusal::bad("order: it is asc or desc; reverse=1 means desc")),
    }
}

fn delivery(parameters: &Parameters) -> Result<Delivery, Refusal> {
    match parameters.one("delivery")? {
        None | Some("ordered") => Ok(Delivery::Ordered),
        Some("arrival") => Ok(Delivery::Arrival),
        Some(_) => Err(Refusal::bad("delivery: it is ordered or arrival")),
    }
}

/// Answers from the store as it is. Blocks as long as the client takes.
pub(super) fn send(mut asked: Asked, head: HeadSender, sender: Sender) {
    let question = match asked.question() {
        Ok(question) => question,
        Err(refusal) => return refuse(head, refusal),
    };
    let answering = Answering { asked: &asked, question: &question, sender };
    if asked.printer.format == Format::Blocks {
        return answering.blocks(head);
    }
    answering.records(head);
}

/// Says why there is no answer. Where the client has left, nobody hears it.
pub(super) fn refuse(head: HeadSender, refusal: Refusal) {
    let _ = head.send(Err(refusal));
}

impl Head {
    pub(super) fn new(question: &Question) -> Self {
        let coverage = question.snapshot.coverage();
        Self {
            first: coverage.first,
            last: coverage.last,
            final_until: question.finality.end(coverage),
            is_over: false,
        }
    }
}

/// Some records as they are sent.
struct Piece {
    text: Vec<u8>,
    rows: u64,
    cursor: Option<Cursor>,
}

struct Answering<'a> {
    asked: &'a Asked,
    question: &'a Question,
    sender: Sender,
}

impl Answering<'_> {
    fn blocks(self, head: HeadSender) {
        let _ = head.send(Ok(Head::new(self.question)));
        let query = Query { order: self.asked.order, ..self.question.query() };
        let mut out = Writing::new(&self.sender);
        let snapshot = &self.question.snapshot;
        let final_until = self.question.finality.watermark;
        let sent = snapshot.blocks(&query, final_until, &mut out);
        match sent.and_then(|sent| std::io::Write::flush(&mut out).map(|()| sent)) {
            Ok((_, report)) => {
                let told = self.told(&report).fields(None);
                self.sender.finish(told);
            }
            Err(error) => self.sender.fail(BodyError::Storage(error)),
        }
    }

    fn told<'r>(&'r self, report: &'r logq_reader::Report) -> Told<'r> {
        Told { report, range: self.question.range, finality: &self.question.finality }
    }

    fn query(&self) -> Query<'_> {
        let (order, limit) = match self.asked.lines {
            // The newest come first, and are turned around.
            Some(lines) if self.asked.after.is_none() => (Order::Descending, Some(lines)),
            lines => (self.asked.order, self.asked.limit.or(lines)),
        };
        Query {
            order,
            limit,
            after: self.asked.after.as_ref(),
            stop: Some(self.sender.stop().flag()),
            ..self.question.query()
        }
    }

    fn records(self, head: HeadSender) {
        let query = self.query();
        // Cursors are for whoever goes on in the order in which records are sent.
        let sent = Query { order: self.asked.order, ..query.clone() };
        let cursors = match self.question.snapshot.cursors(&sent) {
            Ok(cursors) => cursors,
            Err(error) => return refuse(head, cursor(&error).into()),
        };
        let is_over = self.asked.is_resumed && self.is_nothing_left(&query);
        if head.send(Ok(Head { is_over, ..Head::new(self.question) })).is_err() || is_over {
            return;
        }
        let is_turned = query.order != self.asked.order;
        let limit = query.limit;
        let (mut records, mut last, mut kept) = (0, None, Vec::new());
        let scanned = self.question.snapshot.scan(
            &query,
            |rows| self.piece(rows, &cursors, is_turned),
            |piece| {
                records += piece.rows;
                last = piece.cursor;
                if is_turned {
                    kept.push(piece.text);
                    return ControlFlow::Continue(());
                }
                self.go_on(self.sender.send(piece.text))
            },
        );
        let report = match scanned {
            Ok(report) => report,
            Err(error) => {
                return self.sender.fail(BodyError::Storage(std::io::Error::other(error)));
            }
        };
        if kept.into_iter().rev().any(|text| self.sender.send(text).is_err()) {
            return;
        }
        let reached = match limit == Some(records) && !is_turned {
            true => last.unwrap_or_else(|| cursors.start()),
            false => cursors.end(),
        };
        let reached = Some(reached.to_string());
        let told = self.told(&report);
        let last = self.asked.printer.last(&told.trailer(records, reached), true);
        let fields = told.fields(Some(records));
        if self.sender.send(last).is_ok() {
            self.sender.finish(fields);
        }
    }

    fn go_on(&self, sent: Result<(), Gone>) -> ControlFlow<()> {
        match sent {
            Ok(()) => ControlFlow::Continue(()),
            Err(Gone) => ControlFlow::Break(()),
        }
    }

    /// Whether the answer that goes on behind the cursor has no record.
    fn is_nothing_left(&self, query: &Query<'_>) -> bool {
        let one = Query { limit: Some(1), ..query.clone() };
        let mut found = false;
        let looked = self.question.snapshot.scan(
            &one,
            |_| (),
            |()| {
                found = true;
                ControlFlow::Break(())
            },
        );
        looked.is_ok() && !found
    }

    fn piece(&self, rows: &Rows<'_>, cursors: &logq_reader::Cursors, is_turned: bool) -> Piece {
        let printer = &self.asked.printer;
        let mut text = Vec::with_capacity(rows.len() * 256);
        match is_turned {
            true => rows.iter().rev().for_each(|row| printer.print(&row, cursors, &mut text)),
            false => rows.iter().for_each(|row| printer.print(&row, cursors, &mut text)),
        }
        let cursor = rows.iter().next_back().map(|row| cursors.after(&row));
        Piece { text, rows: rows.len() as u64, cursor }
    }
}
