//! Standard output, as commands write to it.

use std::io::{self, Write};
use std::ops::ControlFlow;

use anyhow::Context as _;

/// Standard output, remembering the first failure and whether anything was written.
pub(crate) struct Output {
    stdout: io::StdoutLock<'static>,
    failure: Option<io::Error>,
    written: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { stdout: io::stdout().lock(), failure: None, written: false }
    }

    pub(crate) fn write(&mut self, text: &[u8]) -> ControlFlow<()> {
        self.written |= !text.is_empty();
        match self.stdout.write_all(text) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    pub(crate) fn finish(mut self) -> anyhow::Result<bool> {
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.stdout.flush(),
        }
        .context("cannot write to standard output")?;
        Ok(self.written)
    }
}
