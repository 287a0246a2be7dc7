//! What the README shows works when it is pasted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Run, Scratch};

/// The shell session that makes a store and asks it questions.
fn session() -> &'static str {
    let readme = include_str!("../../README.md");
    let start = readme.find("cd \"$(mktemp -d)\"").expect("the session is there");
    let session = readme.get(start..).unwrap();
    session.get(..session.find("```").unwrap()).unwrap()
}

#[test]
fn the_session_of_the_readme_works_when_pasted() {
    let scratch = Scratch::new();
    let binaries = Path::new(env!("CARGO_BIN_EXE_logq")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euc", session()])
        .env("PATH", path)
        .env("TMPDIR", scratch.path("."))
        .env("LOGQ_TZ", "UTC")
        .env_remove("LOGQ_DIR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let run = Run::from(output);
    assert_eq!(run.code, 0, "{run:?}");
    for shown in [
        "POST /orders HTTP/1.1 from 192.0.2.9",
        "payment refused",
        "           1 500",
        "\"order\":4711",
        "records   10",
    ] {
        assert!(run.stdout.contains(shown), "{shown:?} is not in\n{}", run.stdout);
    }
}

#[test]
fn every_option_of_the_readme_is_an_option_of_the_command() {
    let scratch = Scratch::new();
    let help = scratch.run(&["--help"]).stdout;
    let readme = include_str!("../../README.md");
    let table =
        readme.split("## Questions").nth(1).unwrap().split("Times are what").next().unwrap();
    let flags: Vec<&str> = table
        .split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 3)
        .collect();
    assert!(flags.len() > 15, "{flags:?}");
    for flag in flags {
        assert!(help.contains(flag), "{flag} is not in the help");
    }
}
