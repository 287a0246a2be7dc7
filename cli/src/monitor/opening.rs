//! Which sources a session reads: those of the command line, and files that patterns find later.

use std::path::Path;
use std::time::{Duration, Instant};

use super::patterns::Named;
use super::source::Source;
use super::{SELDOM, Session, archive, patterns};

/// A file of a pattern whose name is gone for so long has ended.
const GONE: Duration = Duration::from_secs(30);

impl Session {
    /// Opens a source of the command line, and tells if that fails.
    pub(super) fn begin(&mut self, named: Named) {
        match named {
            Named::Stdin if self.sources.iter().any(Source::is_stdin) => {}
            Named::Stdin => {
                let source = Source::stdin(self.input.clone(), &mut self.desk);
                self.add(source);
            }
            Named::Path(path) => {
                if !self.open(&path, false) {
                    self.is_complete = false;
                }
            }
            Named::Pattern(pattern) => {
                let found = self.expand(&pattern);
                match (found, self.desk.follows) {
                    (0, false) => {
                        self.desk.notes.error(&pattern, "no file matches");
                        self.is_complete = false;
                    }
                    (0, true) => {
                        self.desk.notes.note(&pattern, "no file matches yet; waiting for one");
                        self.patterns.push(pattern);
                    }
                    (_, follows) => self.patterns.extend(follows.then_some(pattern)),
                }
            }
        }
    }

    /// Opens the files that a pattern finds and that no source has yet; answers how many it finds.
    fn expand(&mut self, pattern: &str) -> usize {
        let found = patterns::files(pattern);
        for path in &found {
            let is_open = self.sources.iter().any(|source| source.path == *path);
            // What is compressed while others are followed holds lines that were read.
            let is_old = !self.is_beginning && is_archive(path);
            if !is_open && !is_old {
                let opened = self.open(path, true);
                self.is_complete &= opened || !self.is_beginning;
            }
        }
        found.len()
    }

    /// Opens a path. Answers whether it is read, by this source or by another one.
    fn open(&mut self, path: &Path, is_of_pattern: bool) -> bool {
        match Source::open(path, self.input.clone(), &mut self.desk) {
            Ok(Some(mut source)) => {
                source.is_of_pattern = is_of_pattern;
                self.add(source);
                true
            }
            Ok(None) => true,
            Err(error) => {
                // A file of a pattern is looked at every second; that it fails is told once.
                if self.is_beginning || !is_of_pattern {
                    self.desk.notes.error(&path.display().to_string(), &error.to_string());
                }
                false
            }
        }
    }

    fn add(&mut self, source: Source) {
        self.sinks.started(&source.name);
        self.sources.push(source);
    }

    /// Looks at patterns, and forgets files whose names are gone.
    pub(super) fn seldom(&mut self) {
        if self.last_seldom.elapsed() < SELDOM {
            return;
        }
        self.last_seldom = Instant::now();
        for pattern in self.patterns.clone() {
            self.expand(&pattern);
        }
        let now = self.last_seldom;
        let is_gone = |source: &mut Source| {
            let since = source.missing_since().filter(|_| source.is_of_pattern);
            since.is_some_and(|since| now.saturating_duration_since(since) >= GONE)
        };
        for gone in self.sources.extract_if(.., is_gone) {
            gone.finish(&mut self.desk, true);
        }
    }
}

fn is_archive(path: &Path) -> bool {
    !matches!(archive::Archive::open(path), Ok(None))
}
