//! Every example of the help and the README runs.
//!
//! Each is run by a shell in a directory of its own, with the files that it names and stand-ins for
//! programs that are not ours. What follows is interrupted after a moment.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use common::{Run, Scratch};

/// The request that examples name.
const REQUEST: &str = "6f1c2f6e-0b1d-4b7e-9c1e-2f3a4b5c6d7e";

/// Programs that examples use beside logq: those of the user, of other machines, of the terminal.
const STAND_INS: [(&str, &str); 10] = [
    ("logq", "exec timeout --preserve-status -s INT 1 \"$LOGQ\" \"$@\""),
    ("ssh", "shift; exec \"$@\""),
    ("page-somebody", ""),
    ("notify-send", ""),
    ("mail", ""),
    ("make", "echo made"),
    // Servers are asked in serve.rs.
    ("curl", ""),
    ("man", "exec cat"),
    ("jq", "exec cat"),
    ("less", "exec cat"),
];

/// The examples of a help: indented lines behind "Examples:", up to three spaces and a comment.
fn examples(help: &str) -> Vec<String> {
    let Some((_, behind)) = help.split_once("Examples:\n") else { return Vec::new() };
    let lines = behind.lines().take_while(|line| line.starts_with("  "));
    lines.map(|line| line.trim().split("   ").next().unwrap().trim_end().to_owned()).collect()
}

/// The commands in the README: lines of shell blocks, and code in the text, with logq in them.
fn commands_of_the_readme() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let (mut commands, mut block) = (Vec::new(), None);
    for line in readme.lines() {
        match (line.strip_prefix("```"), &block) {
            (Some(language), None) => block = Some(language.to_owned()),
            (Some(_), Some(_)) => block = None,
            (None, Some(language)) if language == "sh" => {
                commands.push(line.split("   #").next().unwrap().trim_end().to_owned());
            }
            (None, Some(_)) => {}
            (None, None) => {
                let code = line.split('`').skip(1).step_by(2);
                commands.extend(code.map(|code| code.replace("\\|", "|")));
            }
        }
    }
    commands.retain(|command| {
        let is_ours = command.starts_with("logq ") || command.contains("| logq ");
        // What takes arguments in brackets is no command, and a verb that needs some is a name.
        let is_name = matches!(
            command.as_str(),
            "logq run" | "logq ingest" | "logq -" | "logq monitor" | "logq monitor --store"
        );
        is_ours && !command.contains('[') && !is_name
    });
    commands
}

/// The words that stand for something, as something.
fn filled_in(command: &str) -> String {
    const WORDS: [(&str, &str); 18] = [
        ("/var/log/nginx/", "nginx/"),
        ("/var/lib/logs", "streams"),
        // There is no terminal here; monitor_screen.rs has one.
        ("--tui ", ""),
        ("https://hooks.example.org/x", "http://127.0.0.1:9/"),
        ("/var/log/node-shop", "node-shop"),
        ("/var/log/shop", "shop"),
        ("trace ID", "trace 6f1c2f6e"),
        ("top FIELD", "top url"),
        ("--at T", "--at crash"),
        ("--to NEW", "--to new shop"),
        ("--to FILE", "--to file shop"),
        ("--to STORE --format FORMAT FILE...|-", "--to new app.jsonl"),
        ("export -o blocks --in 14:02 STORE", "export -o blocks --in 14:02 shop"),
        ("EXPR", "'status = 500'"),
        ("VERB", "stats"),
        ("SHELL", "bash"),
        ("cat *.logq", "cat shop/*.logq"),
        ("--timeout 30s", "--timeout 1s"),
    ];
    WORDS.iter().fold(command.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Makes the files that examples name.
fn furnish(scratch: &Scratch) {
    let shop = include_str!("golden/shop.jsonl");
    let mut lines = shop.to_owned();
    writeln!(
        lines,
        "{{\"timestamp\":\"2026-02-03T14:02:41.000000Z\",\"level\":\"INFO\",\"type\":\"LOG\",\
         \"workerId\":9,\"writer\":99,\"seq\":0,\"requestId\":\"{REQUEST}\",\"data\":1}}"
    )
    .unwrap();
    scratch.store("shop", &lines);
    let access =
        "192.0.2.7 - - [03/Feb/2026:14:02:11 +0000] \"GET /cart HTTP/1.1\" 200 51 \"-\" \"x\"\n";
    scratch.write("access.log", access);
    scratch.write("app.jsonl", "{\"ts\":\"2026-02-03T14:02:12.125Z\",\"msg\":\"placed\"}\n");
    let traffic = ["monitor", "--no-follow", "--store", "traffic", "access.log"];
    assert_eq!(scratch.run(&traffic).code, 0);
    std::fs::create_dir(scratch.path("nginx")).unwrap();
    scratch.write("nginx/access.log", access);
    std::fs::create_dir_all(scratch.path("home/.zfunc")).unwrap();
    std::fs::create_dir_all(scratch.path("home/.config/fish/completions")).unwrap();
    std::fs::create_dir(scratch.path("bin")).unwrap();
    for (name, text) in STAND_INS {
        program(scratch, &format!("bin/{name}"), text);
    }
    program(scratch, "server", "echo listening");
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/super-server-logs/logs");
    std::os::unix::fs::symlink(node, scratch.path("node-shop")).unwrap();
    let zipped = "gzip -k access.log && cp access.log.gz access.log.1.gz";
    assert!(
        Command::new("sh")
            .args(["-c", zipped])
            .current_dir(scratch.path("."))
            .status()
            .unwrap()
            .success()
    );
}

fn program(scratch: &Scratch, name: &str, text: &str) {
    let path = scratch.write(name, format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs an example; says what is wrong with it, if anything is.
fn trouble(example: &str) -> Option<String> {
    let scratch = Scratch::new();
    furnish(&scratch);
    let path = format!("{}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap());
    let output = scratch
        .shell(&filled_in(example))
        .env("PATH", path)
        .env("HOME", scratch.path("home"))
        .env("LOGQ", env!("CARGO_BIN_EXE_logq"))
        .env("LOGQ_DIR", "shop")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let run = Run {
        // Blocks are no text.
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code().unwrap_or(-1),
    };
    // Found, not found, not covered, an alert, waited in vain, interrupted.
    let is_fine = matches!(run.code, 0 | 1 | 4 | 124 | 130) && !run.stderr.contains("error:");
    (!is_fine).then(|| format!("{example}\n  exit status {}\n{}", run.code, run.stderr))
}

#[test]
fn examples_of_the_help_and_the_readme_run() {
    let scratch = Scratch::new();
    let help = scratch.run(&["--help"]).stdout;
    let (_, verbs) = help.split_once("Commands:\n").unwrap();
    let verbs = verbs.split("\n\n").next().unwrap();
    let verbs = verbs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let verbs = verbs.filter_map(|line| line.split_whitespace().next());
    let mut all = examples(&help);
    for verb in verbs.filter(|verb| *verb != "help") {
        all.extend(examples(&scratch.run(&[verb, "--help"]).stdout));
    }
    assert!(all.len() > 40, "{all:#?}");
    let readme = commands_of_the_readme();
    assert!(readme.len() > 15, "{readme:#?}");
    all.extend(readme);
    let troubles = Mutex::new(Vec::new());
    let next = Mutex::new(all.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some(example) = next.lock().unwrap().next() else { return };
                    // Not while the list is locked, or they would run one after another.
                    let trouble = trouble(&example);
                    troubles.lock().unwrap().extend(trouble);
                }
            });
        }
    });
    let troubles = troubles.into_inner().unwrap();
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
}

#[test]
fn an_example_that_does_not_run_is_found() {
    assert!(trouble("logq --colour shop").is_some());
    assert!(trouble("logq errors --sinse today shop").is_some());
    assert!(trouble("logq /var/log/other").is_some());
    assert!(trouble("logq -l error /var/log/shop").is_none());
}
