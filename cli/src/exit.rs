//! The exit codes, which scripts rely on.

use std::io::ErrorKind;
use std::process::ExitCode;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// At least one record was printed, or the verb succeeded.
    Success,
    /// Nothing matched, and the data covers the whole interval.
    NoMatch,
    /// Wrong usage, or the input or output failed.
    Error,
    /// Output was produced, but something was damaged, missing or could not be parsed.
    Incomplete,
    /// Nothing matched, but the data does not cover the whole interval.
    NotCovered,
    /// `logq wait`: the time is over.
    TimedOut,
    /// Nobody reads the output any more.
    ClosedPipe,
    /// `logq run`: as the program ended.
    Program(u8),
    /// `logq serve`: it cannot start, as livelog tells why.
    #[cfg(feature = "serve")]
    NotServed(u8),
    /// `logq run`: something else failed before the program was started.
    NotStarted,
    /// `logq run`: the program cannot be executed.
    NotExecutable,
    /// `logq run`: there is no such program.
    NotFound,
}

impl Exit {
    /// Prints what clap has to say: help and version to standard output, errors to standard error.
    pub(crate) fn from_usage(error: &clap::Error) -> Self {
        let printed = error.print();
        match (error.use_stderr(), printed) {
            // There is nobody to tell that even this cannot be printed.
            (true, _) => Self::Error,
            (false, Err(reason)) if reason.kind() != ErrorKind::BrokenPipe => {
                tell!("logq: cannot write to standard output: {reason}");
                Self::Error
            }
            (false, _) => Self::Success,
        }
    }

    /// As shells tell that a signal ended a program.
    pub(crate) fn signal(number: i32) -> Self {
        Self::Program(u8::try_from(number).unwrap_or(0).saturating_add(128))
    }

    /// The number, as a shell sees it.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::NoMatch => 1,
            Self::Error => 2,
            Self::Incomplete => 3,
            Self::NotCovered => 4,
            // As of timeout(1).
            Self::TimedOut => 124,
            // As if ended by SIGPIPE.
            Self::ClosedPipe => 141,
            Self::Program(code) => code,
            #[cfg(feature = "serve")]
            Self::NotServed(code) => code,
            // As env, timeout, nohup and container engines do.
            Self::NotStarted => 125,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
