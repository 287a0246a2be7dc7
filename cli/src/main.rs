//! The command `logq`: the only place that wires readers, writers and people together.
//!
//! ```text
//! args  ->  verbs (records, import, ingest, run, stats)  ->  output  ->  exit code
//!            question, selection; live_lines, limit   short, json, cat; escape, style
//! ```
//!
//! Data goes to standard output, everything else to standard error.

// That nobody reads standard error any more must not end anything, as it would with these.
#![warn(clippy::print_stderr)]

/// Tells a line on standard error, unless nobody reads that any more.
macro_rules! tell {
    ($($text:tt)*) => {{
        let line = format!("{}\n", format_args!($($text)*));
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }};
}

mod args;
mod argv;
mod completeness;
mod cursors;
mod damage;
#[cfg(feature = "demo")]
mod demo;
mod exit;
mod explain;
mod fingerprint;
mod following;
mod import;
mod limit;
mod live_lines;
mod liveness;
mod monitor;
mod output;
mod progress;
mod question;
mod runs;
mod selection;
#[cfg(feature = "serve")]
mod serve;
mod sigbus;
mod stores;
mod verbs;

use std::io;

use args::Verb;
use exit::Exit;

fn main() -> std::process::ExitCode {
    sigbus::explain_truncated_maps();
    let words = match argv::words() {
        Ok(words) => words,
        Err(error) => return explain(&error).into(),
    };
    let arguments = match args::parse(&words) {
        Ok(arguments) => arguments,
        Err(error) => return Exit::from_usage(&error).into(),
    };
    let result = match arguments.verb {
        Some(Verb::Completions(completions)) => verbs::completions::run(&completions),
        #[cfg(feature = "demo")]
        Some(Verb::Demo(demo)) => demo::run(&demo),
        Some(Verb::Diff(diff)) => verbs::diff::run(&diff),
        Some(Verb::Errors(errors)) => verbs::errors::run(&errors),
        Some(Verb::Export(export)) => verbs::export::run(&export),
        Some(Verb::Hist(hist)) => verbs::hist::run(&hist),
        Some(Verb::Import(import)) => verbs::import::run(&import),
        Some(Verb::Inflight(inflight)) => verbs::inflight::run(&inflight),
        Some(Verb::Ingest(ingest)) => verbs::ingest::run(&ingest),
        Some(Verb::Man(man)) => verbs::man::run(&man),
        Some(Verb::Monitor(monitor)) => verbs::monitor::run(&monitor),
        Some(Verb::Repair(repair)) => verbs::repair::run(&repair),
        Some(Verb::Run(run)) => verbs::run::run(&run).or_else(|error| {
            explain(&error);
            Ok(Exit::NotStarted)
        }),
        #[cfg(feature = "serve")]
        Some(Verb::Serve(serve)) => verbs::serve::run(&serve),
        Some(Verb::Stats(stats)) => verbs::stats::run(&stats),
        Some(Verb::Tail(tail)) => verbs::tail::run(&tail),
        Some(Verb::Top(top)) => verbs::top::run(&top),
        Some(Verb::Trace(trace)) => verbs::trace::run(&trace),
        Some(Verb::Verify(verify)) => verbs::verify::run(&verify),
        Some(Verb::Workers(workers)) => verbs::workers::run(&workers),
        Some(Verb::Wait(wait)) => verbs::wait::run(&wait),
        None => verbs::records::run(&arguments.records),
    };
    result.unwrap_or_else(|error| explain(&error)).into()
}

/// Tells what went wrong and turns it into an exit code.
fn explain(error: &anyhow::Error) -> Exit {
    let closed_pipe = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if closed_pipe {
        return Exit::ClosedPipe;
    }
    tell!("logq: {}", output::escape::for_terminal_lines(&with_causes(error)));
    Exit::Error
}

/// The message of an error with its causes, except for those that it tells itself.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        if told.is_empty() || told.contains(&cause) {
            return if told.is_empty() { cause } else { told };
        }
        format!("{told}: {cause}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cause_is_told_twice() {
        let error = anyhow::anyhow!("no space").context("cannot write x: no space");
        assert_eq!(with_causes(&error), "cannot write x: no space");
        let error = anyhow::anyhow!("no space").context("cannot write x").context("cannot import");
        assert_eq!(with_causes(&error), "cannot import: cannot write x: no space");
    }
}
