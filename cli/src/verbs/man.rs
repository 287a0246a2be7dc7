//! `logq man [VERB]`: manual pages, made of the same definitions as the help.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Arg, Args, Command, CommandFactory as _};
use clap_mangen::Man;
use logq_query::nearest;

use crate::args::Arguments;
use crate::exit::Exit;

/// Which page.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArguments {
    /// The verb whose page is wanted; that of logq itself if none is named
    #[arg(value_name = "VERB")]
    verb: Option<String>,

    /// Write all pages into this directory instead: logq.1, logq-import.1, ...
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    to: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  logq man | man -l -
  logq man import | man -l -
  logq man --to ~/.local/share/man/man1";

/// Prints one page, or writes all of them.
pub(crate) fn run(arguments: &ManArguments) -> anyhow::Result<Exit> {
    // Building names the verbs by what is typed for them: `logq import`.
    let mut command = Arguments::command();
    command.build();
    match &arguments.to {
        Some(directory) => write_all(&command, directory)?,
        None => {
            let chosen = match &arguments.verb {
                Some(verb) => find(&command, verb)?,
                None => &command,
            };
            let page = page(chosen)?;
            io::stdout().write_all(&page).context("cannot write to standard output")?;
        }
    }
    Ok(Exit::Success)
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

fn find<'c>(command: &'c Command, name: &str) -> anyhow::Result<&'c Command> {
    if let Some(verb) = verbs(command).find(|verb| verb.get_name() == name) {
        return Ok(verb);
    }
    let suggestion = nearest(name, verbs(command).map(Command::get_name));
    let suggestion = suggestion.map(|verb| format!(", did you mean {verb:?}?")).unwrap_or_default();
    let names: Vec<_> = verbs(command).map(Command::get_name).collect();
    bail!("no verb {name:?}{suggestion}; the verbs are {}", names.join(", "))
}

fn write_all(command: &Command, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let pages = verbs(command).map(|verb| (format!("logq-{}.1", verb.get_name()), verb));
    for (name, command) in pages.chain([("logq.1".to_owned(), command)]) {
        let path = directory.join(name);
        fs::write(&path, page(command)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The page in roff. Its title is `logq-import` where `logq import` is typed.
fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let title = command.get_bin_name().unwrap_or("logq").replace(' ', "-");
    let command = command.clone().display_name(title.clone()).mut_args(with_aliases);
    let mut page = Vec::new();
    Man::new(command).title(title).render(&mut page).context("cannot write the page")?;
    Ok(page)
}

/// The flag with its other names told, which pages would leave out.
fn with_aliases(flag: Arg) -> Arg {
    let aliases = flag.get_visible_aliases().unwrap_or_default();
    if aliases.is_empty() {
        return flag;
    }
    let names: Vec<_> = aliases.iter().map(|alias| format!("--{alias}")).collect();
    let help = flag.get_long_help().or(flag.get_help()).map(ToString::to_string);
    let help = format!("{} [aliases: {}]", help.unwrap_or_default(), names.join(", "));
    flag.long_help(help)
}
