//! `/v1/stores/<name>/records?follow=1`: what is there, and what comes, until the client leaves.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use logq_format::Timestamp;
use logq_query::Expression;
use logq_query::when::Context;
use logq_reader::{Cursors, Follow, FollowOptions, Progress, Rows, Start, Waiting};

use super::channel::{Gone, Sender};
use super::format::Format;
use super::question::{Question, now};
use super::records::{Asked, Head, HeadSender, refuse};
use super::refusal::{Refusal, expression};
use super::told::Told;
use crate::body::BodyError;

/// How often it is looked whether the client has left or the server ends.
const TICK: Duration = Duration::from_millis(250);

/// How often something is said while nothing comes.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long records may wait for a writer before it is told, in microseconds.
const PATIENCE_US: i64 = 2_000_000;

/// Answers with what is asked for and with what comes. Blocks as long as the client stays.
pub(super) fn send(mut asked: Asked, head: HeadSender, sender: Sender) {
    let mut question = match asked.question() {
        Ok(question) => question,
        Err(refusal) => return refuse(head, refusal),
    };
    let start = match start(&asked, &mut question) {
        Ok(start) => start,
        Err(refusal) => return refuse(head, refusal),
    };
    let known = Head::new(&question);
    let Question { selection, range, finality, snapshot, .. } = question;
    // Segments that are deleted meanwhile shall give their space back.
    drop(snapshot);
    let options = FollowOptions {
        filter: selection.filter(),
        start,
        until: range.until,
        delivery: asked.delivery,
        notify: true,
        stop: Some(sender.stop().flag()),
    };
    let follow = match Follow::new(&[&asked.store], options) {
        Ok(follow) => follow,
        Err(error) => return refuse(head, error.into()),
    };
    if head.send(Ok(known)).is_err() {
        return;
    }
    let mut course = Course { asked: &asked, sender: &sender, spoken: None, records: 0 };
    let mut follow = follow;
    match course.run(&mut follow) {
        Ok(End::Complete) => {
            let told = Told { report: &follow.report(), range, finality: &finality };
            let cursor = Some(follow.cursor().to_string());
            let last = asked.printer.last(&told.trailer(course.records, cursor), true);
            let fields = told.fields(Some(course.records));
            if sender.send(last).is_ok() {
                sender.finish(fields);
            }
        }
        Ok(End::Gone) => {}
        // The client does not have everything, and learns it: an event stream goes on by itself.
        Ok(End::Shutdown) => sender.fail(BodyError::ShuttingDown),
        Err(error) => sender.fail(BodyError::Storage(std::io::Error::other(error))),
    }
}

/// Where to begin: a cursor goes first, then the number of records, then the range.
fn start(asked: &Asked, question: &mut Question) -> Result<Start, Refusal> {
    let since = question.range.since;
    if let Some(cursor) = &asked.after {
        bound(question, since)?;
        return Ok(Start::After(cursor.clone()));
    }
    Ok(match (asked.lines, since) {
        (Some(0), _) => Start::Now,
        (Some(lines), since) => {
            bound(question, since)?;
            Start::Newest(lines)
        }
        (None, Some(since)) => Start::Since(since),
        (None, None) => Start::Now,
    })
}

/// Keeps out what is before the range, for starts that do not.
fn bound(question: &mut Question, since: Option<Timestamp>) -> Result<(), Refusal> {
    let Some(since) = since else { return Ok(()) };
    let context = Context { now: now(), zone: question.zone.clone(), since: None, marks: None };
    let bound = Expression::parse(&format!("timestamp >= '{since}'"), &context);
    question.selection.add(bound.map_err(|error| expression("since", &error))?);
    Ok(())
}

/// How following ended.
enum End {
    /// No more can come before the end of the range.
    Complete,
    /// Nobody reads any more.
    Gone,
    /// The server ends.
    Shutdown,
}

/// How far following has come.
struct Course<'a> {
    asked: &'a Asked,
    sender: &'a Sender,
    /// When something was sent, and whether it said that nothing more is there.
    spoken: Option<(Instant, bool)>,
    records: u64,
}

impl Course<'_> {
    fn run(&mut self, follow: &mut Follow<'_>) -> Result<End, logq_reader::FollowError> {
        // Whoever reads through a proxy learns at once that the connection stands.
        if self.comment("connected").is_err() {
            return Ok(End::Gone);
        }
        loop {
            if self.asked.shutdown.is_requested() {
                let _ = self.retry();
                return Ok(End::Shutdown);
            }
            let printer = &self.asked.printer;
            let map = |rows: &Rows<'_>, cursors: &Cursors| {
                let mut text = Vec::with_capacity(rows.len() * 256);
                rows.iter().for_each(|row| printer.print(&row, cursors, &mut text));
                text
            };
            let progress = follow.next(TICK, map, |text| match self.sender.send(text) {
                Ok(()) => ControlFlow::Continue(()),
                Err(Gone) => ControlFlow::Break(()),
            })?;
            match progress {
                Progress::Records(records) => {
                    self.records += records;
                    self.spoken = Some((Instant::now(), false));
                }
                Progress::Ended => return Ok(End::Complete),
                _ => {}
            }
            let is_gone = self.sender.is_closed() || self.speak(follow, progress).is_err();
            if is_gone || progress == Progress::Stopped {
                return Ok(End::Gone);
            }
        }
    }

    /// Says how far the answer is final: as soon as all there is has been sent, and now and then.
    fn speak(&mut self, follow: &Follow<'_>, progress: Progress) -> Result<(), Gone> {
        let is_quiet = progress == Progress::Quiet;
        let is_due = match self.spoken {
            None => is_quiet,
            Some((since, said)) => (is_quiet && !said) || since.elapsed() >= HEARTBEAT,
        };
        if !is_due {
            return Ok(());
        }
        let watermark = match follow.report().coverage.watermark {
            Some(Timestamp::MAX) => now().to_string(),
            Some(watermark) => watermark.to_string(),
            None => "unknown".to_owned(),
        };
        let long = |waiting: &Waiting| waiting.since.saturating_add_micros(PATIENCE_US) <= now();
        let waiting = follow.waiting_for().filter(long).map(|waiting| whom(&waiting));
        self.comment(&format!("watermark {watermark}{}", waiting.unwrap_or_default()))?;
        self.spoken = Some((Instant::now(), is_quiet));
        Ok(())
    }

    fn comment(&self, text: &str) -> Result<(), Gone> {
        match self.asked.printer.format {
            Format::Sse => self.sender.send(format!(": {text}\n\n")),
            _ => Ok(()),
        }
    }

    /// Tells an event stream when to try again.
    fn retry(&self) -> Result<(), Gone> {
        match self.asked.printer.format {
            Format::Sse => self.sender.send("retry: 1000\n\n"),
            _ => Ok(()),
        }
    }
}

/// Whom records wait for, in words.
fn whom(waiting: &Waiting) -> String {
    let records = waiting.records;
    match waiting.holding.first().map(|holder| holder.origin.worker) {
        Some(Some(worker)) => format!(" up to {records} records wait for worker {worker}"),
        Some(None) => format!(" up to {records} records wait for the master"),
        None => format!(" up to {records} records wait: nothing proves that no earlier ones come"),
    }
}
