//! Help, manual pages and completions come from the same definitions, and their examples work.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop"
)]

mod common;

use common::Scratch;

/// The verbs that the help lists.
fn verbs(scratch: &Scratch) -> Vec<String> {
    let help = scratch.run(&["--help"]).stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn every_verb_has_a_manual_page_with_each_of_its_flags() {
    let scratch = Scratch::new();
    let verbs = verbs(&scratch);
    assert!(verbs.len() >= 6, "{verbs:?}");
    for verb in verbs.iter().filter(|verb| *verb != "help") {
        let help = scratch.run(&[verb, "--help"]);
        assert_eq!(help.code, 0, "{help:?}");
        let page = scratch.run(&["man", verb]);
        assert_eq!(page.code, 0, "{page:?}");
        assert!(page.stdout.contains(&format!(".TH logq-{verb} 1")), "{}", page.stdout);
        let text = page.stdout.replace("\\-", "-");
        let words = help.stdout.split(|c: char| !(c.is_alphanumeric() || c == '-'));
        for flag in words.filter(|word| word.starts_with("--") && word.len() > 3) {
            assert!(text.contains(flag), "{flag} is not in the page of {verb}");
        }
    }
}

#[test]
fn all_pages_are_written_at_once() {
    let scratch = Scratch::new();
    assert_eq!(scratch.run(&["man", "--to", "pages/man1"]).code, 0);
    for name in ["logq.1", "logq-import.1", "logq-stats.1"] {
        let page = std::fs::read_to_string(scratch.path("pages/man1").join(name)).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(!scratch.path("pages/man1/logq-help.1").exists());
}

#[test]
fn a_misspelt_verb_or_shell_is_answered_with_the_nearest_one() {
    let scratch = Scratch::new();
    let run = scratch.run(&["man", "imprt"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("did you mean \"import\"?"), "{}", run.stderr);
    let run = scratch.run(&["completions", "bas"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("bash"), "{}", run.stderr);
}

#[test]
fn bash_completes_verbs_and_flags() {
    let scratch = Scratch::new();
    let script = scratch.run(&["completions", "bash"]);
    assert_eq!(script.code, 0);
    let path = scratch.write("logq.bash", &script.stdout);
    let completed = |words: &str, last: usize| {
        let program = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={last}; _logq logq \"${{COMP_WORDS[{last}]}}\" ''; \
             echo \"${{COMPREPLY[@]}}\"",
            path.display()
        );
        let output = std::process::Command::new("bash").args(["-c", &program]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(completed("logq imp", 1).contains("import"));
    assert!(completed("logq import --forma", 2).contains("--format"));
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let run = scratch.run(&["completions", shell]);
        assert!(run.code == 0 && run.stdout.contains("import"), "{shell}");
    }
}
