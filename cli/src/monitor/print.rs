//! What the monitor says on standard output, in lines of text or of JSON.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;

use logq_monitor::render::{self, Label, Line};
use logq_monitor::{Monitor, Output as Said, Rule, TopLists};
use serde_json::{Map, Value};

use super::json;
use super::sink::Sink;
use crate::output::{Output, Part, Style, escape};

/// How it is said.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Lines of text.
    Text(render::Style),
    /// An object in each line.
    Json,
}

/// Standard output.
pub(super) struct Printer {
    out: Output,
    manner: Manner,
    style: Style,
    /// Entries of lists; there may be more of them for other sinks.
    top: usize,
    rules: Vec<Rule>,
    /// What ids of alerts begin with.
    identity: String,
    to_terminal: bool,
    text: Vec<u8>,
}

impl Printer {
    pub(super) fn new(
        manner: Manner,
        style: Style,
        top: usize,
        rules: Vec<Rule>,
        identity: String,
    ) -> Self {
        let to_terminal = std::io::stdout().is_terminal();
        let (out, text) = (Output::new(), Vec::new());
        Self { out, manner, style, top, rules, identity, to_terminal, text }
    }

    fn lists(&mut self, lists: &TopLists) {
        for (name, list) in json::named(lists) {
            for line in render::list(name, list) {
                self.text.extend_from_slice(line.as_bytes());
                self.text.push(b'\n');
            }
        }
    }

    fn line(&mut self, line: &Line) {
        // The seed's colours, within what people may set.
        let part = match line.label {
            Label::Info => Part::Name,
            Label::Success => Part::Info,
            Label::Warning => Part::Warn,
            Label::Error => Part::Critical,
        };
        let label = line.label.to_string();
        self.style.part(part, &mut self.text, |out| out.extend_from_slice(label.as_bytes()));
        self.text.push(b' ');
        self.text.extend_from_slice(line.text.as_bytes());
        self.text.push(b'\n');
    }

    fn object(&mut self, object: &Map<String, Value>) {
        let line = Value::Object(object.clone()).to_string();
        let put = if self.to_terminal { escape::push_json } else { escape::push_raw };
        put(&mut self.text, &line);
        self.text.push(b'\n');
    }

    /// Writes what was said; breaks where nobody reads it any more.
    fn write(&mut self) -> ControlFlow<()> {
        let result = self.out.write(&self.text);
        self.text.clear();
        result
    }
}

impl Sink for Printer {
    fn name(&self) -> String {
        "standard output".to_owned()
    }

    fn started(&mut self, source: &str) {
        match self.manner {
            Manner::Text(_) => self.line(&render::started(source)),
            Manner::Json => self.object(&json::started(source)),
        }
    }

    fn said(&mut self, said: &Said) {
        match self.manner {
            Manner::Text(style) => {
                if let Some(line) = render::output(said, &self.rules, style) {
                    self.line(&line);
                }
                if let Said::Summary(summary) = said {
                    self.lists(&summary.lists.first(self.top));
                }
            }
            Manner::Json => {
                if let Some(object) = json::output(said, &self.rules, self.top, &self.identity) {
                    self.object(&object);
                }
            }
        }
    }

    fn ended(&mut self, monitor: &Monitor, at_end_of_input: bool) {
        if matches!(self.manner, Manner::Json) {
            return self.object(&json::ended(monitor, at_end_of_input, self.top));
        }
        if self.top > 0 {
            let text = format!("In all {} requests", monitor.report().counts.hits);
            self.line(&Line { label: Label::Info, text });
            self.lists(&monitor.lists().first(self.top));
        }
        if at_end_of_input {
            self.line(&render::ended());
        }
    }

    fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    fn flush(&mut self, _monitor: &Monitor) -> anyhow::Result<ControlFlow<()>> {
        Ok(self.write())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        let _ = self.write();
        self.out.finish().map(|_| ())
    }
}
