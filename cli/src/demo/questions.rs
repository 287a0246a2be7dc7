//! Five questions about the store, asked with the command itself, as a user types them.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use logq_reader::Snapshot;
use serde_json::Value;

use super::interrupts::Interrupts;
use super::place::{self, quoted};
use super::progress::grouped;
use crate::args::ColorChoice;
use crate::exit::Exit;
use crate::output::{Style, escape};

/// Lines of an answer that are shown; whoever asks again sees all.
const LINES_MAX: usize = 12;

/// Asks the questions, says what the store costs and what to try next.
///
/// # Errors
///
/// The command cannot be run, the store cannot be read, or standard output is closed.
pub(super) fn ask(program: &Path, store: &Path, interrupts: &Interrupts) -> anyhow::Result<Exit> {
    let asker = Asker { program, store, command: place::command(program) };
    let mut exit = Exit::Success;
    for (title, arguments) in asker.questions()? {
        if interrupts.received().is_some() {
            return Ok(exit);
        }
        let (answer, took) = asker.answer(&arguments)?;
        if !matches!(answer.status.code(), Some(0)) {
            exit = Exit::Incomplete;
        }
        print(&asker.page(title, &arguments, &answer, took))?;
    }
    print(&asker.closing()?)?;
    Ok(exit)
}

fn print(page: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(page).and_then(|()| stdout.flush());
    printed.context("cannot write to standard output")
}

/// Runs the command on the store.
struct Asker<'a> {
    program: &'a Path,
    store: &'a Path,
    /// What a user types for the program.
    command: String,
}

impl Asker<'_> {
    /// The questions, each with its arguments.
    fn questions(&self) -> anyhow::Result<Vec<(&'static str, Vec<String>)>> {
        let worker = self.killed_worker()?;
        let request = self.failed_request()?;
        let mut questions = vec![
            ("How did the requests end?", words("--by statusCode")),
            ("What failed last, and what led to it?", words("-l error -n 1 -v")),
        ];
        if let Some(request) = request {
            questions.push((
                "What else happened in that request?",
                vec!["--request".to_owned(), request],
            ));
        }
        let crash = "A worker was killed: what happened around that crash?";
        questions.push((crash, words("--around crash --window 1s -t LIFECYCLE")));
        if let Some(worker) = worker {
            let arguments = words(&format!("-W {worker} -U crash -n 5"));
            questions.push(("And what had the killed worker written last?", arguments));
        }
        Ok(questions)
    }

    /// The worker that did not end by itself.
    fn killed_worker(&self) -> anyhow::Result<Option<u64>> {
        let killed = self.newest(&words("-t WORKER_EXITED -l warn"))?;
        Ok(killed.and_then(|record| record.get("workerId")?.as_u64()))
    }

    /// The request of the newest error.
    fn failed_request(&self) -> anyhow::Result<Option<String>> {
        let failed = self.newest(&words("-l error"))?;
        Ok(failed.and_then(|record| Some(record.get("requestId")?.as_str()?.to_owned())))
    }

    /// The newest record that matches.
    fn newest(&self, arguments: &[String]) -> anyhow::Result<Option<Value>> {
        let (found, _) = self.answer(&[words("-q -n 1 -o json"), arguments.to_vec()].concat())?;
        let line = found.stdout.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if line.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(line).map(Some).context("cannot understand the command's JSON")
    }

    fn answer(&self, arguments: &[String]) -> anyhow::Result<(Output, Duration)> {
        let mut command = Command::new(self.program);
        command.args(arguments).arg(self.store).stdin(Stdio::null());
        if io::stdout().is_terminal() {
            // As it would be if the user had typed it; NO_COLOR still has the last word.
            command.env("CLICOLOR_FORCE", "1");
        }
        let start = Instant::now();
        let output = command.output();
        let took = start.elapsed();
        let context = || format!("cannot run {}", self.program.display());
        Ok((output.with_context(context)?, took))
    }

    /// The question as one types it.
    fn line(&self, arguments: &[String]) -> String {
        let arguments = arguments.iter().map(|argument| quoted(argument));
        let store = quoted(&self.store.to_string_lossy());
        let words: Vec<_> = [self.command.clone()].into_iter().chain(arguments).collect();
        escape::for_terminal_lines(&format!("{} {store}", words.join(" ")))
    }

    /// A question, its answer and the time it took.
    fn page(&self, title: &str, arguments: &[String], answer: &Output, took: Duration) -> Vec<u8> {
        let style = Style::new(ColorChoice::Auto);
        let mut page = format!("\n{title}\n$ {}\n", self.line(arguments)).into_bytes();
        let mut lines = answer.stdout.split_inclusive(|byte| *byte == b'\n');
        lines.by_ref().take(LINES_MAX).for_each(|line| page.extend_from_slice(line));
        let more = lines.count();
        if !answer.status.success() {
            // Says what is missing; the command has escaped it.
            page.extend_from_slice(&answer.stderr);
        }
        style.dim(&mut page, |page| {
            let more = if more > 0 { format!("{more} more lines; ") } else { String::new() };
            let code = match answer.status.code() {
                Some(0) => String::new(),
                _ => format!("; {}", answer.status),
            };
            let note = format!("  ({more}{:.1} ms{code})", took.as_secs_f64() * 1000.0);
            page.extend_from_slice(note.as_bytes());
        });
        page.push(b'\n');
        page
    }

    /// What the store costs, where it is, and what else to ask it.
    fn closing(&self) -> anyhow::Result<Vec<u8>> {
        let summary = Snapshot::open(&[self.store])?.summary()?;
        let (records, bytes) = (summary.records, summary.bytes.total);
        // Both are far below 2^52, where floating point becomes inexact.
        let each = bytes as f64 / records.max(1) as f64;
        let mut text = format!(
            "\nThe store stays in {}: {} records in {} segments,\n{} KiB, {each:.1} bytes a record. \
             Try next:\n\n",
            escape::for_terminal_lines(&self.store.display().to_string()),
            grouped(records),
            summary.segments.len(),
            grouped(bytes.div_ceil(1024)),
        );
        for next in ["stats", "-l warn -S start -n 20", "-g gateway -o json -n 3"] {
            text.push_str(&format!("  {}\n", self.line(&words(next))));
        }
        Ok(text.into_bytes())
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}
