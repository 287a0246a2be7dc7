//! The words of the command line before they are parsed: `-b -1`, and the defaults of the
//! configuration file.
//!
//! The file holds flags of the command by their long names, and only those that leave alone what is
//! found: whoever reads a command line shall know from it alone what it asks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command, CommandFactory as _};
use logq_query::nearest;
use toml::{Table, Value};

use crate::args::{Arguments, command_for};

/// The keys that the file may have, and what else on the command line or in the environment takes
/// their place.
const KEYS: &[(&str, &[&str], &str)] = &[
    ("color", &[], ""),
    ("context-by", &[], ""),
    ("csv-safe", &[], ""),
    ("ok-if-empty", &[], ""),
    ("output", &["template"], ""),
    ("pager", &["no-pager"], ""),
    ("quiet", &[], ""),
    ("threads", &[], "LOGQ_THREADS"),
    ("tz", &["local", "utc"], "LOGQ_TZ"),
    ("utc", &["local", "tz"], "LOGQ_TZ"),
    ("verbose", &[], ""),
];

/// Verbs that are the command itself by another name.
const FOR_RECORDS: [&str; 3] = ["hist", "tail", "top"];

/// The words of the command line, with those that the configuration file adds.
///
/// # Errors
///
/// The file cannot be read, or says what it must not.
pub(crate) fn words() -> anyhow::Result<Vec<OsString>> {
    let words = with_joined_runs(std::env::args_os().collect());
    match file()? {
        Some(path) => with_defaults(words, &Settings::read(&path)?),
        None => Ok(words),
    }
}

/// `-b -1` as `-b=-1`: a run is optional behind `-b`, so that otherwise what follows is a store.
fn with_joined_runs(words: Vec<OsString>) -> Vec<OsString> {
    // Behind `logq run` come the words of another program.
    if words.get(1).is_some_and(|verb| verb == "run") {
        return words;
    }
    let mut joined: Vec<OsString> = Vec::with_capacity(words.len());
    let mut is_ended = false;
    for word in words {
        is_ended |= word == "--";
        let is_number = word.to_str().is_some_and(|word| word.parse::<i64>().is_ok());
        match joined.last_mut() {
            Some(last) if !is_ended && is_number && (last == "-b" || last == "--run") => {
                last.push("=");
                last.push(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

/// The configuration file, if there is one.
fn file() -> anyhow::Result<Option<PathBuf>> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(named) = variable("LOGQ_CONFIG") {
        return Ok((named != "-").then(|| PathBuf::from(named)));
    }
    let home = || variable("HOME").map(|home| Path::new(&home).join(".config"));
    let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    Ok(folder.map(|folder| folder.join("logq/config.toml")).filter(|path| path.is_file()))
}

/// What a configuration file says.
struct Settings {
    path: PathBuf,
    table: Table,
}

impl Settings {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
        let table: Table = text.parse().with_context(|| {
            format!("cannot understand the configuration file {}", path.display())
        })?;
        let settings = Self { path: path.to_owned(), table };
        settings.table.keys().try_for_each(|key| settings.check(key))?;
        Ok(settings)
    }

    fn check(&self, key: &str) -> anyhow::Result<()> {
        let keys: Vec<_> = KEYS.iter().map(|(key, ..)| *key).collect();
        if keys.contains(&key) {
            return Ok(());
        }
        let (path, keys) = (self.path.display(), keys.join(", "));
        if Arguments::command().get_arguments().any(|argument| argument.get_long() == Some(key)) {
            bail!(
                "{path}: {key:?} changes what is asked, and belongs on the command line; the keys \
                 are {keys}"
            );
        }
        let suggestion = nearest(key, KEYS.iter().map(|(key, ..)| *key));
        let suggestion = suggestion.map(|key| format!(", did you mean {key:?}?"));
        bail!("{path}: unknown key {key:?}{}; the keys are {keys}", suggestion.unwrap_or_default())
    }

    /// The word for a key of a command, if its flag is to be given.
    fn word(&self, key: &str, value: &Value, is_switch: bool) -> anyhow::Result<Option<String>> {
        let expected = if is_switch { "true or false" } else { "text or a number" };
        let text = match value {
            Value::Boolean(on) if is_switch => return Ok(on.then(|| format!("--{key}"))),
            Value::String(text) if !is_switch => text.clone(),
            Value::Integer(number) if !is_switch => number.to_string(),
            other => {
                bail!("{}: {key} is {}; expected {expected}", self.path.display(), other.type_str())
            }
        };
        Ok(Some(format!("--{key}={text}")))
    }
}

/// The words with those of the settings whose flags are not given.
fn with_defaults(mut words: Vec<OsString>, settings: &Settings) -> anyhow::Result<Vec<OsString>> {
    let command = command_for(&words);
    // What is wrong with the words is told when they are parsed.
    let Ok(matches) = command.clone().try_get_matches_from(&words) else { return Ok(words) };
    let (command, matches, place) = match matches.subcommand() {
        Some((verb, matches)) => match command.find_subcommand(verb) {
            Some(command) => (command, matches, 2),
            None => return Ok(words),
        },
        None => (&command, &matches, 1),
    };
    // Verbs that do not ask stores have flags of their own meaning.
    if !command.get_arguments().any(|argument| argument.get_id() == "stores") {
        return Ok(words);
    }
    let mut added = Vec::new();
    for (key, others, variable) in KEYS {
        let Some(value) = settings.table.get(*key) else { continue };
        let is_set = std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        let is_given = |long: &&str| is_given(command, matches, long);
        // The formats of verbs differ.
        let is_of_another =
            *key == "output" && place > 1 && !FOR_RECORDS.contains(&command.get_name());
        let Some(is_switch) = is_switch(command, key) else { continue };
        if is_set || is_of_another || is_given(key) || others.iter().any(is_given) {
            continue;
        }
        added.extend(settings.word(key, value, is_switch)?.map(OsString::from));
    }
    words.splice(place..place, added);
    // The words were right before, so it is the file that is wrong.
    if let Err(error) = command_for(&words).try_get_matches_from(&words) {
        let told = error.to_string();
        let told = told.split("\n\n").next().unwrap_or_default();
        bail!("{}: {}", settings.path.display(), told.trim_start_matches("error: "));
    }
    Ok(words)
}

/// Whether a command has a flag, and if so, whether it goes without a value.
fn is_switch(command: &Command, long: &str) -> Option<bool> {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(long))?;
    Some(matches!(argument.get_action(), ArgAction::SetTrue))
}

fn is_given(command: &Command, matches: &ArgMatches, long: &str) -> bool {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(long));
    argument.is_some_and(|argument| {
        matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_behind_b_are_runs() {
        let check = |words: &str, expected: &str| {
            let words = words.split(' ').map(OsString::from).collect();
            let joined: Vec<_> = with_joined_runs(words)
                .into_iter()
                .map(|word| word.into_string().unwrap())
                .collect();
            assert_eq!(joined.join(" "), expected);
        };
        check("logq -b -1 store", "logq -b=-1 store");
        check("logq --run 2 store", "logq --run=2 store");
        check("logq -b store", "logq -b store");
        check("logq -n 5 -b", "logq -n 5 -b");
        check("logq -b -- 2", "logq -b -- 2");
        check("logq run --to s prog -b 1", "logq run --to s prog -b 1");
    }

    #[test]
    fn every_key_is_a_flag_of_the_command() {
        let command = Arguments::command();
        for (key, others, _) in KEYS {
            assert!(is_switch(&command, key).is_some(), "{key}");
            assert!(others.iter().all(|other| is_switch(&command, other).is_some()), "{key}");
        }
    }
}
