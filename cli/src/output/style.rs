//! Colours, if there are to be any.

use std::io::IsTerminal;

use logq_format::Level;

use crate::args::ColorChoice;

/// Whether and how output is coloured, with the sequences of ECMA-48, section 8.3.117.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    on: bool,
}

const RESET: &[u8] = b"\x1b[0m";
const DIM: &[u8] = b"\x1b[2m";

impl Style {
    /// `auto` colours a terminal, unless `NO_COLOR` is set; `CLICOLOR_FORCE` colours anything.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let set =
            |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if set("NO_COLOR") => false,
            ColorChoice::Auto => set("CLICOLOR_FORCE") || std::io::stdout().is_terminal(),
        };
        Self { on }
    }

    pub(crate) fn dim(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        self.wrap(DIM, out, write);
    }

    pub(crate) fn level(self, level: Level, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        match level {
            Level::Critical => self.wrap(b"\x1b[1;97;41m", out, write),
            Level::Error => self.wrap(b"\x1b[1;31m", out, write),
            Level::Warn => self.wrap(b"\x1b[33m", out, write),
            Level::Info => self.wrap(b"\x1b[32m", out, write),
            Level::Debug | Level::Trace => self.dim(out, write),
        }
    }

    fn wrap(self, start: &[u8], out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.on {
            return write(out);
        }
        out.extend_from_slice(start);
        write(out);
        out.extend_from_slice(RESET);
    }
}
