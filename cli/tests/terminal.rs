//! Standard output as a terminal, and what is different there: colours, the pager, escapes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use common::{CLUSTER, Scratch};

/// A record whose text tries everything: an escape sequence, one of a single character, text that
/// runs backwards.
const HOSTILE: &str = concat!(
    r#"{"timestamp":"2026-02-03T14:00:00.000000Z","level":"INFO","type":"LOG","workerId":null,"#,
    r#""writer":1,"seq":0,"data":{"message":"\u001b[2Jtext"#,
    "\u{9b}31m \u{202e}",
    r#"","user":{"na\u001bme":"x"}}}"#,
    "\n"
);

/// What a command prints on a terminal, without carriage returns, and its exit status.
fn on_terminal(command: &mut Command) -> (String, i32) {
    let pty = nix::pty::openpty(None, None).unwrap();
    let slave = File::from(pty.slave);
    command.stdin(Stdio::null()).stdout(slave.try_clone().unwrap()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The command keeps a copy of the terminal; without this, reading would never end.
    command.stdout(Stdio::null());
    drop(slave);
    let mut master = File::from(pty.master);
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    // Where nobody has the other end any more, Linux answers with an error.
    while let Ok(count @ 1..) = master.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
    }
    let code = child.wait().unwrap().code().unwrap();
    (String::from_utf8(bytes).unwrap().replace('\r', ""), code)
}

#[test]
fn nothing_from_a_log_acts_on_a_terminal() {
    let scratch = Scratch::new();
    scratch.store("store", HOSTILE);
    for format in ["short", "iso", "full", "json", "json-seq", "sse", "logfmt", "csv", "cat"] {
        let arguments = ["-P", "--color", "never", "-o", format, "store"];
        let (text, code) = on_terminal(&mut scratch.command(&arguments));
        assert_eq!(code, 0, "{format}");
        assert!(text.contains("text"), "{format}: {text}");
        let active = |c: char| (c.is_control() && c != '\n' && c != '\x1e') || c == '\u{202e}';
        assert!(!text.contains(active), "{format}: {text:?}");
    }
    let template = ["-P", "--template", "{message}|{data.user}", "store"];
    let (text, _) = on_terminal(&mut scratch.command(&template));
    assert_eq!(
        text, "\\u{1b}[2Jtext\\u{9b}31m \\u{202e}|{\"na\\u001bme\":\"x\"}\n",
        "the JSON has its own escapes"
    );
    let fields = ["-P", "-o", "cat", "--fields", "data.message,seq", "store"];
    let (text, _) = on_terminal(&mut scratch.command(&fields));
    assert!(text.starts_with("\\u{1b}[2J"), "{text:?}");
}

#[test]
fn json_on_a_terminal_is_the_same_json() {
    let scratch = Scratch::new();
    scratch.store("store", HOSTILE);
    let (text, _) = on_terminal(&mut scratch.command(&["-P", "-o", "json", "store"]));
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&text), value(HOSTILE));
}

#[test]
fn files_and_pipes_get_what_was_logged() {
    let scratch = Scratch::new();
    scratch.store("store", HOSTILE);
    assert_eq!(scratch.run(&["-o", "cat", "store"]).stdout, "\u{1b}[2Jtext\u{9b}31m \u{202e}\n");
    let run = scratch.run(&["--template", "{data.message}", "store"]);
    assert_eq!(run.stdout, "\u{1b}[2Jtext\u{9b}31m \u{202e}\n");
    assert_eq!(scratch.run(&["-o", "json", "store"]).stdout, HOSTILE);
}

#[test]
fn terminals_get_colours_and_a_pager() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let page = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = scratch.command(arguments);
        command.envs(variables.iter().copied());
        on_terminal(&mut command)
    };
    let sed = ("LOGQ_PAGER", "sed 's/^/paged: /'");
    let (text, code) = page(&["-l", "error", "store"], &[sed]);
    assert_eq!(code, 0);
    assert!(text.starts_with("paged: \u{1b}[2m2026-02-03"), "{text:?}");
    let (text, _) = page(&["-l", "error", "store"], &[("PAGER", "sed 's/^/other: /'"), sed]);
    assert!(text.starts_with("paged: "), "LOGQ_PAGER wins: {text:?}");
    let (text, _) = page(&["-l", "error", "store"], &[("PAGER", "sed 's/^/other: /'")]);
    assert!(text.starts_with("other: "), "{text:?}");
    for flags in [["-P", "-q"], ["--no-pager", "-q"], ["--pager", "never"]] {
        let (text, _) = page(&[flags[0], flags[1], "--color", "never", "store"], &[sed]);
        assert!(text.starts_with("2026-"), "{flags:?} {text:?}");
    }
    let (text, _) = page(&["--color", "auto", "store"], &[("PAGER", ""), ("NO_COLOR", "1")]);
    assert!(text.starts_with("2026-"), "an empty PAGER is none: {text:?}");
    let dumb = ("TERM", "dumb");
    let (text, _) = page(&["-l", "error", "store"], &[dumb, sed]);
    assert!(text.starts_with("2026-"), "a dumb terminal has neither: {text:?}");
    let (text, _) =
        page(&["--color=always", "--pager=always", "-l", "error", "store"], &[dumb, sed]);
    assert!(text.starts_with("paged: \u{1b}[2m"), "unless told so: {text:?}");
    let (text, code) = page(&["-g", "nowhere", "store"], &[("LOGQ_PAGER", "echo started")]);
    assert_eq!((text.as_str(), code), ("", 1), "nothing to show, no pager");
}

#[test]
fn pipes_get_a_pager_only_when_asked_to() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let run = |flag: &str, pager: &str| {
        let mut command = scratch.command(&["--pager", flag, "-c", "store"]);
        let output = command.env("LOGQ_PAGER", pager).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code().unwrap())
    };
    assert_eq!(run("auto", "sed s/^/paged/").0, "9\n");
    assert_eq!(run("always", "sed s/^/paged/").0, "paged9\n");
    let (_, stderr, code) = run("always", "no-such-program-anywhere");
    assert_eq!(code, 2);
    assert!(stderr.contains("cannot be run; -P prints without one"), "{stderr}");
}

#[test]
fn quitting_the_pager_is_no_failure() {
    let scratch = Scratch::new();
    let line = CLUSTER.lines().next().unwrap();
    let many: String = (0..20_000)
        .map(|n| format!("{}\n", line.replace("\"seq\":0", &format!("\"seq\":{n}"))))
        .collect();
    scratch.store("store", &many);
    let mut command = scratch.command(&["--pager", "always", "-o", "json", "store"]);
    let output = command.env("LOGQ_PAGER", "head -n 1").output().unwrap();
    assert_eq!((output.stderr.as_slice(), output.status.code()), (b"".as_slice(), Some(0)));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}
