//! Every flag of the help of every verb is given to it, by its short and by its long name.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use common::{CLUSTER, Run, Scratch};

/// A flag as the help lists it.
#[derive(Clone, Debug)]
struct Flag {
    short: Option<String>,
    long: String,
}

/// Verbs that serve or watch until they are ended: what their flags do has tests of its own, and
/// here it is only looked up that each is among them.
const LASTING: [(&str, &str); 3] = [
    ("demo", include_str!("demo.rs")),
    (
        "monitor",
        concat!(
            include_str!("monitor.rs"),
            include_str!("monitor_outlets.rs"),
            include_str!("monitor_rotation.rs"),
            include_str!("monitor_screen.rs"),
            include_str!("monitor_state.rs"),
            include_str!("monitor_store.rs")
        ),
    ),
    (
        "serve",
        concat!(
            include_str!("serve/data.rs"),
            include_str!("serve/process.rs"),
            include_str!("serve/clients.rs"),
            include_str!("serve/flags.rs")
        ),
    ),
];

const NUMBERS: [&str; 2] = ["hist", "top"];

fn verbs(scratch: &Scratch) -> Vec<String> {
    let help = scratch.run(&["--help"]).stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|verb| verb != "help").collect()
}

fn flags(scratch: &Scratch, verb: &str) -> Vec<Flag> {
    let words: Vec<&str> = [verb, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
    let help = scratch.run(&words).stdout;
    let flag = |line: &str| {
        let line = line.trim_start();
        let (short, rest) = match line.split_once(", --") {
            Some((short, rest)) if short.len() == 2 => (Some(short.to_owned()), rest),
            _ => (None, line.strip_prefix("--")?),
        };
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        Some(Flag { short, long: format!("--{}", &rest[..end.unwrap_or(rest.len())]) })
    };
    help.lines().filter(|line| line.trim_start().starts_with('-')).filter_map(flag).collect()
}

/// What a verb is asked about.
fn subject(verb: &str) -> Vec<&'static str> {
    match verb {
        "completions" => vec!["bash"],
        "import" => vec!["lines.jsonl"],
        "ingest" => vec!["new"],
        "man" => vec![],
        "run" => vec!["--", "true"],
        "top" => vec!["level", "shop"],
        "trace" => vec!["6f1c2f6e", "shop"],
        _ => vec!["shop"],
    }
}

/// What a verb cannot do without.
fn needs(verb: &str) -> Vec<(&'static str, &'static str)> {
    match verb {
        "diff" => vec![("--a", "2026-02-03T14:00:02"), ("--b", "2026-02-03T14:00:30")],
        "export" => vec![("--to", "out.jsonl")],
        "import" | "repair" | "run" => vec![("--to", "new")],
        "inflight" => vec![("--at", "2026-02-03T14:00:02.25Z")],
        "tail" => vec![("--until", "2026-02-04")],
        "wait" => vec![("--timeout", "100ms")],
        _ => vec![],
    }
}

/// What a flag means nothing without.
fn companions(verb: &str, flag: &str) -> Vec<&'static str> {
    match flag {
        "--context-by" => vec!["-C", "1"],
        "--csv-safe" => vec!["-o", "csv"],
        "--fields" if verb != "export" => vec!["-o", "json"],
        "--fixed-strings" | "--ignore-case" => vec!["-g", "SLOW"],
        "--follow" | "--no-tail" | "--order" if verb != "tail" => {
            let until = ["--until", "2026-02-04"];
            until.into_iter().chain((flag != "--follow").then_some("--follow")).collect()
        }
        "--exact" | "--of" => vec!["--quantile", "50"],
        "--top" => vec!["--by", "level"],
        "--trailer" => vec!["-o", "json"],
        "--window" => vec!["--around", "2026-02-03T14:00:02"],
        _ => vec![],
    }
}

/// A value for a flag, if it takes one.
fn value(verb: &str, flag: &str, cursor: &str) -> Option<String> {
    Some(match (verb, flag) {
        ("import" | "ingest", "--format") => "jsonl".to_owned(),
        ("wait", "--count") => "2".to_owned(),
        ("export", "--output") => "csv".to_owned(),
        ("export", "--split") => "1MiB".to_owned(),
        ("man", "--to") => "pages".to_owned(),
        (_, "--after-cursor") => cursor.to_owned(),
        (_, flag) => {
            let values = [
                ("--a", "2026-02-03T14:00:02"),
                ("--after-context", "1"),
                ("--around", "2026-02-03T14:00:02"),
                ("--at", "2026-02-03T14:00:02.25Z"),
                ("--b", "2026-02-03T14:00:30"),
                ("--before-context", "1"),
                ("--by", "level,type"),
                ("--color", "always"),
                ("--context", "1"),
                ("--context-by", "all"),
                ("--cursor-file", "place"),
                ("--fields", "level,type"),
                ("--grep", "slow"),
                ("--in", "2026-02-03"),
                ("--ip", "192.0.2.0/24"),
                ("--level", "warn"),
                ("--lines", "2"),
                ("--max-count", "2"),
                ("--of", "bytes"),
                ("--order", "arrival"),
                ("--output", "json"),
                ("--pager", "never"),
                ("--progress", "never"),
                ("--quantile", "50,99"),
                ("--request", "6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e"),
                ("--request-where", "status >= 500"),
                ("--since", "2026-02-03T14:00:02"),
                ("--size-limit", "1GiB"),
                ("--template", "{level}"),
                ("--threads", "2"),
                ("--timeout", "100ms"),
                ("--to", "new"),
                ("--top", "2"),
                ("--type", "LOG"),
                ("--tz", "Asia/Kolkata"),
                ("--until", "2026-02-03T14:00:30"),
                ("--where", "status >= 500"),
                ("--window", "5s"),
                ("--worker", "3"),
            ];
            values.into_iter().find(|(name, _)| *name == flag)?.1.to_owned()
        }
    })
}

/// Flags of time, of which one at a time will do.
const OF_TIME: [&str; 4] = ["--around", "--at", "--in", "--until"];

/// Runs a verb with a flag of this spelling, on a copy of the store in `template`.
fn run(verb: &str, flag: &Flag, spelling: &str, template: &Scratch, cursor: &str) -> Run {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("shop")).unwrap();
    for file in std::fs::read_dir(template.path("shop")).unwrap() {
        let from = file.unwrap().path();
        let to = scratch.path("shop").join(from.file_name().unwrap());
        std::fs::copy(from, to).unwrap();
    }
    scratch.write("lines.jsonl", CLUSTER);
    let mut words: Vec<String> = vec![verb.to_owned()];
    for (name, value) in needs(verb) {
        let is_other = name == flag.long || OF_TIME.contains(&name) && is_of_time(flag);
        if !is_other {
            words.extend([name.to_owned(), value.to_owned()]);
        }
    }
    words.extend(companions(verb, &flag.long).into_iter().map(str::to_owned));
    words.push(spelling.to_owned());
    words.extend(value(verb, &flag.long, cursor));
    words.extend(subject(verb).into_iter().map(str::to_owned));
    let words: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
    scratch.run_with_input(&words, CLUSTER.as_bytes())
}

fn is_of_time(flag: &Flag) -> bool {
    OF_TIME.contains(&flag.long.as_str()) || flag.long == "--window"
}

/// What is wrong with a run, if anything is.
fn trouble(verb: &str, flag: &Flag, run: &Run) -> Option<String> {
    // What chooses among records has nothing to choose where numbers are printed, and says so.
    let is_told =
        NUMBERS.contains(&verb) && run.code == 2 && run.stderr.contains("means nothing for");
    // Found, not found, not covered, waited in vain.
    let is_fine = matches!(run.code, 0 | 1 | 4 | 124) && !run.stderr.contains("error:");
    let context = || format!("logq {verb} {}: exit status {}\n{}", flag.long, run.code, run.stderr);
    (!is_fine && !is_told).then(context)
}

#[test]
fn every_flag_of_every_help_is_taken_by_both_of_its_names() {
    let scratch = Scratch::new();
    scratch.store("shop", CLUSTER);
    let shown = scratch.run(&["-m", "1", "--show-cursor", "shop"]);
    let cursor = shown.stdout.lines().last().unwrap().split_once(": ").unwrap().1.to_owned();
    let (mut troubles, mut count) = (Vec::new(), 0);
    let all = verbs(&scratch);
    for verb in all.iter().map(String::as_str).chain([""]) {
        let flags = flags(&scratch, verb);
        assert!(flags.iter().any(|flag| flag.long == "--help"), "{verb}: {flags:?}");
        for flag in flags {
            count += 1;
            if let Some((_, tests)) = LASTING.iter().find(|(name, _)| *name == verb) {
                let is_used = tests.contains(&format!("{}\"", flag.long))
                    || tests.contains(&format!("{}=", flag.long))
                    || tests.contains(&format!("{} ", flag.long))
                    || flag.short.as_ref().is_some_and(|s| tests.contains(&format!("{s}\"")))
                    || flag.long == "--help";
                if !is_used {
                    troubles.push(format!("no test gives {} to logq {verb}", flag.long));
                }
                continue;
            }
            let long = run(verb, &flag, &flag.long, &scratch, &cursor);
            troubles.extend(trouble(verb, &flag, &long));
            let Some(short) = &flag.short else { continue };
            let short = run(verb, &flag, short, &scratch, &cursor);
            // The short help is shorter.
            if flag.long != "--help" && (&short.stdout, short.code) != (&long.stdout, long.code) {
                troubles.push(format!("logq {verb} {} and its short name differ", flag.long));
            }
        }
    }
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
    assert!(count > 300, "{count} flags are those of all verbs together");
}

/// The test above would notice.
#[test]
fn a_flag_that_is_not_taken_is_found() {
    let flag = Flag { short: None, long: "--lines".to_owned() };
    let scratch = Scratch::new();
    scratch.store("shop", CLUSTER);
    let refused = run("verify", &flag, "--lines", &scratch, "");
    assert!(trouble("verify", &flag, &refused).is_some(), "{refused:?}");
}
