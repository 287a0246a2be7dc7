//! Commands with all that they print, as data: `tests/golden/*.txt`.
//!
//! ```text
//! # What is tested.
//! store NAME < lines.jsonl          a store made of a file beside this one, or of `cluster`
//!
//! $ -l error 'two words' NAME       the arguments, split as a shell does
//! @ NO_COLOR=1                      a variable of the environment
//! < NAME 400                        a file for standard input, or its first 400 bytes
//! > what goes to standard output
//! ! what goes to standard error
//! = 0                               the exit status
//! ```
//!
//! Control characters stand as the pictures that Unicode has of them: `␛` for escape, `␍` for a
//! carriage return. `[..]` in a line stands for anything. A last line without a line feed begins
//! with `>~`. `LOGQ_BLESS=1` writes what the commands print now into the files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{CLUSTER, Scratch};

/// A file of cases.
struct File {
    path: PathBuf,
    /// The lines before the first case.
    head: String,
    stores: Vec<(String, String)>,
    cases: Vec<Case>,
}

/// A command and what is expected of it.
#[derive(Default)]
struct Case {
    /// Comments and empty lines before it.
    before: String,
    command: String,
    environment: Vec<(String, String)>,
    /// The file for standard input, and how many bytes of it, all unless said.
    input: Option<String>,
    expected: Vec<String>,
}

impl File {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut file =
            Self { path: path.to_owned(), head: String::new(), stores: vec![], cases: vec![] };
        let mut before = String::new();
        for line in text.lines() {
            let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
            match mark {
                "$" => {
                    let before = std::mem::take(&mut before);
                    let case = Case { before, command: rest.to_owned(), ..Case::default() };
                    file.cases.push(case);
                }
                "@" => {
                    let (name, value) = rest.split_once('=').unwrap();
                    let case = file.cases.last_mut().unwrap();
                    case.environment.push((name.to_owned(), value.to_owned()));
                }
                "<" => file.cases.last_mut().unwrap().input = Some(rest.to_owned()),
                ">" | ">~" | "!" | "=" => {
                    file.cases.last_mut().unwrap().expected.push(line.to_owned());
                }
                "store" => {
                    let (name, source) = rest.split_once(" < ").unwrap();
                    file.stores.push((name.to_owned(), source.to_owned()));
                    before.push_str(&format!("{line}\n"));
                }
                _ => {
                    assert!(mark.is_empty() || mark.starts_with('#'), "{}: {line}", path.display());
                    before.push_str(&format!("{line}\n"));
                }
            }
        }
        file.head = before;
        file
    }

    /// Runs all cases; answers what differs, and the file as it should be.
    fn run(&self) -> (Vec<String>, String) {
        let scratch = Scratch::new();
        for (name, source) in &self.stores {
            let path = self.path.with_file_name(source);
            let lines = match source.as_str() {
                "cluster" => CLUSTER.to_owned(),
                _ => fs::read_to_string(path).unwrap(),
            };
            scratch.store(name, &lines);
        }
        let (mut differences, mut blessed) = (Vec::new(), String::new());
        for case in &self.cases {
            let found = case.run(&scratch);
            let is_expected = found.len() == case.expected.len()
                && found.iter().zip(&case.expected).all(|(found, line)| matches(line, found));
            if !is_expected {
                let (expected, found) = (case.expected.join("\n"), found.join("\n"));
                let path = self.path.file_name().unwrap().to_string_lossy();
                differences.push(format!(
                    "{path}: $ {}\n--- expected\n{expected}\n--- found\n{found}",
                    case.command
                ));
            }
            writeln!(blessed, "{}$ {}", case.before, case.command).unwrap();
            for (name, value) in &case.environment {
                writeln!(blessed, "@ {name}={value}").unwrap();
            }
            case.input.iter().for_each(|input| writeln!(blessed, "< {input}").unwrap());
            let lines = if is_expected { &case.expected } else { &found };
            lines.iter().for_each(|line| writeln!(blessed, "{line}").unwrap());
        }
        blessed.push_str(&self.head);
        (differences, blessed)
    }
}

impl Case {
    fn run(&self, scratch: &Scratch) -> Vec<String> {
        let arguments = split(&self.command);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = scratch.command(&arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = match &self.input {
            None => command.stdin(Stdio::null()).output().unwrap(),
            Some(input) => {
                let (name, bytes) = input.split_once(' ').unwrap_or((input, ""));
                let content = fs::read(scratch.path(name)).unwrap();
                let length = bytes.parse().unwrap_or(content.len());
                common::output_with_input(command, &content[..length])
            }
        };
        let mut lines = marked(">", &output.stdout);
        lines.extend(marked("!", &output.stderr));
        lines.push(format!("= {}", output.status.code().unwrap_or(-1)));
        lines
    }
}

/// The lines of an output behind their mark.
fn marked(mark: &str, output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    text.split_inclusive('\n')
        .map(|line| {
            let (mark, line) = match line.strip_suffix('\n') {
                Some(line) => (mark.to_owned(), line),
                None => (format!("{mark}~"), line),
            };
            let pictured = line.chars().map(picture).collect::<String>();
            format!("{mark} {pictured}").trim_end().to_owned()
        })
        .collect()
}

/// A control character as its picture.
fn picture(c: char) -> char {
    match u32::from(c) {
        code @ 0..=0x1F => char::from_u32(0x2400 + code).unwrap(),
        0x7F => '\u{2421}',
        _ => c,
    }
}

/// Whether a line is as expected, with `[..]` standing for anything.
fn matches(expected: &str, found: &str) -> bool {
    let mut parts = expected.trim_end().split("[..]");
    let Some(mut rest) = found.strip_prefix(parts.next().unwrap()) else { return false };
    let mut is_open = false;
    for part in parts {
        let Some(place) = rest.find(part) else { return false };
        // The last part stands at the end.
        rest = &rest[place + part.len()..];
        is_open = part.is_empty();
    }
    is_open || rest.is_empty()
}

/// Splits words as a shell does: at spaces that are not between quotes.
fn split(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn commands_print_what_is_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(!paths.is_empty());
    let run = |path: &PathBuf| {
        let (differences, blessed) = File::read(path).run();
        if std::env::var_os("LOGQ_BLESS").is_none() {
            return differences;
        }
        if !differences.is_empty() {
            fs::write(path, blessed).unwrap();
        }
        Vec::new()
    };
    let differences: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = paths.iter().map(|path| scope.spawn(move || run(path))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(
        differences.is_empty(),
        "{}\nLOGQ_BLESS=1 writes what is found",
        differences.join("\n\n")
    );
}

#[test]
fn patterns_match_whole_lines() {
    assert!(matches("a[..]c", "abbc"));
    assert!(matches("a[..]", "abbc"));
    assert!(matches("[..]c", "abbc"));
    assert!(!matches("a[..]b", "abbc"));
    assert!(!matches("abb", "abbc"));
    assert_eq!(split("-g 'a b' \"\" c"), ["-g", "a b", "", "c"]);
}
