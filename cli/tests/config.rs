//! Defaults: the configuration file, and what wins over what.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

mod common;

use common::{CLUSTER, Run, Scratch};

/// Runs with this configuration file and these variables.
fn run(scratch: &Scratch, file: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let path = scratch.write("config.toml", file);
    let mut command = scratch.command(arguments);
    command.env("LOGQ_CONFIG", path).env_remove("LOGQ_TZ").env("TZ", "UTC");
    Run::from(command.envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_what_is_usual() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let first = |file: &str, variables: &[(&str, &str)], flags: &[&str]| {
        let run = run(&scratch, file, variables, &[flags, &["-n", "+1", "store"]].concat());
        assert_eq!(run.code, 0, "{run:?}");
        run.stdout.split(' ').next().unwrap().to_owned()
    };
    let file = "tz = \"+05:00\"\n";
    assert_eq!(first("", &[], &[]), "2026-02-03T14:00:00.000Z");
    assert_eq!(first(file, &[], &[]), "2026-02-03T19:00:00.000+05:00");
    assert_eq!(first(file, &[("TZ", "Asia/Tokyo")], &[]), "2026-02-03T19:00:00.000+05:00");
    assert_eq!(first(file, &[("LOGQ_TZ", "+06:00")], &[]), "2026-02-03T20:00:00.000+06:00");
    assert_eq!(
        first(file, &[("LOGQ_TZ", "+06:00")], &["--tz", "+07:00"]),
        "2026-02-03T21:00:00.000+07:00"
    );
    assert_eq!(first(file, &[], &["--utc"]), "2026-02-03T14:00:00.000Z");
    assert_eq!(first("utc = true", &[("TZ", "Asia/Tokyo")], &[]), "2026-02-03T14:00:00.000Z");
    assert_eq!(first("utc = false", &[("TZ", "Asia/Tokyo")], &[]), "2026-02-03T23:00:00.000+09:00");
}

#[test]
fn the_file_holds_flags_by_their_long_names() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let file = "output = \"csv\"\ncolor = \"always\"\nok-if-empty = true\nthreads = 1\n\
                pager = \"never\"\ncontext-by = \"all\"\n";
    let output = |arguments: &[&str]| run(&scratch, file, &[], arguments);
    assert!(output(&["store"]).stdout.starts_with("timestamp,level"));
    assert!(output(&["-o", "short", "store"]).stdout.starts_with("\u{1b}["));
    assert_eq!(output(&["--template", "{seq}", "-n", "1", "store"]).stdout, "3\n");
    assert_eq!(output(&["-g", "nowhere", "store"]).code, 0);
    let around = output(&["-o", "cat", "-g", "sigkill", "-C", "1", "store"]);
    assert!(around.stdout.contains("last"), "{}", around.stdout);
    // Verbs that have formats of their own keep them.
    assert!(output(&["stats", "store"]).stdout.starts_with("segments"));
}

#[test]
fn what_the_file_must_not_say_is_told() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    let check = |file: &str, parts: &[&str]| {
        let run = run(&scratch, file, &[], &["-c", "store"]);
        assert_eq!(run.code, 2, "{file}");
        for part in parts {
            assert!(run.stderr.contains(part), "{file}: {}", run.stderr);
        }
    };
    check("level = \"error\"", &["config.toml", "belongs on the command line"]);
    check("colour = \"never\"", &["unknown key \"colour\"", "did you mean \"color\"?"]);
    check("color = 1.5", &["color is float", "expected text or a number"]);
    check("quiet = \"yes\"", &["quiet is string", "expected true or false"]);
    check("color = ", &["cannot understand", "config.toml"]);
    check("color = \"blue\"", &["config.toml: invalid value", "blue", "auto, always, never"]);
}

#[test]
fn the_file_is_found_where_configuration_is_kept() {
    let scratch = Scratch::new();
    scratch.store("store", CLUSTER);
    std::fs::create_dir_all(scratch.path("home/.config/logq")).unwrap();
    scratch.write("home/.config/logq/config.toml", "output = \"cat\"");
    let stdout = |variables: &[(&str, Option<&std::path::Path>)]| {
        let mut command = scratch.command(&["-n", "+1", "store"]);
        command.env_remove("LOGQ_CONFIG");
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let home = scratch.path("home");
    let folder = scratch.path("home/.config");
    assert_eq!(stdout(&[("HOME", Some(&home))]), "STARTING_UP\n");
    assert_eq!(stdout(&[("HOME", None), ("XDG_CONFIG_HOME", Some(&folder))]), "STARTING_UP\n");
    let none = std::path::Path::new("-");
    assert!(stdout(&[("HOME", Some(&home)), ("LOGQ_CONFIG", Some(none))]).starts_with("2026"));
    let mut command = scratch.command(&["store"]);
    let output = command.env("LOGQ_CONFIG", "nowhere.toml").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a file that is named must be there");
}
