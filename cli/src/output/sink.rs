//! Standard output, as commands write to it: directly, or by way of a pager.

use std::io::{self, Write};
use std::ops::ControlFlow;

use anyhow::Context as _;

use super::pager::{Pager, PagerCommand};
use crate::args::OutputArguments;

/// Standard output, remembering the first failure and whether anything was written.
pub(crate) struct Output {
    target: Target,
    failure: Option<anyhow::Error>,
    written: bool,
    /// Whether the pager was quit before it had seen everything.
    quit: bool,
}

enum Target {
    Stdout(io::StdoutLock<'static>),
    /// A pager that is started when there is something to show.
    Wanted(PagerCommand),
    Pager(Pager),
}

/// How writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Printed {
    /// Whether anything was written.
    pub(crate) any: bool,
    /// Whether somebody had seen enough and quit the pager.
    pub(crate) quit: bool,
}

impl Output {
    /// Standard output itself.
    pub(crate) fn new() -> Self {
        Self::to(Target::Stdout(io::stdout().lock()))
    }

    /// Standard output, or the pager that the arguments ask for.
    pub(crate) fn paged(arguments: &OutputArguments) -> Self {
        match PagerCommand::new(arguments) {
            Some(command) => Self::to(Target::Wanted(command)),
            None => Self::new(),
        }
    }

    fn to(target: Target) -> Self {
        Self { target, failure: None, written: false, quit: false }
    }

    /// Writes; breaks where nobody reads any more, or writing fails: [`Self::finish`] tells.
    pub(crate) fn write(&mut self, text: &[u8]) -> ControlFlow<()> {
        if text.is_empty() {
            return ControlFlow::Continue(());
        }
        self.written = true;
        match self.try_write(text) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn try_write(&mut self, text: &[u8]) -> anyhow::Result<()> {
        if let Target::Wanted(command) = &self.target {
            self.target = Target::Pager(Pager::start(command)?);
        }
        let written = match &mut self.target {
            Target::Stdout(stdout) => stdout.write_all(text),
            Target::Pager(pager) => match pager.input() {
                Some(input) => input.write_all(text),
                None => Ok(()),
            },
            Target::Wanted(_) => Ok(()),
        };
        if let (Target::Pager(_), Err(error)) = (&self.target, &written)
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            self.quit = true;
        }
        written.context("cannot write to standard output")
    }

    /// Writes what is left and waits for the pager to be quit.
    ///
    /// # Errors
    ///
    /// Writing failed; a pager that was quit is no failure.
    pub(crate) fn finish(mut self) -> anyhow::Result<Printed> {
        let failure = self.failure.take().filter(|_| !self.quit);
        match self.target {
            Target::Stdout(mut stdout) if failure.is_none() => {
                stdout.flush().context("cannot write to standard output")?;
            }
            Target::Pager(pager) => pager.finish()?,
            Target::Stdout(_) | Target::Wanted(_) => {}
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(Printed { any: self.written, quit: self.quit }),
        }
    }
}
